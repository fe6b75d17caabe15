//! Steps of readers: two of them may read one rollout at the same time.

use super::rules::Cause;
use super::stage::{Reader, Stage};
use crate::actors::ingest::reading::Reading;
use crate::codex::rollout::ReadLimits;
use crate::store::Query;
use crate::store::receipts::Arrival;
use crate::store::rollout::{AppendRollout, GetCursor, Meaning, ReadLine};

/// So small that a pass over a rollout takes several batches.
const LIMITS: ReadLimits = ReadLimits { batch_bytes: 1, batch_lines: 3, line_bytes: 1 << 20 };

impl Stage {
    /// Reads and stores until nothing is left.
    pub(super) fn ingest(&mut self, who: usize) {
        loop {
            self.read(who);
            let mut is_stored = false;
            self.change(|stage, _| {
                let cause = stage.store(who);
                is_stored = matches!(cause, Cause::Stored { .. });
                cause
            });
            if !is_stored {
                return;
            }
        }
    }

    /// Takes a batch of lines; goes on from the last one when that was stored.
    pub(super) fn read(&mut self, who: usize) {
        let name = self.sessions[who].name;
        let process = self.process();
        let reader = process.readers.entry(who).or_insert_with(|| {
            let cursor = GetCursor(name.into()).run(&process.conn).unwrap();
            Reader { reading: Reading::open_within(&cursor, LIMITS).unwrap(), cursor, batch: None }
        });
        // Bad lines alone are not stored: the next good ones take them along.
        let mut skipped_lines = 0;
        while reader.batch.is_none() {
            let mut batch = reader.reading.next_batch().unwrap();
            batch.skipped_lines += std::mem::take(&mut skipped_lines);
            if batch.lines.is_empty() && !batch.at_end {
                skipped_lines = batch.skipped_lines;
            } else {
                reader.batch = Some(batch);
            }
        }
    }

    /// Stores the batch that was read. Gives [`Cause::Nothing`] when there was nothing to store, or
    /// somebody else had stored it.
    pub(super) fn store(&mut self, who: usize) -> Cause {
        let Some(mut reader) = self.process().readers.remove(&who) else { return Cause::Nothing };
        let Some(batch) = reader.batch.take() else { return Cause::Nothing };
        if batch.lines.is_empty() {
            return Cause::Nothing;
        }
        let arrivals = batch.lines.iter().filter_map(arrival).collect();
        let append = AppendRollout {
            session_id: reader.cursor.session_id.clone(),
            path: reader.cursor.path.clone(),
            from_offset: reader.cursor.offset,
            to_offset: batch.new_offset,
            lines: batch.lines,
            skipped_lines: batch.skipped_lines,
            open_turn: batch.open_turn.clone(),
            asked: false,
            at_end: batch.at_end,
        };
        let path = append.path.clone();
        let made = self.make(append);
        let is_alive = made.is_heard();
        if made.durable().flatten().is_none() {
            return Cause::Nothing;
        }
        let thread = self.threads.iter().position(|thread| thread.path() == path).unwrap();
        let stored = self.stored.entry(thread).or_default();
        *stored = batch.new_offset.max(*stored);
        if is_alive && !batch.at_end {
            (reader.cursor.offset, reader.cursor.open_turn) = (batch.new_offset, batch.open_turn);
            self.process().readers.insert(who, reader);
        }
        Cause::Stored { session_id: self.sessions[who].id.clone(), arrivals }
    }
}

fn arrival(line: &ReadLine) -> Option<Arrival> {
    match &line.meaning {
        Some(Meaning::Arrived(arrival)) => Some(arrival.clone()),
        _ => None,
    }
}
