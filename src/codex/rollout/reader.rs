//! Whole lines of a rollout from an offset, in batches of bounded size.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use memchr::{memchr, memchr_iter, memrchr};

use super::line::RolloutLine;
use super::meta::{MetaError, SessionMeta};
use super::source::{self, ReadError, Source};

/// How much one batch may hold.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Bytes after which a batch is full. A longer line still comes, alone.
    pub batch_bytes: usize,
    /// Lines after which a batch is full.
    pub batch_lines: usize,
    /// Bytes after which a line is given up: it is skipped and counted, and never held in memory
    /// whole.
    pub line_bytes: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { batch_bytes: 4 << 20, batch_lines: 2048, line_bytes: 64 << 20 }
    }
}

/// A good line and where it stands in the (decompressed) file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedLine<'a> {
    /// Byte at which the line starts.
    pub offset: u64,
    /// Byte after its newline.
    pub end: u64,
    /// What it says.
    pub line: RolloutLine<'a>,
}

/// Lines read in one go.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The good lines, oldest first.
    pub lines: Vec<ParsedLine<'a>>,
    /// Where the next reader must start: the end of the last good line so far. Bad lines after it
    /// are read, and counted, again by that reader.
    pub new_offset: u64,
    /// Newline-ended lines of this batch that are blank, not JSON, not an object, without a string
    /// `type`, or too long.
    pub skipped_lines: u64,
    /// No further whole line stands in the file now.
    pub at_end: bool,
}

/// Reads whole lines from an offset on. A last line without its newline waits for the next reader.
///
/// Meant to be opened anew for every pass: opening checks that the file still is the one the offset
/// came from, which costs a few system calls.
pub struct RolloutReader {
    path: PathBuf,
    source: Source,
    limits: ReadLimits,
    buffer: Vec<u8>,
    /// Place of `buffer[0]` in the file.
    buffer_offset: u64,
    /// Bytes of `buffer` that were handed out in the last batch.
    consumed: usize,
    /// Bytes of `buffer` up to and with its last newline.
    complete: usize,
    /// Inside a line longer than the limit.
    discarding: bool,
    good_end: u64,
}

const CHUNK_BYTES: u64 = 64 << 10;

impl RolloutReader {
    /// Opens the rollout at `path` (or its compressed form, `path.zst`) at byte `offset` of the
    /// decompressed stream, which must be 0 or the end of a line.
    ///
    /// # Errors
    /// [`ReadError`]: missing, not a file, unreadable, shorter than `offset`, or replaced.
    pub fn open(path: &Path, offset: u64, limits: ReadLimits) -> Result<Self, ReadError> {
        let source = source::open_at(path, offset)?;
        Ok(Self::over(source, path, offset, limits))
    }

    /// As [`Self::open`], and reads which thread the rollout records.
    ///
    /// # Errors
    /// As [`Self::open`], and when its first line does not tell.
    pub fn open_described(
        path: &Path,
        offset: u64,
        limits: ReadLimits,
    ) -> Result<(Self, SessionMeta), MetaError> {
        let (source, first) = source::open_at_with_first_line(path, offset, limits.line_bytes as u64)?;
        Ok((Self::over(source, path, offset, limits), SessionMeta::of_first(&first, path)?))
    }

    fn over(source: Source, path: &Path, offset: u64, limits: ReadLimits) -> Self {
        Self {
            path: path.to_owned(),
            source,
            limits,
            buffer: Vec::new(),
            buffer_offset: offset,
            consumed: 0,
            complete: 0,
            discarding: false,
            good_end: offset,
        }
    }

    /// The next lines. Call until [`Batch::at_end`].
    ///
    /// # Errors
    /// [`ReadError::Unreadable`] when the file system or the decompressor fails.
    pub fn next_batch(&mut self) -> Result<Batch<'_>, ReadError> {
        self.drop_consumed();
        let fill = self.fill().map_err(|source| ReadError::Unreadable { path: self.path.clone(), source })?;

