//! Closing tasks: finish and stop.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, values};
use crate::actors::ending::{End, can_end};
use crate::actors::hub::ask;
use crate::actors::session::{Look, Nudge};
use crate::actors::{Caller, Hub, evidence, record};
use crate::domain::shell::quoted;
use crate::domain::transcript::CaptureMode;
use crate::domain::{Failure, Role};
use crate::fault::Point;
use crate::store::closing::{
    BeginClosing, CaptureOptions, Closing, CompleteClosing, EndedSessions, FailClosing, Gates, Plan,
    RecordSeen, Report, SeenTerminal,
};
use crate::store::sessions::{GetLinkedSession, LinkedSession, MarkGone, Session};

/// Mark a task done
///
/// Its binding ends and its active run is finished. The sessions stay open for review unless they
/// are to be stopped; on a task that is done already this only tidies up its sessions.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct FinishTaskArgs {
    /// The task, by name or id
    pub task: String,
    /// Why it is done
    #[arg(long, default_value = "the manager judged that the work is done", value_parser = values::text, allow_hyphen_values = true)]
    #[serde(default = "finish_reason")]
    pub reason: String,
    /// End the worker's session
    #[arg(long)]
    #[serde(default)]
    pub stop_worker: bool,
    /// End the manager's session
    #[arg(long)]
    #[serde(default)]
    pub stop_manager: bool,
    /// What the sessions that are to end are told first
    #[arg(long, value_name = "TEXT", value_parser = values::text, allow_hyphen_values = true)]
    pub message: Option<String>,
    /// The recorded decision that covers this
    #[arg(long, value_name = "ID")]
    pub decision_id: Option<i64>,
    /// Refuse without a fresh decision to stop
    #[arg(long)]
    #[serde(default)]
    pub strict_decisions: bool,
    /// Refuse while an accepted criterion is not satisfied
    #[arg(long)]
    #[serde(default)]
    pub require_criteria_audit: bool,
    /// Refuse unless worker and manager have acknowledged the contract
    #[arg(long)]
    #[serde(default)]
    pub require_acks: bool,
    /// Refuse unless every configured epilogue step has succeeded
    #[arg(long)]
    #[serde(default)]
    pub require_epilogue: bool,
    /// Refuse unless somebody tried to disprove the work, in vain
    #[arg(long)]
    #[serde(default)]
    pub require_adversarial_proof: bool,
    /// Refuse unless commands that were run, on the work as it is now, carry each satisfied criterion
    #[arg(long)]
    #[serde(default)]
    pub require_executed_evidence: bool,
    /// Keep what the terminals show before they close; when that fails, nothing is closed
    #[arg(long)]
    #[serde(default)]
    pub capture_transcript_before_stop: bool,
    /// What is kept of them
    #[arg(long, value_name = "MODE", default_value = "segment")]
    #[serde(default = "capture_mode")]
    pub capture_transcript_mode: CaptureMode,
    /// Lines of scroll-back that are kept
    #[arg(long, value_name = "LINES", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    #[serde(default = "capture_lines")]
    pub capture_transcript_lines: u32,
    /// The same, and refuse when there is no terminal to capture
    #[arg(long)]
    #[serde(default)]
    pub require_transcript_segment: bool,
}

fn capture_mode() -> CaptureMode {
    CaptureMode::Segment
}

fn capture_lines() -> u32 {
    200
}

fn finish_reason() -> String {
    "the manager judged that the work is done".to_owned()
}

impl Call for FinishTaskArgs {
    type Reply = Report;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<Report, Failure> {
        if self.require_executed_evidence {
            evidence::look_again(&self.task, &hub.store, &hub.paths).await?;
        }
        let begin = BeginClosing {
            closing: Closing::Finish,
            task: self.task,
            reason: self.reason,
            message: self.message,
            stop_worker: self.stop_worker,
            stop_manager: self.stop_manager,
            decision_id: self.decision_id,
            strict_decisions: self.strict_decisions,
            gates: Gates {
                criteria: self.require_criteria_audit,
                acks: self.require_acks,
                epilogue: self.require_epilogue,
                adversarial_proof: self.require_adversarial_proof,
                executed_evidence: self.require_executed_evidence,
            },
            capture: CaptureOptions {
                before_stop: self.capture_transcript_before_stop || self.require_transcript_segment,
                lines: self.capture_transcript_lines,
                mode: self.capture_transcript_mode,
                require_segment: self.require_transcript_segment,
            },
        };
        close(begin, hub, caller).await
    }
}

/// Give a task up and end its manager's session
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct StopTaskArgs {
    /// The task, by name or id
    pub task: String,
    /// Why it is given up
    #[arg(long, default_value = "the task was stopped before its work was done", value_parser = values::text, allow_hyphen_values = true)]
    #[serde(default = "stop_reason")]
    pub reason: String,
    /// End the worker's session too
    #[arg(long)]
    #[serde(default)]
    pub stop_worker: bool,
    /// What the sessions that are to end are told first
    #[arg(long, value_name = "TEXT", value_parser = values::text, allow_hyphen_values = true)]
    pub message: Option<String>,
    /// The recorded decision that covers this
    #[arg(long, value_name = "ID")]
    pub decision_id: Option<i64>,
    /// Refuse without a fresh decision to stop
    #[arg(long)]
    #[serde(default)]
    pub strict_decisions: bool,
}

fn stop_reason() -> String {
    "the task was stopped before its work was done".to_owned()
}

