//! The audit log: what was done to tasks and sessions, append-only.

use rusqlite::Connection;
use serde_json::Value;

use super::StoreError;
use crate::domain::time::now_iso;

/// One audit event, before it has an id and a time.
#[derive(Debug, Clone, Default)]
pub struct Event<'a> {
    /// Who did it: `workerctl`, `manager`, `dispatch` …
    pub actor: &'a str,
    /// What was done, e.g. `session_nudged`.
    pub event_type: &'a str,
    /// The task it was done to.
    pub task_id: Option<&'a str>,
    /// The durable command it belongs to.
    pub command_id: Option<&'a str>,
    /// Ties it to the other records of the same cause.
    pub correlation_id: Option<&'a str>,
    /// What else is known.
    pub payload: Value,
}

/// Appends one audit event; gives its row id.
///
/// # Errors
/// Whatever SQLite answers.
pub fn record(conn: &Connection, event: &Event<'_>) -> Result<i64, StoreError> {
    conn.prepare_cached(
        "INSERT INTO events (created_at, actor, command_id, correlation_id, task_id, type, payload_json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        now_iso(),
        event.actor,
        event.command_id,
        event.correlation_id,
        event.task_id,
        event.event_type,
        event.payload.to_string(),
    ))?;
    Ok(conn.last_insert_rowid())
}
