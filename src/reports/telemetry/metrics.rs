//! Counts of a stretch of time, and what there is now.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::task::summary;
use super::{Asked, SCHEMA_VERSION, Span};
use crate::domain::criteria::CriteriaSummary;
use crate::domain::time::iso;
use crate::domain::window::Window;
use crate::store::drift::{dangling, stuck};
use crate::store::scope::Scope;
use crate::store::telemetry::{self, Tally};
use crate::store::triage::{self, CycleKind, Retained};
use crate::store::{Query, StoreError, exports};

/// Counts of counts, by two words.
type ByWords = BTreeMap<String, BTreeMap<String, i64>>;

/// Counts of a stretch of time, and what there is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsView {
    /// The version of this shape.
    pub schema_version: u32,
    /// When this was read.
    pub generated_at: String,
    /// The stretch of time.
    pub window: Span,
    /// What was asked for.
    pub filters: MetricsFilters,
    /// What happened within the window.
    pub counters: Counters,
    /// What there is now.
    pub gauges: Gauges,
    /// What follows from the counters.
    pub rollups: Rollups,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsFilters {
    /// Only this task's counters and criteria.
    pub task_id: Option<String>,
    /// Only this run's.
    pub run_id: Option<String>,
}

/// What happened within a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Cycles.
    pub cycles: CycleCounts,
    /// Exports of tasks.
    pub exports: Total,
    /// Rollout lines.
    pub ingest: Lines,
    /// Looks at workers' screens.
    pub pane_capture: PaneCounts,
    /// Telemetry events.
    pub telemetry_events: EventCounts,
}

/// Cycles by how they went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "one for each state")]
pub struct CycleCounts {
    pub started: i64,
    pub succeeded: i64,
    pub failed: i64,
    pub total: i64,
}

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// All.
    pub total: i64,
}

/// Rollout lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// Those that became events.
    pub new_events: i64,
    /// Those that could not be read.
    pub skipped_lines: i64,
}

/// Looks at workers' screens, in cycles that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaneCounts {
    /// There was a screen.
    pub succeeded: i64,
    /// There was none.
    pub failed: i64,
    /// The cycle does not tell.
    pub unknown: i64,
}

/// Telemetry events, by each of their properties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say which")]
pub struct EventCounts {
    pub total: i64,
    pub by_actor: BTreeMap<String, i64>,
    pub by_event_type: BTreeMap<String, i64>,
    pub by_severity: BTreeMap<String, i64>,
    pub by_actor_event_type_severity: BTreeMap<String, ByWords>,
}

/// What there is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    /// Active sessions.
    pub active_sessions: SessionCounts,
    /// Tasks that have not ended.
    pub active_tasks: i64,
    /// Criteria.
    pub criteria: CriteriaCounts,
    /// What no longer fits.
    pub reconcile: DriftCounts,
    /// How much is kept.
    pub storage_bytes: StorageBytes,
}

/// Active sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCounts {
    /// All.
    pub total: usize,
    /// By their role.
    pub by_role: BTreeMap<String, i64>,
}

/// Criteria.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriteriaCounts {
    /// How many stand where.
    pub by_status: CriteriaSummary,
    /// The accepted ones.
    pub open: usize,
    /// All.
    pub total: i64,
}

/// What no longer fits, see `reconcile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the lists of `reconcile`")]
pub struct DriftCounts {
    pub dangling_bindings: usize,
    pub dead_pid_sessions: usize,
    pub stuck_tasks: usize,
    pub total_drift: usize,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the parts are documented at `Retained`")]
pub struct StorageBytes {
    pub database_file: i64,
    pub terminal_captures: i64,
    pub transcript_captures: i64,
    pub transcript_segments: i64,
    pub total_retained: i64,
}

/// What follows from the counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollups {
    /// Commands of each type by state.
    pub commands_by_type: ByWords,
    /// Attempts at commands of each type by state.
    pub command_attempts_by_type: ByWords,
    /// The share of the ended cycles that succeeded; none when none ended.
    pub cycle_success_rate: Option<f64>,
}

/// Reads a [`MetricsView`] of the last day, unless another window is asked for.
#[derive(Debug)]
pub struct ReadMetrics(pub Asked);

impl Query for ReadMetrics {
    type Out = MetricsView;

