//! Bindings: which worker and which manager belong to a task.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::sessions::{self, Session};
use super::{Query, StoreError, tasks};
use crate::domain::Failure;

/// A row of `bindings` that ties two registered sessions to a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// `binding-<uuid>`.
    pub id: String,
    /// The task.
    pub task_id: String,
    /// The worker's session id.
    pub worker_session_id: String,
    /// The manager's session id.
    pub manager_session_id: String,
    /// `active`, `ending`, `ended` or `invalid`.
    pub state: String,
    /// When it was made.
    pub created_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
}

const COLUMNS: &str = "id, task_id, worker_session_id, manager_session_id, state, created_at, ended_at";

impl Binding {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            worker_session_id: row.get(2)?,
            manager_session_id: row.get(3)?,
            state: row.get(4)?,
            created_at: row.get(5)?,
            ended_at: row.get(6)?,
        })
    }
}

/// A task with its live binding and both sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundTask {
    /// The task.
    pub task: tasks::Task,
    /// Its binding, `active` or `ending`.
    pub binding: Binding,
    /// The bound worker.
    pub worker: Session,
    /// The bound manager.
    pub manager: Session,
}

/// The live binding of a task, if any. At most one exists (a unique index sees to it).
///
/// # Errors
/// Whatever SQLite answers.
pub fn live_of_task(conn: &Connection, task_id: &str) -> Result<Option<Binding>, StoreError> {
    live(conn, "task_id", task_id)
}

/// The live binding of a session in either role, if any.
///
/// # Errors
/// Whatever SQLite answers.
pub fn live_of_session(conn: &Connection, session_id: &str) -> Result<Option<Binding>, StoreError> {
    match live(conn, "worker_session_id", session_id)? {
        Some(binding) => Ok(Some(binding)),
        None => live(conn, "manager_session_id", session_id),
    }
}

fn live(conn: &Connection, column: &str, value: &str) -> Result<Option<Binding>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM bindings WHERE {column} = ?1 AND state IN ('active', 'ending')
         AND worker_session_id IS NOT NULL AND manager_session_id IS NOT NULL"
    );
    Ok(conn.prepare_cached(&sql)?.query_row([value], Binding::of).optional()?)
}

/// A task with its binding and sessions.
///
/// # Errors
/// `NotFound` for an unknown task, `Refused` for one without a live binding.
pub fn bound_task(conn: &Connection, reference: &str) -> Result<BoundTask, StoreError> {
    let task = tasks::get(conn, reference)?;
    let Some(binding) = live_of_task(conn, &task.id)? else {
        return Err(Failure::refused(format!("task {} has no active binding", task.name))
            .hint(format!("conveyor bind --task {} --worker WORKER --manager MANAGER", task.name))
            .into());
    };
    let worker = sessions::get(conn, &binding.worker_session_id)?;
    let manager = sessions::get(conn, &binding.manager_session_id)?;
    Ok(BoundTask { task, binding, worker, manager })
}

/// One task with its binding and sessions.
#[derive(Debug)]
pub struct GetBoundTask(pub String);

impl Query for GetBoundTask {
    type Out = BoundTask;

    fn run(self, conn: &Connection) -> Result<BoundTask, StoreError> {
        bound_task(conn, &self.0)
    }
}
