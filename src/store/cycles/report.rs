//! What a cycle reports, and what of it is told by the worker's events.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::context::ManagerContext;
use crate::domain::activity::task_completed;
use crate::domain::pane_signal::PaneSignal;
use crate::domain::time::parse_iso;
use crate::domain::{Activity, TurnOutcome};
use crate::store::session_facts::SessionFact;
use crate::store::{Query, StoreError, codex_events, row, turn_facts};

/// Where the count of recent events stops.
const MAX_RECENT_EVENTS: u32 = 1000;

/// The answer of `cycle`, and the `status_json` of its row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleReport {
    /// Always `session_cycle`.
    pub kind: String,
    /// The task's name.
    pub task: String,
    /// The binding.
    pub binding_id: String,
    /// The cycle's row.
    pub cycle_id: i64,
    /// When it began.
    pub cycle_started_at: String,
    /// When it ended.
    pub cycle_completed_at: String,
    /// The worker's name.
    pub worker_session: String,
    /// The manager's name.
    pub manager_session: String,
    /// The worker's process is there.
    pub worker_alive: bool,
    /// The manager's process is there.
    pub manager_alive: bool,
    /// What is so of the worker and needs to be known: it has exited, it waits for somebody, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worker_conditions: Vec<SessionFact>,
    /// The same of the manager: it sat idle while something waited for it, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manager_conditions: Vec<SessionFact>,
    /// What this cycle read of the worker's rollout.
    pub ingest: TakenIn,
    /// What the worker is doing.
    #[serde(flatten)]
    pub worker: WorkerState,
    /// The class of the worker's screen, when it could be looked at: `idle`, `working`,
    /// `blocked:approval`, …
    pub pane_class: Option<String>,
    /// The pattern found on the worker's screen, or why there was no screen.
    pub notable_pane_pattern: Option<String>,
    /// The look at the worker's screen.
    pub pane_signal: PaneSignal,
    /// Inbox items that this cycle took.
    pub consumed_dispatch_notifications: usize,
    /// The agreed frame of the work.
    pub manager_context: ManagerContext,
}

/// What a cycle itself read of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenIn {
    /// Lines that became events.
    pub new_events: u64,
    /// Where the next read starts.
    pub new_offset: u64,
    /// Lines that could not be read.
    pub skipped_lines: u64,
}

/// What a worker is doing, as its events tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerState {
    /// Whether a turn runs.
    pub state: Activity,
    /// The subtype of the newest event of any kind.
    pub last_event_subtype: Option<String>,
    /// When the event was written that tells the state.
    pub last_state_event_at: Option<String>,
    /// Seconds since then.
    pub staleness_seconds: Option<f64>,
    /// The newest event ends a turn.
    pub task_completed: bool,
    /// How the last turn that ended did so.
    pub last_turn: Option<LastTurn>,
    /// The newest event's id.
    pub last_event_id: Option<i64>,
    /// Events since the cycle before, whoever read them; counted up to a thousand.
    pub recent_events: u64,
}

/// What a cycle saw, as it was stored.
///
/// # Errors
/// Whatever SQLite answers.
pub fn status(conn: &Connection, cycle_id: i64) -> Result<Option<Value>, StoreError> {
    let status = conn
        .prepare_cached("SELECT status_json FROM manager_cycles WHERE id = ?1")?
        .query_row([cycle_id], |row| row::optional_json(row, 0))
        .optional()?;
    Ok(status.flatten())
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastTurn {
    /// Completed, interrupted or failed.
    pub outcome: TurnOutcome,
    /// Why it failed: `{message, codex_error_info}`.
    pub error: Option<Value>,
    /// The turn, when Codex gave it an id.
    pub turn_id: Option<String>,
}

/// What a worker is doing.
#[derive(Debug, Clone)]
pub struct ReadWorkerState {
    /// The task, whose last cycle counts.
    pub task_id: String,
    /// The worker.
    pub session_id: String,
    /// Now.
    pub now: Timestamp,
}

impl Query for ReadWorkerState {
    type Out = WorkerState;

    fn run(self, conn: &Connection) -> Result<WorkerState, StoreError> {
        let told = codex_events::told(conn, &self.session_id)?;
        let stated_at = told.state_event_at.as_deref().and_then(parse_iso);
        let last_turn = turn_facts::latest(conn, &self.session_id)?.map(|fact| LastTurn {
            outcome: fact.outcome,
            error: fact.error,
            turn_id: fact.key.id().map(str::to_owned),
        });
        Ok(WorkerState {
            state: told.activity,
            task_completed: task_completed(told.last_subtype.as_deref()),
            last_event_subtype: told.last_subtype,
            last_state_event_at: told.state_event_at,
            staleness_seconds: stated_at.map(|at| self.now.duration_since(at).as_secs_f64().max(0.0)),
            last_turn,
            last_event_id: told.last_event_id,
            recent_events: self.recent_events(conn)?,
        })
    }
}

impl ReadWorkerState {
    fn recent_events(&self, conn: &Connection) -> Result<u64, StoreError> {
        let seen: Option<Option<i64>> = conn
            .prepare_cached(
                "SELECT status_json ->> '$.last_event_id' FROM manager_cycles
                 WHERE task_id = ?1 AND state = 'succeeded' ORDER BY id DESC LIMIT 1",
            )?
            .query_row([&self.task_id], |row| row.get(0))
            .optional()?;
        let recent: i64 = conn
            .prepare_cached(
                "SELECT count(*) FROM (SELECT 1 FROM codex_events WHERE session_id = ?1 AND id > ?2 LIMIT ?3)",
            )?
            .query_row((&self.session_id, seen.flatten().unwrap_or(0), MAX_RECENT_EVENTS), |row| row.get(0))?;
        Ok(recent.unsigned_abs())
    }
}
