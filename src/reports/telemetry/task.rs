//! One task, for whoever looks into what went wrong.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::operator::Commands;
use super::{Alert, Asked, SCHEMA_VERSION, alerts};
use crate::domain::criteria::{CriteriaSummary, CriterionStatus};
use crate::domain::time::parse_iso;
use crate::domain::{CommandState, Decision, Failure};
use crate::store::drift::dangling;
use crate::store::page::Page;
use crate::store::scope::Scope;
use crate::store::sessions::Session;
use crate::store::tasks::Task;
use crate::store::telemetry::{self, Counts, LineKind, Severity, TelemetryLine};
use crate::store::triage::{
    self, CommandLine, CriterionLine, CycleKind, CycleLine, Ingest, Retained, Undelivered,
};
use crate::store::{Query, StoreError, bindings, decisions, sessions, tasks};

/// One task. Each list has its newest rows, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    /// The version of this shape.
    pub schema_version: u32,
    /// The task.
    pub task: CheckedTask,
    /// What to look at first.
    pub alerts: Vec<Alert>,
    /// Whether its pair is there.
    pub liveness: Liveness,
    /// Its cycles.
    pub cycles: TaskCycles,
    /// Its commands.
    pub commands: Commands,
    /// Those that failed.
    pub failed_commands: Vec<CommandLine>,
    /// What was decided.
    pub decisions: Decisions,
    /// Its criteria.
    pub criteria: TaskCriteria,
    /// How reading its worker's rollout went.
    pub ingest: Ingest,
    /// What the runtime did for it.
    pub telemetry: TaskTelemetry,
    /// How much of its texts is kept.
    pub storage: Retained,
    /// What needs a person.
    #[serde(flatten)]
    pub undelivered: Undelivered,
}

/// A task and whether its records fit each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedTask {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// Whether its records fit each other.
    pub integrity: Integrity,
}

/// Whether the records of a task fit each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integrity {
    /// They do.
    pub ok: bool,
    /// What does not fit.
    pub issues: Vec<String>,
}

/// Whether the pair of a task is there. None where there is no pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Liveness {
    /// Seconds since the last cycle began.
    pub latest_cycle_age_seconds: Option<f64>,
    /// That is too long ago.
    pub latest_cycle_stale: bool,
    /// The worker's process is there.
    pub worker_alive: Option<bool>,
    /// The manager's process is there.
    pub manager_alive: Option<bool>,
}

/// The cycles of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskCycles {
    /// How many are in which state.
    pub counts_by_state: BTreeMap<String, i64>,
    /// All.
    pub total: i64,
    /// The newest.
    pub history: Vec<CycleLine>,
    /// The last that succeeded.
    pub last_successful: Option<CycleLine>,
    /// Those that failed.
    pub failed: Vec<CycleLine>,
    /// How many.
    pub failed_count: i64,
    /// Those without the worker's screen.
    pub pane_capture_failures: Vec<CycleLine>,
    /// How many.
    pub pane_capture_failure_count: i64,
    /// How often which pattern was on the worker's screen.
    pub notable_pane_patterns: BTreeMap<String, i64>,
}

/// What was decided about a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decisions {
    /// The newest.
    pub recent: Vec<DecisionLine>,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionLine {
    /// Its row id.
    pub id: i64,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// The cycle it was based on.
    pub manager_cycle_id: Option<i64>,
    /// When.
    pub created_at: String,
}

/// The criteria of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCriteria {
    /// The accepted ones.
    pub open: Vec<CriterionLine>,
    /// How many.
    pub open_count: usize,
    /// How many stand where.
    pub summary: CriteriaSummary,
    /// All.
    pub total: usize,
}

/// What the runtime did for a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTelemetry {
    /// The newest events.
    pub recent: Vec<TelemetryLine>,
    /// How many of which kind.
    pub summary: Counts,
}

/// Reads a [`TaskView`].
#[derive(Debug)]
pub struct ReadTask(pub Asked);

impl Query for ReadTask {
    type Out = TaskView;

    /// # Errors
    /// `NotFound` for an unknown task or run; `Usage` when no task is named.
    fn run(self, conn: &Connection) -> Result<TaskView, StoreError> {
        read(conn, &self.0)
    }
}

/// As [`ReadTask`], for use inside another query.
///
/// # Errors
/// As there.
pub(super) fn read(conn: &Connection, asked: &Asked) -> Result<TaskView, StoreError> {
    let Some(task) = &asked.task else {
        return Err(Failure::usage("this view is of one task, and none is named").into());
    };
    let task = tasks::get(conn, task)?;
    let scope = asked.scope(conn)?;
    let limit = asked.limit;
    let page = Page { limit, since: scope.since, until: None };
    let decisions = decisions::newest_of_task(conn, &task.id, &page)?.rows.into_iter().rev();
    let cycles = TaskCycles::read(conn, &scope, limit)?;
    let mut view = TaskView {
        schema_version: SCHEMA_VERSION,
        alerts: Vec::new(),
        liveness: Liveness::read(conn, asked, &task.id, cycles.history.first())?,
        commands: Commands::read(conn, &scope, limit)?,
        failed_commands: triage::newest_commands(conn, &scope, Some(CommandState::Failed), limit)?,
        decisions: Decisions { recent: decisions.map(DecisionLine::from).collect() },
        criteria: TaskCriteria::read(conn, &scope, limit)?,
        ingest: triage::ingest(conn, &scope, &telemetry::counts(conn, &scope)?, limit)?,
        storage: triage::retained(conn, Some(&task.id))?,
        undelivered: triage::undelivered(conn, &scope, limit)?,
        telemetry: TaskTelemetry {
            recent: telemetry::newest_lines(conn, &scope, LineKind::Any, limit)?,
            summary: telemetry::read_counts(conn, scope)?,
        },
        task: CheckedTask::read(conn, task)?,
        cycles,
    };
    view.alerts = view.alerts();
    Ok(view)
}