    /// # Errors
    /// `NotFound` for an unknown task or run.
    fn run(self, conn: &Connection) -> Result<MetricsView, StoreError> {
        let Self(mut asked) = self;
        let window = asked.window.take().unwrap_or_else(Window::day);
        let span = asked.span(&window);
        asked.window = Some(window);
        let scope = asked.scope(conn)?;
        let counters = Counters::read(conn, &scope)?;
        Ok(MetricsView {
            schema_version: SCHEMA_VERSION,
            generated_at: iso(asked.now),
            window: span,
            rollups: Rollups {
                commands_by_type: triage::commands_by_type(conn, &scope)?,
                command_attempts_by_type: triage::attempts_by_type(conn, &scope)?,
                cycle_success_rate: counters.cycles.success_rate(),
            },
            gauges: Gauges::read(conn, &asked, &scope)?,
            counters,
            filters: MetricsFilters { task_id: scope.task_id, run_id: scope.run_id },
        })
    }
}

impl Counters {
    fn read(conn: &Connection, scope: &Scope) -> Result<Self, StoreError> {
        let by_state = triage::cycles_by_state(conn, scope)?;
        let of = |state: &str| by_state.get(state).copied().unwrap_or_default();
        let cycles = CycleCounts {
            started: of("started"),
            succeeded: of("succeeded"),
            failed: of("failed"),
            total: by_state.values().sum(),
        };
        let with_pane = triage::cycle_count(conn, scope, CycleKind::WithPane)?;
        let without_pane = triage::cycle_count(conn, scope, CycleKind::WithoutPane)?;
        let tallies = telemetry::counts(conn, scope)?;
        Ok(Self {
            exports: Total { total: exports::count(conn, scope)? },
            ingest: Lines {
                new_events: tallies.iter().map(|tally| tally.new_events).sum(),
                skipped_lines: tallies.iter().map(|tally| tally.skipped_lines).sum(),
            },
            pane_capture: PaneCounts {
                succeeded: with_pane,
                failed: without_pane,
                unknown: cycles.succeeded - with_pane - without_pane,
            },
            telemetry_events: EventCounts::of(&tallies),
            cycles,
        })
    }
}

impl CycleCounts {
    fn success_rate(&self) -> Option<f64> {
        let ended = self.succeeded + self.failed;
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        (ended > 0).then(|| self.succeeded as f64 / ended as f64)
    }
}

impl EventCounts {
    fn of(tallies: &[Tally]) -> Self {
        let mut counts = Self::default();
        for Tally { actor, event_type, severity, events, .. } in tallies {
            counts.total += events;
            *counts.by_actor.entry(actor.clone()).or_default() += events;
            *counts.by_event_type.entry(event_type.clone()).or_default() += events;
            *counts.by_severity.entry(severity.clone()).or_default() += events;
            let of_actor = counts.by_actor_event_type_severity.entry(actor.clone()).or_default();
            *of_actor.entry(event_type.clone()).or_default().entry(severity.clone()).or_default() += events;
        }
        counts
    }
}

impl Gauges {
    fn read(conn: &Connection, asked: &Asked, scope: &Scope) -> Result<Self, StoreError> {
        let working = triage::working(conn, asked.now, 0)?;
        let mut by_role: BTreeMap<String, i64> = BTreeMap::new();
        for session in &working.sessions {
            *by_role.entry(session.role.to_string()).or_default() += 1;
        }
        let criteria = triage::criteria_by_status(conn, scope)?;
        let by_status = summary(&criteria);
        Ok(Self {
            active_sessions: SessionCounts { total: working.sessions.len(), by_role },
            active_tasks: working.task_count,
            criteria: CriteriaCounts { by_status, open: by_status.accepted, total: criteria.values().sum() },
            reconcile: DriftCounts::read(conn, asked)?,
            storage_bytes: triage::retained(conn, None)?.into(),
        })
    }
}

impl DriftCounts {
    fn read(conn: &Connection, asked: &Asked) -> Result<Self, StoreError> {
        let dangling_bindings = dangling(conn)?.len();
        let stuck_tasks = stuck(conn, asked.thresholds.stale_cycle_seconds)?.len();
        let dead_pid_sessions = asked.dead.len();
        let total_drift = dangling_bindings + stuck_tasks + dead_pid_sessions;
        Ok(Self { dangling_bindings, dead_pid_sessions, stuck_tasks, total_drift })
    }
}

impl From<Retained> for StorageBytes {
    fn from(retained: Retained) -> Self {
        Self {
            database_file: retained.database_file,
            terminal_captures: retained.terminal_captures.bytes,
            transcript_captures: retained.transcript_captures.bytes,
            transcript_segments: retained.transcript_segments.bytes,
            total_retained: retained.total_retained,
        }
    }
}
