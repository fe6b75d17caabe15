//! Handoffs: where a worker says it stands.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{StoreError, row};

/// A row of `worker_handoffs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handoff {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// The worker that wrote it.
    pub worker_session_id: Option<String>,
    /// Where the work stands.
    pub summary: String,
    /// What is to be done next, in order.
    pub next_steps: Vec<String>,
    /// What else was said.
    pub payload: Value,
    /// When it was written.
    pub created_at: String,
}

impl Handoff {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            worker_session_id: row.get(2)?,
            summary: row.get(3)?,
            next_steps: row::json(row, 4)?,
            payload: row::json(row, 5)?,
            created_at: row.get(6)?,
        })
    }
}

/// The latest handoff of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn latest(conn: &Connection, task_id: &str) -> Result<Option<Handoff>, StoreError> {
    let handoff = conn
        .prepare_cached(
            "SELECT id, task_id, worker_session_id, summary, next_steps_json, payload_json, created_at
             FROM worker_handoffs WHERE task_id = ?1 ORDER BY id DESC LIMIT 1",
        )?
        .query_row([task_id], Handoff::of)
        .optional()?;
    Ok(handoff)
}