impl Call for StopTaskArgs {
    type Reply = Report;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<Report, Failure> {
        let begin = BeginClosing {
            closing: Closing::Stop,
            task: self.task,
            reason: self.reason,
            message: self.message,
            stop_worker: self.stop_worker,
            stop_manager: true,
            decision_id: self.decision_id,
            strict_decisions: self.strict_decisions,
            gates: Gates::default(),
            capture: CaptureOptions::default(),
        };
        close(begin, hub, caller).await
    }
}

async fn close(begin: BeginClosing, hub: &Hub, caller: &Caller) -> Result<Report, Failure> {
    loop {
        // Whoever comes second finds the task closed when it begins again: then it only tidies up.
        if let Some(report) = attempt(begin.clone(), hub, caller).await? {
            return Ok(report);
        }
    }
}

/// `None` when another attempt came first.
async fn attempt(begin: BeginClosing, hub: &Hub, caller: &Caller) -> Result<Option<Report>, Failure> {
    let (message, capture) = (begin.message.clone(), begin.capture);
    let mut plan = hub.store.write(begin).await??;
    Point::ClosingBegun.reach();
    if capture.before_stop {
        plan = match look(&plan, capture, hub).await {
            Ok(plan) => plan,
            Err(failure) => {
                return Err(not_closed(plan, EndedSessions::default(), failure, hub).await);
            }
        };
    }
    if caller.thread_id.is_some() {
        // Which of them the caller is shows by the thread it is in now.
        for linked in [&mut plan.worker, &mut plan.manager].into_iter().flatten() {
            hub.locate(&linked.session.id).await?;
            *linked = hub.store.read(GetLinkedSession(linked.session.id.clone())).await?;
        }
    }
    let own =
        [&plan.worker, &plan.manager].into_iter().flatten().find(|linked| is_own(linked, caller)).cloned();
    let mut ended = EndedSessions::default();
    if let Err(failure) = end_others(&plan, message.as_deref(), &mut ended, hub, caller).await {
        return Err(not_closed(plan, ended, failure, hub).await);
    }
    Point::ClosingEnded.reach();
    let Some(mut report) = hub.store.write(CompleteClosing { plan, ended }).await? else { return Ok(None) };
    if let Some(own) = own {
        // Nothing after this is certain to be carried out: this process may end with its session.
        let ended = end_own(&own, &report, hub).await?;
        match own.session.role {
            Role::Worker => report.killed_worker = ended,
            Role::Manager => report.killed_manager = ended,
        }
    }
    Ok(Some(report))
}

/// Why a task was not closed, told of the task, and on record if that is possible.
async fn not_closed(plan: Plan, ended: EndedSessions, failure: Failure, hub: &Hub) -> Failure {
    let told = FailClosing { plan, ended, failure: failure.clone() };
    match hub.store.write(told).await {
        Ok(failure) => failure,
        unrecorded => record::failed(failure, unrecorded),
    }
}

/// Ends the session that the caller runs in, after its task was closed.
async fn end_own(own: &LinkedSession, report: &Report, hub: &Hub) -> Result<bool, Failure> {
    let Session { id, name, .. } = &own.session;
    let closed = format!("task {} is {}", report.task, if report.finish { "done" } else { "stopped" });
    let end = End { session_id: id.clone() };
    let ended = ask(&hub.end, end, "session's actor").await.map_err(|failure| {
        let message = format!("{closed}, but session {name} was not ended: {}", failure.message);
        Failure { message, ..failure }
            .hint(format!("end it from elsewhere: `conveyor stop {}`", quoted(name)))
    })?;
    if ended {
        let gone = hub.store.write(MarkGone(id.clone())).await;
        gone.map_err(|error| record::done(&format!("{closed} and session {name} was ended"), error))?;
    }
    Ok(ended)
}

/// Captures the terminals that are about to close.
async fn look(plan: &Plan, options: CaptureOptions, hub: &Hub) -> Result<Plan, Failure> {
    let mut seen = Vec::new();
    for linked in &plan.to_capture {
        let look = Look { session_id: linked.session.id.clone(), lines: options.lines };
        let view = ask(&hub.look, look, "session's actor").await?;
        let pane_id = view.pane.id.to_string();
        seen.push(SeenTerminal { linked: linked.clone(), pane_id, text: view.whole() });
    }
    Ok(hub.store.write(RecordSeen { plan: plan.clone(), seen, options }).await?)
}

/// Whether the caller runs inside the session. It is ended last, after everything is on record.
fn is_own(linked: &LinkedSession, caller: &Caller) -> bool {
    caller.thread_id.is_some() && linked.session.codex_session_id == caller.thread_id
}

async fn end_others(
    plan: &Plan,
    message: Option<&str>,
    ended: &mut EndedSessions,
    hub: &Hub,
    caller: &Caller,
) -> Result<(), Failure> {
    for (session, ended) in [(&plan.worker, &mut ended.worker), (&plan.manager, &mut ended.manager)] {
        if let Some(linked) = session.as_ref().filter(|linked| can_end(linked) && !is_own(linked, caller)) {
            if let Some(message) = message {
                tell(linked, message, hub, caller).await;
            }
            let end = End { session_id: linked.session.id.clone() };
            *ended = Some(ask(&hub.end, end, "session's actor").await?);
        }
    }
    Ok(())
}

/// A session that cannot be told is ended all the same.
pub(super) async fn tell(linked: &LinkedSession, message: &str, hub: &Hub, caller: &Caller) {
    let nudge = Nudge {
        session_id: linked.session.id.clone(),
        text: message.to_owned(),
        from_thread: caller.thread_id.clone(),
    };
    if let Err(failure) = ask(&hub.nudge, nudge, "session's actor").await {
        tracing::warn!(%failure, session = linked.session.name, "a session was not told that it ends");
    }
}