        let mut lines = Vec::new();
        let mut skipped_lines = fill.skipped_lines;
        let mut start = 0;
        for newline in memchr_iter(b'\n', &self.buffer[..self.complete]).take(self.limits.batch_lines.max(1))
        {
            let bytes = &self.buffer[start..newline];
            let (offset, end) = (self.buffer_offset + start as u64, self.buffer_offset + newline as u64 + 1);
            start = newline + 1;
            match RolloutLine::parse(bytes).filter(|_| bytes.len() <= self.limits.line_bytes) {
                Some(line) => {
                    self.good_end = end;
                    lines.push(ParsedLine { offset, end, line });
                }
                None => skipped_lines += 1,
            }
        }
        self.consumed = start;
        let at_end = fill.at_end && self.consumed == self.complete;
        Ok(Batch { lines, new_offset: self.good_end, skipped_lines, at_end })
    }

    fn drop_consumed(&mut self) {
        self.buffer.drain(..self.consumed);
        self.buffer.shrink_to(self.limits.batch_bytes);
        self.buffer_offset += self.consumed as u64;
        self.complete -= self.consumed;
        self.consumed = 0;
    }

    /// Reads until the buffer holds a batch of whole lines, or the file ends.
    fn fill(&mut self) -> io::Result<Fill> {
        let mut skipped_lines = 0;
        loop {
            if self.discarding && self.discard_through_newline() {
                self.discarding = false;
                skipped_lines += 1;
            }
            let partial = self.buffer.len() - self.complete;
            let full = self.buffer.len() >= self.limits.batch_bytes || partial > self.limits.line_bytes;
            if self.complete > 0 && full {
                return Ok(Fill { skipped_lines, at_end: false });
            }
            if partial > self.limits.line_bytes {
                self.discarding = true;
            } else if self.read_chunk()? == 0 {
                return Ok(Fill { skipped_lines, at_end: true });
            }
        }
    }

    fn read_chunk(&mut self) -> io::Result<usize> {
        let old_len = self.buffer.len();
        let read = self.source.by_ref().take(CHUNK_BYTES).read_to_end(&mut self.buffer)?;
        if let Some(newline) = memrchr(b'\n', &self.buffer[old_len..]) {
            self.complete = old_len + newline + 1;
        }
        Ok(read)
    }

    /// Drops the buffer up to its first newline, or all of it. True when there was a newline.
    fn discard_through_newline(&mut self) -> bool {
        let newline = memchr(b'\n', &self.buffer);
        let bytes = newline.map_or(self.buffer.len(), |newline| newline + 1);
        self.buffer.drain(..bytes);
        self.buffer_offset += bytes as u64;
        self.complete = self.complete.saturating_sub(bytes);
        newline.is_some()
    }
}

struct Fill {
    skipped_lines: u64,
    at_end: bool,
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const META: &str = r#"{"type":"session_meta","payload":{"id":"w1"}}"#;
    const START: &str = r#"{"type":"event_msg","payload":{"type":"task_started"}}"#;
    const END: &str = r#"{"type":"event_msg","payload":{"type":"task_complete"}}"#;

    /// What a whole pass over a rollout yields.
    #[derive(Debug, Default, PartialEq)]
    struct Pass {
        lines: Vec<(u64, u64, RolloutLine<'static>)>,
        new_offset: u64,
        skipped_lines: u64,
    }

    fn pass(mut reader: RolloutReader) -> Pass {
        let mut pass = Pass::default();
        loop {
            let batch = reader.next_batch().unwrap();
            pass.lines.extend(batch.lines.into_iter().map(|l| (l.offset, l.end, l.line.into_owned())));
            pass.new_offset = batch.new_offset;
            pass.skipped_lines += batch.skipped_lines;
            if batch.at_end {
                return pass;
            }
        }
    }

    fn over(bytes: &[u8], offset: u64, limits: ReadLimits) -> RolloutReader {
        let rest = bytes[offset as usize..].to_vec();
        RolloutReader::over(Box::new(Cursor::new(rest)), Path::new("memory"), offset, limits)
    }

    fn pass_over(text: &str, offset: u64) -> Pass {
        pass(over(text.as_bytes(), offset, ReadLimits::default()))
    }

    fn check(text: &str, lines: usize, skipped_lines: u64, new_offset: usize) {
        let pass = pass_over(text, 0);
        let found = (pass.lines.len(), pass.skipped_lines, pass.new_offset);
        assert_eq!(found, (lines, skipped_lines, new_offset as u64), "{text:?}");
    }

    #[test]
    fn only_good_newline_ended_lines_count() {
        check("", 0, 0, 0);
        check("\n", 0, 1, 0);
        check(&format!("{META}\n{START}\n"), 2, 0, META.len() + START.len() + 2);
        check(&format!("{META}\n{START}"), 1, 0, META.len() + 1);
        check(&format!("{META}\n\n{START}\n"), 2, 1, META.len() + START.len() + 3);
        check(&format!("{META}\n{{broken\n[1,2]\n{{\"type\":5}}\n"), 1, 3, META.len() + 1);
    }

    #[test]
    fn bad_lines_at_the_end_are_read_again() {
        let text = format!("{META}\n{{broken\n");
        let first = pass_over(&text, 0);
        let second = pass_over(&text, first.new_offset);
        assert_eq!((second.lines.len(), second.skipped_lines, second.new_offset), (0, 1, first.new_offset));
    }

