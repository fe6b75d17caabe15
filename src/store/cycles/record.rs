//! The rows of a cycle.

use std::time::Instant;

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use super::report::CycleReport;
use crate::domain::Failure;
use crate::domain::cycle::{CyclePhase, SpanState};
use crate::domain::time::now_iso;
use crate::store::bindings::{self, BoundTask};
use crate::store::notifications;
use crate::store::telemetry::{self, Actor, Severity, Telemetry};
use crate::store::{Change, StoreError, Topic};

/// A step of a cycle that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Which step.
    pub phase: CyclePhase,
    /// How it went.
    pub state: SpanState,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub completed_at: String,
    /// How long it took.
    pub duration_ms: f64,
    /// What kind of failure ended it.
    pub error_type: Option<String>,
}

/// Measures a step.
#[derive(Debug)]
pub struct SpanClock {
    started_at: String,
    began: Instant,
}

impl SpanClock {
    /// The step begins now.
    pub fn start() -> Self {
        Self { started_at: now_iso(), began: Instant::now() }
    }

    /// The step is over.
    pub fn end(self, phase: CyclePhase, state: SpanState) -> Span {
        Span {
            phase,
            state,
            started_at: self.started_at,
            completed_at: now_iso(),
            duration_ms: self.began.elapsed().as_secs_f64() * 1000.0,
            error_type: None,
        }
    }

    /// The step failed.
    pub fn fail(self, phase: CyclePhase, failure: &Failure) -> Span {
        Span { error_type: Some(error_type(failure)), ..self.end(phase, SpanState::Failed) }
    }
}

/// Begins a cycle.
#[derive(Debug)]
pub struct StartCycle {
    /// The task, by name or id.
    pub task: String,
    /// From which age the worker's screen counts as standing still.
    pub busy_wait_seconds: u32,
}

/// A cycle under way.
#[derive(Debug, Clone)]
pub struct StartedCycle {
    /// Its row.
    pub id: i64,
    /// When it began.
    pub started_at: String,
    /// The task and its pair.
    pub bound: BoundTask,
    /// The task's active run.
    pub run_id: Option<String>,
}

impl Change for StartCycle {
    type Out = StartedCycle;

    /// # Errors
    /// `NotFound` for an unknown task, `Refused` for one without a live binding: then there is
    /// nothing to record.
    fn run(self, tx: &Connection) -> Result<StartedCycle, StoreError> {
        let bound = bindings::bound_task(tx, &self.task)?;
        let started_at = now_iso();
        tx.prepare_cached(
            "INSERT INTO manager_cycles (task_id, started_at, state) VALUES (?1, ?2, 'started')",
        )?
        .execute((&bound.task.id, &started_at))?;
        let id = tx.last_insert_rowid();
        let run_id = tx
            .prepare_cached("SELECT id FROM runs WHERE task_id = ?1 AND status = 'active'")?
            .query_row([&bound.task.id], |row| row.get(0))
            .optional()?;
        let cycle = StartedCycle { id, started_at, bound, run_id };
        telemetry::emit(
            tx,
            &Telemetry {
                summary: &format!("the manager looks at task {}", cycle.bound.task.name),
                correlation: cycle.correlation(),
                ..cycle.telemetry(
                    "manager_cycle_started",
                    Severity::Info,
                    json!({
                        "busy_wait_seconds": self.busy_wait_seconds,
                        "cycle_id": id,
                    }),
                )
            },
        )?;
        Ok(cycle)
    }
}

impl StartedCycle {
    fn correlation(&self) -> Value {
        json!({
            "binding_id": self.bound.binding.id,
            "manager_session": self.bound.manager.name,
            "worker_session": self.bound.worker.name,
        })
    }

    fn telemetry<'a>(&'a self, event_type: &'a str, severity: Severity, attributes: Value) -> Telemetry<'a> {
        let mut correlation = self.correlation();
        correlation["cycle_id"] = self.id.into();
        Telemetry {
            actor: Actor::Manager,
            event_type,
            severity,
            summary: "",
            task_id: Some(&self.bound.task.id),
            run_id: self.run_id.as_deref(),
            correlation,
            attributes,
        }
    }

