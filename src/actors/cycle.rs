//! An observation cycle: everything a manager has to know, looked up in order, and kept.

use jiff::Timestamp;

use super::hub::{Hub, ask};
use super::ingest::ingest_session;
use super::pane_class::classify_view;
use super::record;
use super::session::Look;
use crate::codex::alive::is_alive;
use crate::codex::pane::PaneClass;
use crate::domain::busy_wait::Quiet;
use crate::domain::cycle::{CyclePhase, SpanState};
use crate::domain::pane_signal::PaneSignal;
use crate::domain::{Failure, FailureKind};
use crate::store::cycles::{
    CycleReport, FailCycle, FinishCycle, ReadContext, ReadWorkerState, Span, SpanClock, StartCycle,
    StartedCycle, TakenIn, WorkerState,
};
use crate::store::session_facts::OpenFacts;
use crate::store::sessions::Session;

/// Runs a cycle of a task (name or id). From `busy_wait_seconds` without news on, the worker's
/// screen counts as standing still.
///
/// # Errors
/// `NotFound` or `Refused` for a task without a live binding; then nothing is recorded. Any later
/// failure is recorded as a failed cycle.
pub async fn run(hub: &Hub, task: String, busy_wait_seconds: u32) -> Result<CycleReport, Failure> {
    let clock = SpanClock::start();
    let cycle = hub.store.write(StartCycle { task, busy_wait_seconds }).await?;
    let spans = vec![clock.end(CyclePhase::StartCycle, SpanState::Succeeded)];
    let mut pass = Pass { hub, cycle: &cycle, busy_wait_seconds, spans };
    let seen = pass.look().await;
    let spans = pass.spans;
    match seen {
        Ok(report) => Ok(hub.store.write(FinishCycle { cycle, spans, report }).await?),
        Err(failure) => {
            let told = FailCycle { cycle, spans, failure: failure.clone() };
            Err(record::failed(failure, hub.store.write(told).await))
        }
    }
}

struct Pass<'a> {
    hub: &'a Hub,
    cycle: &'a StartedCycle,
    busy_wait_seconds: u32,
    spans: Vec<Span>,
}

impl Pass<'_> {
    async fn look(&mut self) -> Result<CycleReport, Failure> {
        let bound = &self.cycle.bound;
        let store = &self.hub.store;
        let ingest = ingest_session(self.hub, &bound.worker.id);
        let ingested = self.step(CyclePhase::IngestRollout, ingest).await?;
        let state = ReadWorkerState {
            task_id: bound.task.id.clone(),
            session_id: bound.worker.id.clone(),
            now: Timestamp::now(),
        };
        let state = async { Ok(store.read(state).await?) };
        let worker = self.step(CyclePhase::InferWorkerState, state).await?;
        let screen = self.screen(&worker, ingested.new_events).await;
        let context = async { Ok(store.read(ReadContext(bound.clone())).await?) };
        let mut conditions = store.read(OpenFacts).await?;
        let manager_context = self.step(CyclePhase::LoadManagerContext, context).await?;
        Ok(CycleReport {
            kind: "session_cycle".into(),
            task: bound.task.name.clone(),
            binding_id: bound.binding.id.clone(),
            cycle_id: self.cycle.id,
            cycle_started_at: self.cycle.started_at.clone(),
            // This and the inbox are settled when the report is stored.
            cycle_completed_at: String::new(),
            consumed_dispatch_notifications: 0,
            worker_session: bound.worker.name.clone(),
            manager_session: bound.manager.name.clone(),
            worker_alive: lives(&bound.worker),
            manager_alive: lives(&bound.manager),
            worker_conditions: conditions.remove(&bound.worker.id).unwrap_or_default(),
            manager_conditions: conditions.remove(&bound.manager.id).unwrap_or_default(),
            ingest: TakenIn {
                new_events: ingested.new_events,
                new_offset: ingested.new_offset,
                skipped_lines: ingested.skipped_lines,
            },
            worker,
            pane_class: screen.class.map(|class| class.to_string()),
            notable_pane_pattern: screen.signal.notable_pattern.clone(),
            pane_signal: screen.signal,
            manager_context,
        })
    }

    async fn step<T>(
        &mut self,
        phase: CyclePhase,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let clock = SpanClock::start();
        let result = work.await;
        self.spans.push(match &result {
            Ok(_) => clock.end(phase, SpanState::Succeeded),
            Err(failure) => clock.fail(phase, failure),
        });
        result
    }

    /// The worker's screen: a supplement, so that a look that fails does not end the cycle.
    async fn screen(&mut self, worker: &WorkerState, new_events: u64) -> Screen {
        let clock = SpanClock::start();
        let quiet = Quiet {
            status_age_seconds: worker.staleness_seconds,
            busy_wait_seconds: self.busy_wait_seconds.into(),
            recent_events: worker.recent_events.max(new_events),
        };
        let screen = look_at(self.hub, &self.cycle.bound.worker, &quiet).await;
        let state = if screen.signal.degraded { SpanState::Degraded } else { SpanState::Succeeded };
        self.spans.push(clock.end(CyclePhase::CapturePaneSignal, state));
        screen
    }
}

struct Screen {
    signal: PaneSignal,
    class: Option<PaneClass>,
}

async fn look_at(hub: &Hub, worker: &Session, quiet: &Quiet) -> Screen {
    let age = quiet.status_age_seconds;
    let Some(tmux_session) = &worker.tmux_session else {
        return Screen { signal: PaneSignal::no_terminal(age), class: None };
    };
    // The scroll-back is history: only the screen is read.
    let look = Look { session_id: worker.id.clone(), lines: 0 };
    match ask(&hub.look, look, "session's actor").await {
        Ok(view) => {
            Screen { signal: PaneSignal::of_screen(&view.text, quiet), class: Some(classify_view(&view)) }
        }
        Err(failure) if failure.kind == FailureKind::NotFound => {
            Screen { signal: PaneSignal::session_missing(tmux_session, age), class: None }
        }
        Err(failure) => Screen { signal: PaneSignal::capture_failed(&failure.message, age), class: None },
    }
}

fn lives(session: &Session) -> bool {
    session.pid.is_some_and(is_alive)
}