    #[test]
    fn a_partial_line_waits_for_its_rest() {
        let text = format!("{META}\n{START}\n");
        let cut = &text[..text.len() - 9];
        let first = pass_over(cut, 0);
        assert_eq!((first.lines.len(), first.skipped_lines), (1, 0));
        let second = pass_over(&text, first.new_offset);
        assert_eq!(second.lines.len(), 1);
        assert_eq!(second.lines[0].0, META.len() as u64 + 1);
        assert_eq!(second.new_offset, text.len() as u64);
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_without_being_held() {
        let long = format!(r#"{{"type":"event_msg","x":"{}"}}"#, "a".repeat(1 << 20));
        let text = format!("{META}\n{long}\n{END}\n{long}\n{long}");
        let limits = ReadLimits { line_bytes: 100_000, ..ReadLimits::default() };
        let mut reader = over(text.as_bytes(), 0, limits);
        let mut kinds = Vec::new();
        let mut skipped_lines = 0;
        loop {
            let batch = reader.next_batch().unwrap();
            kinds.extend(batch.lines.iter().map(|l| (l.line.kind.to_string(), l.offset)));
            skipped_lines += batch.skipped_lines;
            let at_end = batch.at_end;
            assert!(reader.buffer.len() <= 100_000 + 2 * CHUNK_BYTES as usize, "{}", reader.buffer.len());
            if at_end {
                break;
            }
        }
        let end_offset = (META.len() + long.len() + 2) as u64;
        assert_eq!(kinds, [("session_meta".to_owned(), 0), ("event_msg".to_owned(), end_offset)]);
        assert_eq!(skipped_lines, 2);
        assert_eq!(reader.good_end, end_offset + END.len() as u64 + 1);
    }

    #[test]
    fn a_fifty_megabyte_line_is_read() {
        let line = format!(r#"{{"type":"event_msg","payload":{{"text":"{}"}}}}"#, "a".repeat(50 << 20));
        let pass = pass_over(&format!("{line}\n{END}\n"), 0);
        assert_eq!((pass.lines.len(), pass.skipped_lines), (2, 0));
        assert_eq!(pass.lines[0].1, line.len() as u64 + 1);
    }

    fn segment() -> impl Strategy<Value = Vec<u8>> {
        let good = (0..200usize).prop_map(|n| {
            format!(
                "{{\"type\":\"event_msg\",\"ordinal\":{n},\"payload\":{{\"pad\":\"{}\"}}}}\n",
                "x".repeat(n)
            )
            .into_bytes()
        });
        let garbage = proptest::collection::vec(any::<u8>(), 0..40);
        prop_oneof![4 => good, 1 => garbage, 1 => Just(b"\n".to_vec()), 1 => Just(b"{\"type\":5}\n".to_vec())]
    }

    fn limits() -> impl Strategy<Value = ReadLimits> {
        (0..500usize, 1..8usize).prop_map(|(batch_bytes, batch_lines)| ReadLimits {
            batch_bytes,
            batch_lines,
            ..ReadLimits::default()
        })
    }

    proptest! {
        #[test]
        fn batch_size_does_not_change_what_is_read(
            segments in proptest::collection::vec(segment(), 0..30), limits in limits(),
        ) {
            let bytes = segments.concat();
            prop_assert_eq!(pass(over(&bytes, 0, limits)), pass(over(&bytes, 0, ReadLimits::default())));
        }

        #[test]
        fn a_growing_file_yields_the_lines_of_the_finished_one(
            segments in proptest::collection::vec(segment(), 0..30),
            mut cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..10),
            limits in limits(),
        ) {
            let bytes = segments.concat();
            let mut lengths: Vec<usize> = cuts.drain(..).map(|cut| cut.index(bytes.len() + 1)).collect();
            lengths.push(bytes.len());
            lengths.sort_unstable();
            let mut lines = Vec::new();
            let mut offset = 0;
            for length in lengths {
                let grown = pass(over(&bytes[..length], offset, limits));
                lines.extend(grown.lines);
                offset = grown.new_offset;
            }
            let whole = pass(over(&bytes, 0, ReadLimits::default()));
            prop_assert_eq!(lines, whole.lines);
            prop_assert_eq!(offset, whole.new_offset);
        }

        #[test]
        fn a_short_line_limit_never_loses_place(
            segments in proptest::collection::vec(segment(), 0..30), line_bytes in 0..150usize,
        ) {
            let bytes = segments.concat();
            let limits = ReadLimits { line_bytes, batch_bytes: 64, batch_lines: 3 };
            let short = pass(over(&bytes, 0, limits));
            let whole = pass(over(&bytes, 0, ReadLimits::default()));
            let fits = |(offset, end, _): &&(u64, u64, _)| (end - offset - 1) as usize <= line_bytes;
            let expected: Vec<_> = whole.lines.iter().filter(fits).cloned().collect();
            let too_long = (whole.lines.len() - expected.len()) as u64;
            prop_assert_eq!(short.lines, expected);
            prop_assert_eq!(short.skipped_lines, whole.skipped_lines + too_long);
        }
    }
}
