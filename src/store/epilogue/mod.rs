//! Epilogue: the steps that are configured to follow a task's work, and how each went.

mod draft;
mod step;

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use step::{BeginStep, Begun, FinishTools, ToolOutcome};

use super::tasks::{self, Task};
use super::{Query, StoreError, manager_config, row};

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

const COLUMNS: &str =
    "id, task_id, step_name, state, started_at, finished_at, result_json, error, correlation_id";

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
pub struct StepStatus {
    /// The step.
    pub step_name: String,
    /// Its latest run succeeded.
    pub ok: bool,
    /// The state of its latest run, or `missing`.
    pub state: String,
    /// Its latest run.
    pub latest_run: Option<EpilogueRun>,
}

/// Where a task's epilogue stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpilogueStatus {
    /// The steps that did not succeed.
    pub missing_or_incomplete: Vec<String>,
    /// All of them did.
    pub ok: bool,
    /// The steps that are configured.
    pub required_steps: Vec<String>,
    /// Where each stands.
    pub steps: Vec<StepStatus>,
}

/// Where these steps of a task stand, in the order given.
///
/// # Errors
/// Whatever SQLite answers.
pub fn status(
    conn: &Connection,
    task_id: &str,
    required_steps: Vec<String>,
) -> Result<EpilogueStatus, StoreError> {
    let steps: Vec<StepStatus> =
        required_steps.iter().map(|name| step_status(conn, task_id, name)).collect::<Result<_, _>>()?;
    let missing_or_incomplete: Vec<String> =
        steps.iter().filter(|step| !step.ok).map(|step| step.step_name.clone()).collect();
    Ok(EpilogueStatus { ok: missing_or_incomplete.is_empty(), missing_or_incomplete, required_steps, steps })
}

fn step_status(conn: &Connection, task_id: &str, name: &str) -> Result<StepStatus, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM epilogue_runs WHERE task_id = ?1 AND step_name = ?2 ORDER BY id DESC LIMIT 1"
    );
    let latest_run = conn.prepare_cached(&sql)?.query_row([task_id, name], EpilogueRun::of).optional()?;
    let state = latest_run.as_ref().map_or_else(|| "missing".to_owned(), |run| run.state.clone());
    Ok(StepStatus { step_name: name.to_owned(), ok: state == "succeeded", state, latest_run })
}

/// The steps a task's contract asks for.
///
/// # Errors
/// Whatever SQLite answers.
pub fn configured_steps(conn: &Connection, task_id: &str) -> Result<Vec<String>, StoreError> {
    Ok(manager_config::find(conn, task_id)?.map(|config| config.epilogues).unwrap_or_default())
}

/// A task's epilogue with its history.
#[derive(Debug, Clone, PartialEq)]
pub struct EpilogueReport {
    /// The task.
    pub task: Task,
    /// The steps its contract asks for.
    pub configured_steps: Vec<String>,
    /// Every run, oldest first.
    pub runs: Vec<EpilogueRun>,
    /// Where the configured steps stand.
    pub status: EpilogueStatus,
}

/// The epilogue of a task.
#[derive(Debug)]
pub struct GetEpilogue(pub String);

impl Query for GetEpilogue {
    type Out = EpilogueReport;

    fn run(self, conn: &Connection) -> Result<EpilogueReport, StoreError> {
        let task = tasks::get(conn, &self.0)?;
        let configured_steps = configured_steps(conn, &task.id)?;
        let runs = conn
            .prepare_cached(&format!("SELECT {COLUMNS} FROM epilogue_runs WHERE task_id = ?1 ORDER BY id"))?
            .query_map([&task.id], EpilogueRun::of)?
            .collect::<Result<_, _>>()?;
        let status = status(conn, &task.id, configured_steps.clone())?;
        Ok(EpilogueReport { task, configured_steps, runs, status })
    }
}