    fn record(&self, conn: &Connection, spans: &[Span]) -> Result<(), StoreError> {
        let mut statement = conn.prepare_cached(
            "INSERT INTO manager_cycle_spans
                 (manager_cycle_id, task_id, run_id, phase, started_at, completed_at, duration_ms, state,
                  attributes_json, error_type)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '{}', ?9)",
        )?;
        for span in spans {
            statement.execute((
                self.id,
                &self.bound.task.id,
                &self.run_id,
                span.phase.as_str(),
                &span.started_at,
                &span.completed_at,
                span.duration_ms,
                span.state.as_str(),
                &span.error_type,
            ))?;
        }
        Ok(())
    }
}

/// Ends a cycle with its report, and takes everything out of the manager's inbox: the manager
/// knows it now.
#[derive(Debug)]
pub struct FinishCycle {
    /// The cycle.
    pub cycle: StartedCycle,
    /// Its steps so far.
    pub spans: Vec<Span>,
    /// What it saw.
    pub report: CycleReport,
}

impl Change for FinishCycle {
    type Out = CycleReport;
    const TOUCHES: &'static [Topic] = &[Topic::Inbox];

    fn run(mut self, tx: &Connection) -> Result<CycleReport, StoreError> {
        let persisting = SpanClock::start();
        let cycle = &self.cycle;
        let report = &mut self.report;
        report.consumed_dispatch_notifications =
            notifications::consume_in_cycle(tx, &cycle.bound.manager.id, cycle.id)?;
        report.cycle_completed_at = now_iso();
        let status = serde_json::to_string(&report)
            .map_err(|error| Failure::internal(format!("failed to write a cycle's report: {error}")))?;
        tx.prepare_cached(
            "UPDATE manager_cycles SET state = 'succeeded', completed_at = ?2, status_json = ?3 WHERE id = ?1",
        )?
        .execute((cycle.id, &report.cycle_completed_at, status))?;
        self.spans.push(persisting.end(CyclePhase::PersistCycleRow, SpanState::Succeeded));
        cycle.record(tx, &self.spans)?;
        let attributes = json!({
            "ingest": report.ingest,
            "last_event_subtype": report.worker.last_event_subtype,
            "manager_alive": report.manager_alive,
            "notable_pane_pattern": report.notable_pane_pattern,
            "state": report.worker.state,
            "task_completed": report.worker.task_completed,
            "worker_alive": report.worker_alive,
        });
        let summary =
            format!("worker {} of task {} is {}", report.worker_session, report.task, report.worker.state);
        telemetry::emit(
            tx,
            &Telemetry {
                summary: &summary,
                ..cycle.telemetry("manager_cycle_succeeded", Severity::Info, attributes)
            },
        )?;
        Ok(self.report)
    }
}

/// Ends a cycle that failed.
#[derive(Debug)]
pub struct FailCycle {
    /// The cycle.
    pub cycle: StartedCycle,
    /// Its steps, of which the last one failed.
    pub spans: Vec<Span>,
    /// Why.
    pub failure: Failure,
}

impl Change for FailCycle {
    type Out = ();

    fn run(mut self, tx: &Connection) -> Result<(), StoreError> {
        let failing = SpanClock::start();
        let cycle = &self.cycle;
        let bound = &cycle.bound;
        let error_type = error_type(&self.failure);
        let status = json!({
            "binding_id": bound.binding.id,
            "error_type": error_type,
            "failure_phase": "cycle",
            "kind": "session_cycle",
            "manager_session": bound.manager.name,
            "task": bound.task.name,
            "worker_session": bound.worker.name,
        });
        tx.prepare_cached(
            "UPDATE manager_cycles SET state = 'failed', completed_at = ?2, status_json = ?3, error = ?4 WHERE id = ?1",
        )?
        .execute((cycle.id, now_iso(), status.to_string(), &self.failure.message))?;
        self.spans.push(failing.fail(CyclePhase::CycleFailed, &self.failure));
        cycle.record(tx, &self.spans)?;
        let attributes =
            json!({"cycle_id": cycle.id, "error": self.failure.message, "error_type": error_type});
        let summary = format!("the look at task {} failed", bound.task.name);
        telemetry::emit(
            tx,
            &Telemetry {
                summary: &summary,
                ..cycle.telemetry("manager_cycle_failed", Severity::Error, attributes)
            },
        )?;
        Ok(())
    }
}

/// The kind of a failure, as a word.
fn error_type(failure: &Failure) -> String {
    serde_json::to_value(failure.kind)
        .ok()
        .and_then(|kind| kind.as_str().map(str::to_owned))
        .unwrap_or_else(|| "failure".to_owned())
}
