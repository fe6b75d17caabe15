//! Rollouts: lines of any bytes, in pieces of any size.

use super::ITERATIONS;
use super::mutate::{Change, Corpus};
use bolero::check;
use conveyor::codex::rollout::{ReadLimits, RolloutLine, RolloutReader, TurnSignal, TurnTracker};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// So small that a file takes many batches.
const SMALL: ReadLimits = ReadLimits { batch_bytes: 64, batch_lines: 3, line_bytes: 1 << 16 };

#[test]
fn a_line_is_read_or_refused() {
    let corpus = Corpus::of("rollouts");
    check!().with_type::<(u16, Vec<Change>)>().with_iterations(ITERATIONS).for_each(|(which, changes)| {
        let bytes = corpus.changed(*which, changes);
        let mut turns = TurnTracker::default();
        for (number, bytes) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let Some(line) = RolloutLine::parse(bytes) else { continue };
            assert_eq!(line.clone().into_owned(), line);
            if let Some(signal) = TurnSignal::of(&line) {
                turns.apply(number as u64, signal);
            }
        }
    });
}

/// What is read of the file from `offset` on, and where the next reader starts.
fn read(path: &Path, mut offset: u64, limits: ReadLimits) -> (Vec<(u64, RolloutLine<'static>)>, u64) {
    let mut reader = RolloutReader::open(path, offset, limits).unwrap();
    let mut lines = Vec::new();
    loop {
        let batch = reader.next_batch().unwrap();
        offset = batch.new_offset;
        let at_end = batch.at_end;
        lines.extend(batch.lines.into_iter().map(|parsed| (parsed.offset, parsed.line.into_owned())));
        if at_end {
            return (lines, offset);
        }
    }
}

#[test]
fn a_rollout_is_read_the_same_in_whatever_pieces_it_comes() {
    let corpus = Corpus::of("rollouts");
    let directory = tempfile::tempdir().unwrap();
    type Input = (u16, Vec<Change>, Vec<u16>);
    check!().with_type::<Input>().with_iterations(ITERATIONS / 10).for_each(|(which, changes, cuts)| {
        let bytes = corpus.changed(*which, changes);
        let (whole, pieces) = (directory.path().join("whole"), directory.path().join("pieces"));
        std::fs::write(&whole, &bytes).unwrap();
        std::fs::write(&pieces, "").unwrap();
        let expect = read(&whole, 0, ReadLimits::default()).0;
        let mut growing = OpenOptions::new().append(true).open(&pieces).unwrap();
        let (mut rest, mut offset, mut found) = (&*bytes, 0, Vec::new());
        for cut in cuts.iter().take(8).map(|cut| usize::from(*cut)).chain([usize::MAX]) {
            let (piece, left) = rest.split_at(cut.min(rest.len()));
            growing.write_all(piece).unwrap();
            rest = left;
            let (lines, end) = read(&pieces, offset, SMALL);
            found.extend(lines);
            offset = end;
        }
        assert_eq!(found, expect);
    });
}
