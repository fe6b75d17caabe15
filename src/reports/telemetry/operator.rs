//! What whoever runs this looks at: whether limits are kept, and who is at work.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::{Asked, SCHEMA_VERSION};
use crate::domain::CommandState;
use crate::domain::criteria::CriterionStatus;
use crate::domain::time::iso;
use crate::store::drift::{SessionProcess, StuckTask, stuck};
use crate::store::scope::Scope;
use crate::store::triage::{
    self, CommandLine, CycleKind, CycleLine, Retained, SessionLine, TaskLine, Undelivered, Working,
};
use crate::store::{Query, StoreError};

/// What is too much.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Accepted criteria that are not shown yet.
    pub max_open_criteria: i64,
    /// Bytes of the database file.
    pub max_storage_bytes: Option<i64>,
    /// Commands that are neither done nor failed.
    pub max_unfinished_commands: i64,
    /// Seconds a bound task may be without a cycle.
    pub stale_cycle_seconds: f64,
    /// Seconds a session may be silent.
    pub worker_staleness_seconds: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            max_open_criteria: 0,
            max_storage_bytes: None,
            max_unfinished_commands: 0,
            stale_cycle_seconds: 3600.0,
            worker_staleness_seconds: 3600.0,
        }
    }
}

/// Whether limits are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checks {
    /// All are.
    pub ok: bool,
    /// The limits.
    pub thresholds: Thresholds,
    /// Each of them.
    pub results: Vec<Check>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is limited.
    pub name: String,
    /// It is within its limit.
    pub ok: bool,
    /// What it is.
    pub value: i64,
    /// What it may be.
    pub limit: i64,
}

/// What whoever runs this looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operator {
    /// Whether limits are kept.
    pub checks: Checks,
    /// Commands in the scope.
    pub commands: Commands,
    /// Cycles that went wrong or did not happen.
    pub cycles: Cycles,
    /// Who is at work.
    pub sessions: Sessions,
    /// On what.
    pub tasks: Tasks,
}

/// Commands in the scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commands {
    /// How many are in which state.
    pub counts_by_state: BTreeMap<String, i64>,
    /// How many failed.
    pub failed_count: i64,
    /// The newest, newest first.
    pub recent: Vec<CommandLine>,
    /// All.
    pub total: i64,
}

impl Commands {
    /// # Errors
    /// Whatever SQLite answers.
    pub(super) fn read(conn: &Connection, scope: &Scope, limit: u32) -> Result<Self, StoreError> {
        let counts_by_state = triage::commands_by_state(conn, scope)?;
        Ok(Self {
            failed_count: counts_by_state.get("failed").copied().unwrap_or_default(),
            recent: triage::newest_commands(conn, scope, None, limit)?,
            total: counts_by_state.values().sum(),
            counts_by_state,
        })
    }

    fn unfinished(&self) -> i64 {
        let of = |state: CommandState| self.counts_by_state.get(state.as_str()).copied().unwrap_or_default();
        of(CommandState::Pending) + of(CommandState::Attempted)
    }
}

/// Cycles that went wrong or did not happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cycles {
    /// The newest that failed.
    pub recent_failed: Vec<CycleLine>,
    /// How many failed.
    pub recent_failed_count: i64,
    /// Bound tasks that nobody has looked at for long.
    pub stale: Vec<StuckTask>,
    /// How many.
    pub stale_count: usize,
}

/// Who is at work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    /// All active sessions, by name.
    pub active: Vec<SessionLine>,
    /// How many.
    pub active_count: usize,
    /// Those whose process is not there.
    pub dead_pid_sessions: Vec<SessionProcess>,
    /// How many.
    pub dead_pid_count: usize,
    /// Those that were silent for long.
    pub stale: Vec<SessionLine>,
    /// How many.
    pub stale_count: usize,
}

/// What is worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tasks {
    /// The newest tasks that have not ended.
    pub active: Vec<TaskLine>,
    /// How many.
    pub active_count: i64,
}

/// What is held against limits beside what [`Operator`] has.
#[derive(Debug)]
pub(super) struct Measured<'a> {
    pub(super) open_criteria: i64,
    pub(super) storage: &'a Retained,
    pub(super) undelivered: &'a Undelivered,
}

