//! Epilogue: the steps that are configured to follow a task's work, and how each went.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{StoreError, row};

/// A row of `epilogue_runs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpilogueRun {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// The step.
    pub step_name: String,
    /// `pending`, `running`, `succeeded`, `failed` or `skipped`.
    pub state: String,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// What came of it.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// Ties it to its cause.
    pub correlation_id: Option<String>,
}

impl EpilogueRun {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            step_name: row.get(2)?,
            state: row.get(3)?,
            started_at: row.get(4)?,
            finished_at: row.get(5)?,
            result: row::optional_json(row, 6)?,
            error: row.get(7)?,
            correlation_id: row.get(8)?,
        })
    }
}

/// Where a configured step stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpilogueStep {
    /// The step.
    pub step_name: String,
    /// Its latest run succeeded.
    pub ok: bool,
    /// The state of its latest run, or `missing`.
    pub state: String,
    /// Its latest run.
    pub latest_run: Option<EpilogueRun>,
}

/// Where the steps stand, in the order given.
///
/// # Errors
/// Whatever SQLite answers.
pub fn steps(conn: &Connection, task_id: &str, names: &[String]) -> Result<Vec<EpilogueStep>, StoreError> {
    names.iter().map(|name| step(conn, task_id, name)).collect()
}

fn step(conn: &Connection, task_id: &str, name: &str) -> Result<EpilogueStep, StoreError> {
    let latest_run = conn
        .prepare_cached(
            "SELECT id, task_id, step_name, state, started_at, finished_at, result_json, error, correlation_id
             FROM epilogue_runs WHERE task_id = ?1 AND step_name = ?2 ORDER BY id DESC LIMIT 1",
        )?
        .query_row([task_id, name], EpilogueRun::of)
        .optional()?;
    let state = latest_run.as_ref().map_or_else(|| "missing".to_owned(), |run| run.state.clone());
    Ok(EpilogueStep { step_name: name.to_owned(), ok: state == "succeeded", state, latest_run })
}