impl TaskView {
    fn alerts(&self) -> Vec<Alert> {
        let errors = self.telemetry.summary.by_severity.get("error").copied().unwrap_or_default();
        let gone = |side: &str, alive: Option<bool>| {
            let (alert_type, one) = (format!("{side}_gone"), format!("{side} has no process"));
            alerts::when_any(&alert_type, Severity::Error, i64::from(alive == Some(false)), &one, &one)
        };
        let (one, several) = ("error in its telemetry", "errors in its telemetry");
        [
            alerts::open_accepted_criteria(i64::try_from(self.criteria.open_count).unwrap_or(i64::MAX)),
            alerts::failed_cycles(self.cycles.failed_count),
            alerts::failed_commands(self.commands.failed_count),
            alerts::when_any("telemetry_errors", Severity::Error, errors, one, several),
            alerts::ingest_errors(self.ingest.error_count),
            gone("worker", self.liveness.worker_alive),
            gone("manager", self.liveness.manager_alive),
            alerts::unknown_deliveries(self.undelivered.unknown_deliveries.count),
            alerts::dead_letters(self.undelivered.dead_letters.count),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl CheckedTask {
    fn read(conn: &Connection, task: Task) -> Result<Self, StoreError> {
        let of_task = dangling(conn)?.into_iter().filter(|binding| binding.task_id == task.id);
        let issues: Vec<String> = of_task
            .map(|binding| match (binding.gone_role, binding.gone_session_name) {
                (Some(role), Some(name)) => format!("it is bound to {role} {name}, which is gone"),
                _ => format!("it is {} and still bound", binding.task_state),
            })
            .collect();
        Ok(Self { task, integrity: Integrity { ok: issues.is_empty(), issues } })
    }
}

impl Liveness {
    fn read(
        conn: &Connection,
        asked: &Asked,
        task_id: &str,
        latest: Option<&CycleLine>,
    ) -> Result<Self, StoreError> {
        let is_alive =
            |session: &Session| session.pid.is_some() && asked.dead.iter().all(|dead| dead.id != session.id);
        let (mut worker_alive, mut manager_alive) = (None, None);
        if let Some(binding) = bindings::live_of_task(conn, task_id)? {
            worker_alive = sessions::find(conn, &binding.worker_session_id)?.as_ref().map(is_alive);
            manager_alive = sessions::find(conn, &binding.manager_session_id)?.as_ref().map(is_alive);
        }
        let age = latest
            .and_then(|cycle| parse_iso(&cycle.started_at))
            .map(|at| asked.now.duration_since(at).as_secs_f64());
        Ok(Self {
            latest_cycle_age_seconds: age,
            latest_cycle_stale: age.is_some_and(|age| age > asked.thresholds.stale_cycle_seconds),
            worker_alive,
            manager_alive,
        })
    }
}

impl TaskCycles {
    fn read(conn: &Connection, scope: &Scope, limit: u32) -> Result<Self, StoreError> {
        let newest = |kind, limit| triage::newest_cycles(conn, scope, kind, limit);
        let counts_by_state = triage::cycles_by_state(conn, scope)?;
        Ok(Self {
            total: counts_by_state.values().sum(),
            history: newest(CycleKind::Any, limit)?,
            last_successful: newest(CycleKind::Succeeded, 1)?.pop(),
            failed: newest(CycleKind::Failed, limit)?,
            failed_count: counts_by_state.get("failed").copied().unwrap_or_default(),
            pane_capture_failures: newest(CycleKind::WithoutPane, limit)?,
            pane_capture_failure_count: triage::cycle_count(conn, scope, CycleKind::WithoutPane)?,
            notable_pane_patterns: triage::notable_patterns(conn, scope)?,
            counts_by_state,
        })
    }
}

impl From<decisions::ManagerDecision> for DecisionLine {
    fn from(decision: decisions::ManagerDecision) -> Self {
        Self {
            id: decision.id,
            decision: decision.decision,
            reason: decision.reason,
            manager_cycle_id: decision.manager_cycle_id,
            created_at: decision.created_at,
        }
    }
}

impl TaskCriteria {
    fn read(conn: &Connection, scope: &Scope, limit: u32) -> Result<Self, StoreError> {
        let summary = summary(&triage::criteria_by_status(conn, scope)?);
        let CriteriaSummary { proposed, accepted, satisfied, deferred, rejected } = summary;
        Ok(Self {
            open: triage::newest_criteria(conn, scope, CriterionStatus::Accepted, limit)?,
            open_count: accepted,
            summary,
            total: proposed + accepted + satisfied + deferred + rejected,
        })
    }
}

/// The counts with those that are none.
pub(super) fn summary(by_status: &BTreeMap<String, i64>) -> CriteriaSummary {
    let of = |status: CriterionStatus| {
        let count = by_status.get(status.as_str()).copied().unwrap_or_default();
        usize::try_from(count).unwrap_or_default()
    };
    CriteriaSummary {
        proposed: of(CriterionStatus::Proposed),
        accepted: of(CriterionStatus::Accepted),
        satisfied: of(CriterionStatus::Satisfied),
        deferred: of(CriterionStatus::Deferred),
        rejected: of(CriterionStatus::Rejected),
    }
}
