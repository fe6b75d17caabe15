//! What one batch of lines changes, in one transaction.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::cursor::Place;
use crate::domain::activity::STATE_SUBTYPES;
use crate::domain::time::now_iso;
use crate::domain::{TurnKey, TurnOutcome};
use crate::store::codex_events::{self, NewEvent};
use crate::store::receipts::{self, Arrival};
use crate::store::sessions::{self, Session};
use crate::store::telemetry::{self, Actor, Severity, Telemetry};
use crate::store::turn_facts::{self, NewFact};
use crate::store::{Change, StoreError, bindings, forks, rollout_files};

/// A whole line of a rollout and what it means for turns and deliveries.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadLine {
    /// The line.
    pub event: NewEvent,
    /// Its place in the thread; older Codex versions do not write it.
    pub ordinal: Option<u64>,
    /// What it means, when it means something.
    pub meaning: Option<Meaning>,
}

/// What a line means beyond being an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// A turn ended.
    TurnEnded {
        /// Which.
        key: TurnKey,
        /// How.
        outcome: TurnOutcome,
        /// Why it failed: `{message, codex_error_info}`.
        error: Option<Value>,
        /// The session said nothing at the end. In older rollouts an error before such an end is
        /// the reason for it.
        silent: bool,
    },
    /// A turn starts, so this earlier one, which has no end, died with its process.
    TurnDied(TurnKey),
    /// A user's text arrived.
    Arrived(Arrival),
    /// The thread continues the history of this other thread, and may repeat its turns.
    ForkedFrom(String),
}

/// Takes in a batch of lines of a session's rollout: the position, the events, a fact for each
/// turn that ended, and a receipt for each delivery that arrived. All of it, or, when somebody
/// else has read from the same position, nothing.
#[derive(Debug)]
pub struct AppendRollout {
    /// The session.
    pub session_id: String,
    /// The file that was read.
    pub path: String,
    /// Where the reader started.
    pub from_offset: u64,
    /// Where the next one starts.
    pub to_offset: u64,
    /// The good lines between.
    pub lines: Vec<ReadLine>,
    /// Lines that could not be read.
    pub skipped_lines: u64,
    /// The turn that has not ended at `to_offset`.
    pub open_turn: Option<TurnKey>,
    /// Somebody asked for this, and will find it on record. Otherwise it is on record when a turn
    /// ends: a row for each line that a session writes would be noise.
    pub asked: bool,
    /// Nothing is left to read.
    pub at_end: bool,
}

/// What a batch changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Turns whose end nobody knew before.
    pub new_facts: usize,
    /// Deliveries that are now observed.
    pub receipts: usize,
}

impl Change for AppendRollout {
    /// `None` when the session's position is no longer `from_offset` of `path`.
    type Out = Option<Appended>;

    fn run(self, tx: &Connection) -> Result<Self::Out, StoreError> {
        let place = Place::of(tx, &self.session_id, &self.path, self.from_offset)?;
        if !self.advance(tx)? {
            return Ok(None);
        }
        let session = sessions::get(tx, &self.session_id)?;
        let thread_id = session.codex_session_id.as_deref().unwrap_or(&session.id);
        let mut append =
            Append { tx, session_id: &session.id, thread_id, now: now_iso(), appended: Appended::default() };
        if let Some(offset) = place.behind_from() {
            append.appended.new_facts = turn_facts::adopt_from_events(tx, &session.id, thread_id, offset)?;
        }
        let source = rollout_files::Source { session_id: &session.id, path: &self.path };
        for (index, line) in self.lines.iter().enumerate() {
            let event_id = append.line(line)?;
            if index == 0 {
                source.begins_at(tx, event_id)?;
            }
        }
        self.move_cursor(tx, thread_id, &append.now)?;
        if self.at_end && (self.asked || append.appended.new_facts > 0) {
            self.tell(tx, &session)?;
        }
        Ok(Some(append.appended))
    }
}

impl AppendRollout {
    fn advance(&self, tx: &Connection) -> Result<bool, StoreError> {
        let advanced = tx
            .prepare_cached(
                "UPDATE sessions SET last_ingest_offset = ?4
                 WHERE id = ?1 AND state = 'active' AND codex_session_path = ?2
                   AND COALESCE(last_ingest_offset, 0) = ?3",
            )?
            .execute((&self.session_id, &self.path, self.from_offset as i64, self.to_offset as i64))?;
        Ok(advanced == 1)
    }

