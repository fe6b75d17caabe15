//! Answering a request on somebody's behalf: on record before it is done, and after.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Waiting, end, get};
use crate::domain::redaction::redact_wait;
use crate::domain::shell::quoted;
use crate::domain::{Failure, Verdict};
use crate::store::commands::{self, NewCommand, Outcome};
use crate::store::events::{self, Event};
use crate::store::telemetry::{self, Actor, Severity, Telemetry};
use crate::store::{Change, StoreError, Topic, manager_permission, sessions, tasks};

/// The permission it takes.
const PERMISSION: &str = "worker_session.approve";

/// Records that a request is about to be answered. Refused, and recorded as that, unless the task's
/// configuration permits it.
#[derive(Debug, Clone)]
pub struct BeginAnswer {
    /// The session that waits, by name or id.
    pub session: String,
    /// The wait.
    pub id: i64,
    /// The answer.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// The Codex thread that answers, when it is one.
    pub by_thread: Option<String>,
}

/// A request that is being answered.
#[derive(Debug, Clone)]
pub struct Answering {
    /// It.
    pub waiting: Waiting,
    /// The command that records it.
    pub command_id: String,
    /// The answer.
    pub verdict: Verdict,
    /// Who answers: a session's name, or `operator`.
    pub by: String,
    reason: String,
    task_id: String,
}

impl Change for BeginAnswer {
    /// The inner failure is a refusal that was recorded.
    type Out = Result<Answering, Failure>;

    fn run(self, tx: &Connection) -> Result<Self::Out, StoreError> {
        let waiting = get(tx, &self.session, self.id)?;
        let Some(task) = waiting.task.as_deref().map(|task| tasks::get(tx, task)).transpose()? else {
            return Err(unbound(&waiting).into());
        };
        let by = match &self.by_thread {
            Some(thread_id) => sessions::find_by_thread(tx, thread_id)?.map(|session| session.name),
            None => None,
        };
        let by = by.unwrap_or_else(|| "operator".to_owned());
        let command = commands::insert(
            tx,
            NewCommand {
                command_type: self.verdict.command_type(),
                task_id: Some(&task.id),
                correlation_id: None,
                idempotency_key: None,
                required_permission: Some(PERMISSION),
                payload: json!({
                    "answered_by": by,
                    "asks": waiting.wait.asks,
                    "reason": self.reason,
                    "session": waiting.session,
                    "wait_id": waiting.id,
                }),
            },
        )?;
        commands::attempt(tx, &command.id)?;
        let refusal = match manager_permission::check(tx, &task, PERMISSION, false)?.allowed {
            false => Some(not_permitted(&waiting, &task.name)),
            true if by == waiting.session => Some(own_request(&waiting)),
            true if !waiting.answerable => Some(only_in_the_terminal(&waiting)),
            true => None,
        };
        let answering = Answering {
            waiting,
            command_id: command.id,
            verdict: self.verdict,
            by,
            reason: self.reason,
            task_id: task.id,
        };
        match refusal {
            Some(refusal) => {
                answering.record(tx, Err(&refusal))?;
                Ok(Err(refusal))
            }
            None => Ok(Ok(answering)),
        }
    }
}

/// Records how an answer went.
#[derive(Debug, Clone)]
pub struct FinishAnswer {
    /// What was answered.
    pub answering: Answering,
    /// Why it was not, or may not have been, answered.
    pub failure: Option<Failure>,
}

impl Change for FinishAnswer {
    type Out = ();
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        if self.failure.is_none() {
            end(tx, self.answering.waiting.id)?;
        }
        self.answering.record(tx, self.failure.as_ref().map_or(Ok(()), Err))
    }
}

impl Answering {
    fn record(&self, conn: &Connection, outcome: Result<(), &Failure>) -> Result<(), StoreError> {
        let Waiting { id, session, session_id, wait, .. } = &self.waiting;
        let past = self.verdict.past();
        let mut details = json!({
            "answered_by": self.by,
            "asks": wait.asks,
            "session": session,
            "session_id": session_id,
            "success": outcome.is_ok(),
            "wait_id": id,
        });
        if let Err(failure) = outcome {
            details["error"] = failure.message.as_str().into();
            details["error_type"] = json!(failure.kind);
        }
        let settled = match outcome {
            Ok(()) => Outcome::Succeeded(details.clone()),
            Err(failure) => Outcome::Failed { error: failure.message.clone(), result: details.clone() },
        };
        commands::settle(conn, &self.command_id, &settled)?;
        let (event_type, severity) = match outcome {
            Ok(()) => (format!("session_request_{past}"), Severity::Info),
            Err(_) => (format!("session_request_not_{past}"), Severity::Warning),
        };
        telemetry::emit(
            conn,
            &Telemetry {
                actor: Actor::Manager,
                event_type: &event_type,
                severity,
                summary: &format!("a request of session {session}: {} by {}", self.verdict, self.by),
                task_id: Some(&self.task_id),
                run_id: None,
                correlation: json!({"command_id": self.command_id, "session_id": session_id, "wait_id": id}),
                attributes: details.clone(),
            },
        )?;
        details["reason"] = Value::from(self.reason.as_str());
        details["request"] = redact_wait(json!(wait));
        events::record(
            conn,
            &Event {
                actor: &self.by,
                event_type: &event_type,
                task_id: Some(&self.task_id),
                command_id: Some(&self.command_id),
                payload: details,
                ..Event::default()
            },
        )?;
        Ok(())
    }
}

fn unbound(waiting: &Waiting) -> Failure {
    Failure::refused(format!(
        "session {} belongs to no task, so nothing permits answering it",
        waiting.session
    ))
    .hint("answer it in its terminal")
}

fn not_permitted(waiting: &Waiting, task: &str) -> Failure {
    Failure::refused(format!("task {task} does not permit answering session {}", waiting.session))
        .hint(format!("to permit it: `conveyor manager-config {} --permit {PERMISSION}`", quoted(task)))
        .hint("or answer it in its terminal")
}

fn own_request(waiting: &Waiting) -> Failure {
    Failure::refused(format!("session {} cannot answer its own request", waiting.session))
        .hint("its manager or a person decides")
}

fn only_in_the_terminal(waiting: &Waiting) -> Failure {
    Failure::refused(format!(
        "session {} asks for more than yes or no ({}), or not through an app-server",
        waiting.session, waiting.wait.asks
    ))
    .hint("answer it in its terminal")
}
