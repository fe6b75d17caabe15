//! What went wrong, across tasks.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::operator::{Measured, Operator};
use super::{Alert, Asked, SCHEMA_VERSION, Span, alerts};
use crate::domain::CommandState;
use crate::domain::criteria::CriterionStatus;
use crate::store::telemetry::{Severity, counts};
use crate::store::triage::{
    self, CommandLine, CriterionLine, CycleKind, CycleLine, Ingest, Retained, Undelivered,
};
use crate::store::{Query, StoreError};

/// What went wrong. Each list has its newest rows, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailuresView {
    /// The version of this shape.
    pub schema_version: u32,
    /// What was asked for.
    pub filters: Filters,
    /// What to look at first.
    pub alerts: Vec<Alert>,
    /// Cycles that failed.
    pub failed_cycles: Vec<CycleLine>,
    /// Commands that failed.
    pub failed_commands: Vec<CommandLine>,
    /// How reading the rollouts went.
    pub ingest: Ingest,
    /// Cycles without their worker's screen.
    pub pane_capture_failures: Vec<CycleLine>,
    /// Criteria that are not shown yet.
    pub open_criteria: OpenCriteria,
    /// Whether limits are kept, and who is at work.
    pub operator: Operator,
    /// How much is kept.
    pub storage: Retained,
    /// What needs a person.
    #[serde(flatten)]
    pub undelivered: Undelivered,
    /// How many there are of what the lists show.
    pub counts: FailureCounts,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters {
    /// Only this task.
    pub task_id: Option<String>,
    /// Only this run.
    pub run_id: Option<String>,
    /// Only tasks that have not ended.
    pub active_only: bool,
    /// Only this stretch of time.
    pub window: Option<Span>,
}

/// Criteria that are not shown yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCriteria {
    /// How many stand where.
    pub by_status: BTreeMap<String, i64>,
    /// The accepted ones.
    pub open_accepted: Vec<CriterionLine>,
    /// How many.
    pub open_accepted_count: i64,
}

/// How many there are of what the lists show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "one for each list")]
pub struct FailureCounts {
    pub failed_cycles: i64,
    pub failed_commands: i64,
    pub pane_capture_failures: i64,
}

/// Reads a [`FailuresView`].
#[derive(Debug)]
pub struct ReadFailures(pub Asked);

impl Query for ReadFailures {
    type Out = FailuresView;

    /// # Errors
    /// `NotFound` for an unknown task or run.
    fn run(self, conn: &Connection) -> Result<FailuresView, StoreError> {
        let Self(asked) = self;
        let scope = asked.scope(conn)?;
        let limit = asked.limit;
        let by_status = triage::criteria_by_status(conn, &scope)?;
        let open_accepted_count =
            by_status.get(CriterionStatus::Accepted.as_str()).copied().unwrap_or_default();
        let open_criteria = OpenCriteria {
            open_accepted: triage::newest_criteria(conn, &scope, CriterionStatus::Accepted, limit)?,
            open_accepted_count,
            by_status,
        };
        let storage = triage::retained(conn, None)?;
        let undelivered = triage::undelivered(conn, &scope, limit)?;
        let measured =
            Measured { open_criteria: open_accepted_count, storage: &storage, undelivered: &undelivered };
        let operator = Operator::read(conn, &asked, &scope, &measured)?;
        let mut view = FailuresView {
            schema_version: SCHEMA_VERSION,
            alerts: Vec::new(),
            failed_cycles: operator.cycles.recent_failed.clone(),
            failed_commands: triage::newest_commands(conn, &scope, Some(CommandState::Failed), limit)?,
            ingest: triage::ingest(conn, &scope, &counts(conn, &scope)?, limit)?,
            pane_capture_failures: triage::newest_cycles(conn, &scope, CycleKind::WithoutPane, limit)?,
            counts: FailureCounts {
                failed_cycles: operator.cycles.recent_failed_count,
                failed_commands: operator.commands.failed_count,
                pane_capture_failures: triage::cycle_count(conn, &scope, CycleKind::WithoutPane)?,
            },
            open_criteria,
            operator,
            storage,
            undelivered,
            filters: Filters {
                window: asked.window.as_ref().map(|window| asked.span(window)),
                task_id: scope.task_id,
                run_id: scope.run_id,
                active_only: scope.active_only,
            },
        };
        view.alerts = view.alerts();
        Ok(view)
    }
}

impl FailuresView {
    fn alerts(&self) -> Vec<Alert> {
        let (one, several) = ("cycle was without the screen", "cycles were without the screen");
        let without_pane = self.counts.pane_capture_failures;
        [
            alerts::failed_cycles(self.counts.failed_cycles),
            alerts::failed_commands(self.counts.failed_commands),
            alerts::ingest_errors(self.ingest.error_count),
            alerts::when_any("pane_capture_failures", Severity::Warning, without_pane, one, several),
            alerts::open_accepted_criteria(self.open_criteria.open_accepted_count),
            alerts::unknown_deliveries(self.undelivered.unknown_deliveries.count),
            alerts::dead_letters(self.undelivered.dead_letters.count),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
