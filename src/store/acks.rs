//! Acknowledgements: what a worker or a manager said it understood, revision by revision.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{StoreError, row};
use crate::domain::Role;

/// A row of `task_acknowledgements`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ack {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// The binding under which it was given.
    pub binding_id: Option<String>,
    /// Who gave it.
    pub role: Role,
    /// What was said.
    pub payload: Value,
    /// Counts up from 1 for each task and role.
    pub revision: i64,
    /// The revision of the manager's config that it was about.
    pub manager_config_revision: Option<i64>,
    /// When it was given.
    pub created_at: String,
    /// Ties it to its cause.
    pub correlation_id: Option<String>,
}

const COLUMNS: &str = "id, task_id, binding_id, role, payload_json, revision, manager_config_revision, \
    created_at, correlation_id";

impl Ack {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            binding_id: row.get(2)?,
            role: row::word(row, 3)?,
            payload: row::json(row, 4)?,
            revision: row.get(5)?,
            manager_config_revision: row.get(6)?,
            created_at: row.get(7)?,
            correlation_id: row.get(8)?,
        })
    }
}

/// The latest acknowledgement of one side.
///
/// # Errors
/// Whatever SQLite answers.
pub fn latest(conn: &Connection, task_id: &str, role: Role) -> Result<Option<Ack>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM task_acknowledgements WHERE task_id = ?1 AND role = ?2
         ORDER BY revision DESC, id DESC LIMIT 1"
    );
    Ok(conn.prepare_cached(&sql)?.query_row((task_id, role.as_str()), Ack::of).optional()?)
}
