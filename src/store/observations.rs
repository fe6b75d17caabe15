//! Observations: what was noticed about a worker or a manager.

use rusqlite::Connection;
use serde_json::Value;

use super::StoreError;
use super::telemetry::Severity;
use crate::domain::time::now_iso;

/// One observation, before it has an id and a time.
#[derive(Debug, Clone)]
pub struct Observation<'a> {
    /// The task it is about.
    pub task_id: &'a str,
    /// The command that made it.
    pub command_id: Option<&'a str>,
    /// The capture it is about.
    pub source_capture_id: Option<i64>,
    /// Who it is about: `worker`, `manager` or `workerctl`.
    pub role: &'a str,
    /// `status`, `error`, `decision`, `blocker`, `summary`, `command_output`, `health` or `capture`.
    pub kind: &'a str,
    /// How much it matters; the table knows no `debug`.
    pub severity: Severity,
    /// One sentence.
    pub message: &'a str,
    /// What else is known.
    pub payload: Value,
}

/// Records an observation; gives its row id.
///
/// # Errors
/// Whatever SQLite answers.
pub fn record(conn: &Connection, observation: &Observation<'_>) -> Result<i64, StoreError> {
    conn.prepare_cached(
        "INSERT INTO agent_observations
            (task_id, role, observation_type, severity, source_capture_id, command_id, created_at, message,
             payload_json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute((
        observation.task_id,
        observation.role,
        observation.kind,
        observation.severity.as_str(),
        observation.source_capture_id,
        observation.command_id,
        now_iso(),
        observation.message,
        observation.payload.to_string(),
    ))?;
    Ok(conn.last_insert_rowid())
}
