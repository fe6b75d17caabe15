//! Tasks: units of supervised work.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::{Change, Query, StoreError, Topic};
use crate::domain::{Failure, ids::new_id, time::now_iso};

/// A row of `tasks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// `task-<uuid>`.
    pub id: String,
    /// Unique among tasks that are not ended; chosen by a person.
    pub name: String,
    /// What the task is for.
    pub goal: String,
    /// A longer text, when given.
    pub summary: Option<String>,
    /// `candidate`, `managed`, `paused`, `done` or `failed`.
    pub state: String,
    /// When it was created.
    pub created_at: String,
    /// When its row last changed.
    pub updated_at: String,
}

const COLUMNS: &str = "id, name, goal, summary, state, created_at, updated_at";

impl Task {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            goal: row.get(2)?,
            summary: row.get(3)?,
            state: row.get(4)?,
            created_at: row.get(5)?,
            updated_at: row.get(6)?,
        })
    }
}

/// The task that `reference` names: by id, else the newest with that name.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find(conn: &Connection, reference: &str) -> Result<Option<Task>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tasks WHERE id = ?1 OR name = ?1 ORDER BY id = ?1 DESC, created_at DESC LIMIT 1"
    );
    Ok(conn.prepare_cached(&sql)?.query_row([reference], Task::of).optional()?)
}

/// As [`find`], refusing an unknown name with the nearest known one.
///
/// # Errors
/// `NotFound` when there is no such task.
pub fn get(conn: &Connection, reference: &str) -> Result<Task, StoreError> {
    if let Some(task) = find(conn, reference)? {
        return Ok(task);
    }
    let names: Vec<String> = conn
        .prepare_cached("SELECT name FROM tasks ORDER BY created_at DESC LIMIT 1000")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Err(Failure::unknown_name("task", reference, &names).hint("see what exists: `conveyor tasks`").into())
}

/// The id of the task that a reference names.
#[derive(Debug)]
pub struct TaskIdOf(pub String);

impl Query for TaskIdOf {
    type Out = Option<String>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        Ok(find(conn, &self.0)?.map(|task| task.id))
    }
}

/// All tasks, oldest first.
#[derive(Debug)]
pub struct ListTasks {
    /// Only those that are not done or failed.
    pub active_only: bool,
}

impl Query for ListTasks {
    type Out = Vec<Task>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tasks WHERE NOT ?1 OR state IN ('candidate', 'managed', 'paused') ORDER BY created_at, rowid"
        );
        let rows =
            conn.prepare_cached(&sql)?.query_map([self.active_only], Task::of)?.collect::<Result<_, _>>()?;
        Ok(rows)
    }
}

/// Creates a candidate task.
#[derive(Debug)]
pub struct CreateTask {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub goal: String,
    /// A longer text.
    pub summary: Option<String>,
}

impl Change for CreateTask {
    type Out = Task;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<Task, StoreError> {
        let now = now_iso();
        let task = Task {
            id: new_id("task"),
            name: self.name,
            goal: self.goal,
            summary: self.summary,
            state: "candidate".into(),
            created_at: now.clone(),
            updated_at: now,
        };
        tx.execute(
            "INSERT INTO tasks (id, name, goal, summary, state, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (&task.id, &task.name, &task.goal, &task.summary, &task.state, &task.created_at, &task.updated_at),
        )?;
        Ok(task)
    }
}