impl Operator {
    /// # Errors
    /// Whatever SQLite answers.
    pub(super) fn read(
        conn: &Connection,
        asked: &Asked,
        scope: &Scope,
        measured: &Measured<'_>,
    ) -> Result<Self, StoreError> {
        let limit = asked.limit;
        let commands = Commands::read(conn, scope, limit)?;
        let mut stale = stuck(conn, asked.thresholds.stale_cycle_seconds)?;
        stale.retain(|task| scope.task_id.as_ref().is_none_or(|id| *id == task.task_id));
        let cycles = Cycles {
            recent_failed: triage::newest_cycles(conn, scope, CycleKind::Failed, limit)?,
            recent_failed_count: triage::cycle_count(conn, scope, CycleKind::Failed)?,
            stale_count: stale.len(),
            stale,
        };
        let Working { tasks, task_count, sessions } = triage::working(conn, asked.now, limit)?;
        let sessions = Sessions::of(sessions, asked);
        Ok(Self {
            checks: Checks::of(asked.thresholds, &commands, &cycles, &sessions, measured),
            commands,
            cycles,
            sessions,
            tasks: Tasks { active: tasks, active_count: task_count },
        })
    }
}

impl Sessions {
    fn of(active: Vec<SessionLine>, asked: &Asked) -> Self {
        let too_long = asked.thresholds.worker_staleness_seconds;
        let is_stale =
            |session: &&SessionLine| session.heartbeat_age_seconds.is_some_and(|age| age > too_long);
        let stale: Vec<SessionLine> = active.iter().filter(is_stale).cloned().collect();
        Self {
            active_count: active.len(),
            active,
            dead_pid_count: asked.dead.len(),
            dead_pid_sessions: asked.dead.clone(),
            stale_count: stale.len(),
            stale,
        }
    }
}

impl Checks {
    fn of(
        thresholds: Thresholds,
        commands: &Commands,
        cycles: &Cycles,
        sessions: &Sessions,
        measured: &Measured<'_>,
    ) -> Self {
        let check = |name: &str, value: i64, limit: i64| Check {
            name: name.to_owned(),
            ok: value <= limit,
            value,
            limit,
        };
        let counted = |name: &str, count: usize| check(name, i64::try_from(count).unwrap_or(i64::MAX), 0);
        let mut results = vec![
            check("failed_commands", commands.failed_count, 0),
            check("failed_cycles", cycles.recent_failed_count, 0),
            check("unfinished_commands", commands.unfinished(), thresholds.max_unfinished_commands),
            check("open_criteria", measured.open_criteria, thresholds.max_open_criteria),
            check("unknown_deliveries", measured.undelivered.unknown_deliveries.count, 0),
            check("dead_letters", measured.undelivered.dead_letters.count, 0),
            counted("stale_cycles", cycles.stale_count),
            counted("stale_sessions", sessions.stale_count),
            counted("dead_pid_sessions", sessions.dead_pid_count),
        ];
        if let Some(limit) = thresholds.max_storage_bytes {
            results.push(check("storage_bytes", measured.storage.database_file, limit));
        }
        Self { ok: results.iter().all(|check| check.ok), thresholds, results }
    }
}

/// Whether limits are kept, and what they are held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckView {
    /// The version of this shape.
    pub schema_version: u32,
    /// When this was read.
    pub generated_at: String,
    /// All limits are kept.
    pub ok: bool,
    /// What whoever runs this looks at.
    pub operator: Operator,
    /// How much is kept.
    pub storage: Retained,
    /// What needs a person.
    #[serde(flatten)]
    pub undelivered: Undelivered,
}

/// Reads a [`CheckView`].
#[derive(Debug)]
pub struct ReadCheck(pub Asked);

impl Query for ReadCheck {
    type Out = CheckView;

    /// # Errors
    /// `NotFound` for an unknown task or run.
    fn run(self, conn: &Connection) -> Result<CheckView, StoreError> {
        let Self(asked) = self;
        let scope = asked.scope(conn)?;
        let storage = triage::retained(conn, None)?;
        let undelivered = triage::undelivered(conn, &scope, asked.limit)?;
        let open = triage::criteria_by_status(conn, &scope)?;
        let measured = Measured {
            open_criteria: open.get(CriterionStatus::Accepted.as_str()).copied().unwrap_or_default(),
            storage: &storage,
            undelivered: &undelivered,
        };
        let operator = Operator::read(conn, &asked, &scope, &measured)?;
        Ok(CheckView {
            schema_version: SCHEMA_VERSION,
            generated_at: iso(asked.now),
            ok: operator.checks.ok,
            operator,
            storage,
            undelivered,
        })
    }
}
