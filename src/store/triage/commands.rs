//! Commands, without what they say and what came of it.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use crate::domain::CommandState;
use crate::store::scope::Scope;
use crate::store::{StoreError, row};

/// A command, without its payload and its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns are documented at `store::commands::Command`")]
pub struct CommandLine {
    pub id: String,
    pub idempotency_key: String,
    pub created_at: String,
    pub updated_at: String,
    pub task_id: Option<String>,
    pub task_name: Option<String>,
    pub worker_id: Option<String>,
    pub manager_id: Option<String>,
    pub correlation_id: Option<String>,
    #[serde(rename = "type")]
    pub command_type: String,
    pub state: CommandState,
    pub available_at: Option<String>,
    pub claimed_by: Option<String>,
    pub claimed_at: Option<String>,
    pub claim_expires_at: Option<String>,
    pub attempts: i64,
    pub max_attempts: i64,
    pub required_permission: Option<String>,
    pub error: Option<String>,
}

const COLUMNS: &str = "c.id, c.idempotency_key, c.created_at, c.updated_at, c.task_id, t.name, c.worker_id, c.manager_id, \
    c.correlation_id, c.type, c.state, c.available_at, c.claimed_by, c.claimed_at, c.claim_expires_at, c.attempts, \
    c.max_attempts, c.required_permission, c.error";

impl CommandLine {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            idempotency_key: row.get(1)?,
            created_at: row.get(2)?,
            updated_at: row.get(3)?,
            task_id: row.get(4)?,
            task_name: row.get(5)?,
            worker_id: row.get(6)?,
            manager_id: row.get(7)?,
            correlation_id: row.get(8)?,
            command_type: row.get(9)?,
            state: row::word(row, 10)?,
            available_at: row.get(11)?,
            claimed_by: row.get(12)?,
            claimed_at: row.get(13)?,
            claim_expires_at: row.get(14)?,
            attempts: row.get(15)?,
            max_attempts: row.get(16)?,
            required_permission: row.get(17)?,
            error: row.get(18)?,
        })
    }
}

/// The newest commands, newest first; only those in `state` when one is given.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_commands(
    conn: &Connection,
    scope: &Scope,
    state: Option<CommandState>,
    limit: u32,
) -> Result<Vec<CommandLine>, StoreError> {
    let mut filter = scope.filter("c.task_id", Some("c.created_at"));
    if let Some(state) = state {
        filter.add("c.state = ?", state.as_str().to_owned());
    }
    // A task's commands are in the order of their rows, all commands and those in one state in that of
    // their instants.
    let by_row = scope.is_of_one_task() && state.is_none();
    let order = if by_row { "c.rowid DESC" } else { "c.created_at DESC, c.rowid DESC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM commands c LEFT JOIN tasks t ON t.id = c.task_id
         WHERE {} ORDER BY {order} LIMIT {limit}",
        filter.sql()
    );
    let commands =
        conn.prepare_cached(&sql)?.query_map(filter.values(), CommandLine::of)?.collect::<Result<_, _>>()?;
    Ok(commands)
}
