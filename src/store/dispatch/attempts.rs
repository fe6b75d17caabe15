//! Attempts at commands: how they end, and what telemetry is told of them.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::Entry;
use crate::domain::time::now_iso;
use crate::store::StoreError;
use crate::store::telemetry::{self, Actor, Event, Severity, Telemetry};

/// How an attempt ended.
pub(super) struct Finish<'a> {
    pub(super) state: &'a str,
    pub(super) result: Option<&'a Entry>,
    pub(super) error: Option<&'a str>,
    /// Whether the effect was started and completed.
    pub(super) effect: (bool, bool),
}

/// Ends a running attempt and its command; `false` when the attempt was ended already.
pub(super) fn finish(
    conn: &Connection,
    command_id: &str,
    attempt_id: i64,
    how: &Finish<'_>,
) -> Result<bool, StoreError> {
    let (now, result) = (now_iso(), how.result_json());
    if !end(conn, attempt_id, how, result.as_deref(), &now)? {
        return Ok(false);
    }
    conn.prepare_cached("UPDATE commands SET state = ?2, updated_at = ?3, result_json = ?4, error = ?5 WHERE id = ?1 AND state = 'attempted'")?
        .execute((command_id, how.state, &now, &result, how.error))?;
    Ok(true)
}

/// Ends a running attempt alone; `false` when it was ended already.
pub(super) fn end(
    conn: &Connection,
    attempt_id: i64,
    how: &Finish<'_>,
    result: Option<&str>,
    now: &str,
) -> Result<bool, StoreError> {
    let ended = conn
        .prepare_cached(
            "UPDATE command_attempts SET state = ?2, finished_at = ?3, result_json = ?4, error = ?5, side_effect_started = ?6, side_effect_completed = ?7
             WHERE id = ?1 AND state = 'running'",
        )?
        .execute((attempt_id, how.state, now, result, how.error, how.effect.0, how.effect.1))?;
    Ok(ended == 1)
}

impl Finish<'_> {
    pub(super) fn result_json(&self) -> Option<String> {
        self.result.map(|result| Value::Object(result.clone()).to_string())
    }
}

/// The command that telemetry is about.
pub(super) struct Told<'a> {
    pub(super) id: &'a str,
    pub(super) kind: &'a str,
    pub(super) task_id: Option<&'a str>,
    pub(super) correlation_id: &'a str,
    pub(super) attempt_id: i64,
}

pub(super) fn tell(
    conn: &Connection,
    command: &Told<'_>,
    event_type: &str,
    severity: Severity,
    what: &str,
) -> Result<(), StoreError> {
    telemetry::emit_all(conn, &[command.event(event_type, severity, what)])
}

impl Told<'_> {
    pub(super) fn event(&self, event_type: &str, severity: Severity, what: &str) -> Event {
        let event = Telemetry {
            actor: Actor::Dispatch,
            event_type,
            severity,
            summary: &format!("{} command: {what}", self.kind),
            task_id: self.task_id,
            run_id: None,
            correlation: json!({"command_id": self.id, "correlation_id": self.correlation_id, "attempt_id": self.attempt_id}),
            attributes: json!({"command_type": self.kind}),
        };
        event.happens()
    }
}