    fn move_cursor(&self, tx: &Connection, thread_id: &str, now: &str) -> Result<(), StoreError> {
        // Bad lines behind the last good one are read, and counted, again.
        let skipped_lines = if self.to_offset > self.from_offset { self.skipped_lines } else { 0 };
        tx.prepare_cached(
            "INSERT INTO rollout_cursors
                 (session_id, thread_id, rollout_path, offset, open_turn_key, last_ordinal, skipped_lines, updated_at,
                  untold_from, untold_lines, untold_skipped_lines)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (session_id) DO UPDATE SET
                 thread_id = excluded.thread_id, rollout_path = excluded.rollout_path, offset = excluded.offset,
                 open_turn_key = excluded.open_turn_key, updated_at = excluded.updated_at,
                 last_ordinal = CASE WHEN ?9 = 0 THEN excluded.last_ordinal
                                     ELSE COALESCE(excluded.last_ordinal, last_ordinal) END,
                 skipped_lines = excluded.skipped_lines + CASE WHEN ?9 = 0 THEN 0 ELSE skipped_lines END,
                 untold_from = CASE WHEN ?9 = 0 THEN 0 ELSE COALESCE(untold_from, excluded.untold_from) END,
                 untold_lines = untold_lines + excluded.untold_lines,
                 untold_skipped_lines = untold_skipped_lines + excluded.untold_skipped_lines",
        )?
        .execute((
            &self.session_id,
            thread_id,
            &self.path,
            self.to_offset as i64,
            self.open_turn.as_ref().map(TurnKey::to_string),
            self.lines.iter().rev().find_map(|line| line.ordinal).map(|ordinal| ordinal as i64),
            skipped_lines as i64,
            now,
            self.from_offset as i64,
            self.lines.len() as i64,
            self.skipped_lines as i64,
        ))?;
        Ok(())
    }

    /// Tells of everything that was read since this was last told.
    fn tell(&self, tx: &Connection, session: &Session) -> Result<(), StoreError> {
        let binding = bindings::live_of_session(tx, &session.id)?;
        let (start_offset, new_events, skipped_lines): (i64, i64, i64) = tx
            .prepare_cached(
                "SELECT COALESCE(untold_from, offset), untold_lines, untold_skipped_lines
                 FROM rollout_cursors WHERE session_id = ?1",
            )?
            .query_row([&session.id], |row| row.try_into())?;
        tx.prepare_cached(
            "UPDATE rollout_cursors SET untold_from = NULL, untold_lines = 0, untold_skipped_lines = 0
             WHERE session_id = ?1",
        )?
        .execute([&session.id])?;
        telemetry::emit(
            tx,
            &Telemetry {
                actor: Actor::Workerctl,
                event_type: "codex_events_ingested",
                severity: Severity::Info,
                summary: &format!("ingested {new_events} new rollout events of session {}", session.name),
                task_id: binding.as_ref().map(|binding| binding.task_id.as_str()),
                run_id: None,
                correlation: json!({"session": session.name, "session_id": session.id}),
                attributes: json!({
                    "new_events": new_events,
                    "new_offset": self.to_offset,
                    "skipped_lines": skipped_lines,
                    "start_offset": start_offset,
                }),
            },
        )?;
        Ok(())
    }
}

/// One batch on its way into the tables.
struct Append<'a> {
    tx: &'a Connection,
    session_id: &'a str,
    thread_id: &'a str,
    now: String,
    appended: Appended,
}

impl Append<'_> {
    /// Gives the id of its event.
    fn line(&mut self, line: &ReadLine) -> Result<i64, StoreError> {
        let event_id = codex_events::insert(self.tx, self.session_id, &line.event, &self.now)?;
        if let Some(meaning) = &line.meaning {
            self.take_in(meaning, event_id)?;
        }
        Ok(event_id)
    }

    fn take_in(&mut self, meaning: &Meaning, event_id: i64) -> Result<(), StoreError> {
        match meaning {
            Meaning::Arrived(arrival) => {
                let observed = receipts::observe(self.tx, self.session_id, arrival, event_id)?;
                self.appended.receipts += usize::from(observed.is_some());
                Ok(())
            }
            Meaning::ForkedFrom(thread_id) => forks::record(self.tx, self.thread_id, thread_id),
            Meaning::TurnDied(key) => self.fact(key, TurnOutcome::Failed, None, Some(&turn_facts::crash())),
            Meaning::TurnEnded { key, outcome: TurnOutcome::Completed, silent: true, .. } => {
                match self.error_before(event_id)? {
                    None => self.fact(key, TurnOutcome::Completed, Some(event_id), None),
                    error => self.fact(key, TurnOutcome::Failed, Some(event_id), error.as_ref()),
                }
            }
            Meaning::TurnEnded { key, outcome, error, .. } => {
                self.fact(key, *outcome, Some(event_id), error.as_ref())
            }
        }
    }

    fn fact(
        &mut self,
        key: &TurnKey,
        outcome: TurnOutcome,
        event_id: Option<i64>,
        error: Option<&Value>,
    ) -> Result<(), StoreError> {
        let fact =
            NewFact { session_id: self.session_id, thread_id: self.thread_id, key, outcome, event_id, error };
        self.appended.new_facts += usize::from(turn_facts::record(self.tx, &fact)?);
        Ok(())
    }

    /// The error that an older Codex wrote between the start of a turn and its silent end.
    fn error_before(&self, end_id: i64) -> Result<Option<Value>, StoreError> {
        let newest =
            |subtypes: &[&str]| codex_events::newest_before(self.tx, self.session_id, subtypes, end_id);
        let error_id = newest(&["error"])?;
        if error_id.is_none() || error_id < newest(&STATE_SUBTYPES)? {
            return Ok(None);
        }
        let error = codex_events::newest_of(self.tx, self.session_id, "error")?;
        Ok(error.map(|error| {
            json!({"message": error.payload["message"], "codex_error_info": error.payload["codex_error_info"]})
        }))
    }
}
