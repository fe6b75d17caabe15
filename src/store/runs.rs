//! Runs: named stretches of work on a task. A run of purpose `ralph_loop` holds a loop policy.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{StoreError, row};
use crate::domain::{Failure, LoopPolicy, time::now_iso};

/// A row of `runs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// `run-<uuid>`.
    pub id: String,
    /// The task.
    pub task_id: String,
    /// Chosen by a person, or `<task>-<time>`.
    pub name: String,
    /// What it is for, e.g. `ralph_loop`.
    pub purpose: Option<String>,
    /// `active`, `finished`, `failed` or `abandoned`.
    pub status: String,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// What else is known; a loop's policy.
    pub metadata: Value,
}

const COLUMNS: &str = "id, task_id, name, purpose, status, started_at, ended_at, metadata_json";

impl Run {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            name: row.get(2)?,
            purpose: row.get(3)?,
            status: row.get(4)?,
            started_at: row.get(5)?,
            ended_at: row.get(6)?,
            metadata: row::json(row, 7)?,
        })
    }
}

/// The run that `reference` names: by id, else by name, this task's before others', the newest first.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find(conn: &Connection, task_id: &str, reference: &str) -> Result<Option<Run>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM runs WHERE id = ?1 OR name = ?1
         ORDER BY id = ?1 DESC, task_id = ?2 DESC, started_at DESC, rowid DESC LIMIT 1"
    );
    Ok(conn.prepare_cached(&sql)?.query_row([reference, task_id], Run::of).optional()?)
}

/// The id of the task's active run, if any. At most one exists (a unique index sees to it).
///
/// # Errors
/// Whatever SQLite answers.
pub fn active_of_task(conn: &Connection, task_id: &str) -> Result<Option<String>, StoreError> {
    Ok(conn
        .prepare_cached("SELECT id FROM runs WHERE task_id = ?1 AND status = 'active'")?
        .query_row([task_id], |row| row.get(0))
        .optional()?)
}

/// Ends the active run of a task, if it has one, and tells of it; gives the run's id.
///
/// # Errors
/// Whatever SQLite answers.
pub fn end_active(conn: &Connection, task_id: &str, status: &str) -> Result<Option<String>, StoreError> {
    let run_id: Option<String> = conn
        .prepare_cached(
            "UPDATE runs SET status = ?2, ended_at = ?3 WHERE task_id = ?1 AND status = 'active' RETURNING id",
        )?
        .query_row((task_id, status, now_iso()), |row| row.get(0))
        .optional()?;
    if let Some(run_id) = &run_id {
        telemetry::emit(
            conn,
            &Telemetry {
                actor: Actor::Workerctl,
                event_type: "run_finished",
                severity: Severity::Info,
                summary: &format!("run {status}"),
                task_id: Some(task_id),
                run_id: Some(run_id),
                correlation: json!({ "run_id": run_id }),
                attributes: json!({ "status": status }),
            },
        )?;
    }
    Ok(run_id)
}

/// The loop policy that a run of this task holds.
///
/// # Errors
/// `NotFound` for an unknown run; `Refused` for a run of another task or without a loop policy.
pub fn loop_policy(conn: &Connection, task_id: &str, reference: &str) -> Result<LoopPolicy, StoreError> {
    let Some(run) = find(conn, task_id, reference)? else {
        let names = names_of_task(conn, task_id)?;
        return Err(Failure::unknown_name("run", reference, &names)
            .hint("see what exists: `conveyor runs --list`")
            .into());
    };
    if run.task_id != task_id {
        return Err(Failure::refused(format!("run {} belongs to another task", run.name)).into());
    }
    LoopPolicy::of_run(&run.id, &run.metadata).ok_or_else(|| {
        Failure::refused(format!("run {} holds no loop policy", run.name))
            .hint("make one that does: `conveyor loop-templates --create-run TASK --template TEMPLATE`")
            .into()
    })
}

fn names_of_task(conn: &Connection, task_id: &str) -> Result<Vec<String>, StoreError> {
    let names = conn
        .prepare_cached("SELECT name FROM runs WHERE task_id = ?1")?
        .query_map([task_id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(names)
}
