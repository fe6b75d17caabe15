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
use crate::store::{Change, StoreError, bindings, forks};

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
        for line in &self.lines {
            append.line(line)?;
        }
        self.move_cursor(tx, thread_id, &append.now)?;
        self.tell(tx, &session)?;
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
                 (session_id, thread_id, rollout_path, offset, open_turn_key, last_ordinal, skipped_lines, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (session_id) DO UPDATE SET
                 thread_id = excluded.thread_id, rollout_path = excluded.rollout_path, offset = excluded.offset,
                 open_turn_key = excluded.open_turn_key, updated_at = excluded.updated_at,
                 last_ordinal = CASE WHEN ?9 = 0 THEN excluded.last_ordinal
                                     ELSE COALESCE(excluded.last_ordinal, last_ordinal) END,
                 skipped_lines = excluded.skipped_lines + CASE WHEN ?9 = 0 THEN 0 ELSE skipped_lines END",
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
        ))?;
        Ok(())
    }

    fn tell(&self, tx: &Connection, session: &Session) -> Result<(), StoreError> {
        let binding = bindings::live_of_session(tx, &session.id)?;
        telemetry::emit(
            tx,
            &Telemetry {
                actor: Actor::Workerctl,
                event_type: "codex_events_ingested",
                severity: Severity::Info,
                summary: &format!(
                    "ingested {} new rollout events of session {}",
                    self.lines.len(),
                    session.name
                ),
                task_id: binding.as_ref().map(|binding| binding.task_id.as_str()),
                run_id: None,
                correlation: json!({"session": session.name, "session_id": session.id}),
                attributes: json!({
                    "new_events": self.lines.len(),
                    "new_offset": self.to_offset,
                    "skipped_lines": self.skipped_lines,
                    "start_offset": self.from_offset,
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
    fn line(&mut self, line: &ReadLine) -> Result<(), StoreError> {
        let event_id = codex_events::insert(self.tx, self.session_id, &line.event, &self.now)?;
        match &line.meaning {
            None => Ok(()),
            Some(Meaning::Arrived(arrival)) => {
                let observed = receipts::observe(self.tx, self.session_id, arrival, event_id)?;
                self.appended.receipts += usize::from(observed.is_some());
                Ok(())
            }
            Some(Meaning::ForkedFrom(thread_id)) => forks::record(self.tx, self.thread_id, thread_id),
            Some(Meaning::TurnDied(key)) => {
                self.fact(key, TurnOutcome::Failed, None, Some(&turn_facts::crash()))
            }
            Some(Meaning::TurnEnded { key, outcome: TurnOutcome::Completed, silent: true, .. }) => {
                match self.error_before(event_id)? {
                    None => self.fact(key, TurnOutcome::Completed, Some(event_id), None),
                    error => self.fact(key, TurnOutcome::Failed, Some(event_id), error.as_ref()),
                }
            }
            Some(Meaning::TurnEnded { key, outcome, error, .. }) => {
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
