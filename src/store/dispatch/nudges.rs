//! Direct nudges: a person or a manager says something to a session at once.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Entry, Push, PushOutcome, Subject, entry};
use crate::domain::Failure;
use crate::domain::ids::new_id;
use crate::store::deliveries::{self, NewDelivery, Source};
use crate::store::events::{self, Event};
use crate::store::sessions::{self, Session};
use crate::store::telemetry::{self, Actor, Severity, Telemetry};
use crate::store::{Change, StoreError, bindings};

/// Who nudges, as shown to the session that is nudged, when no session of ours asks.
const OPERATOR: &str = "operator";

/// Claims a direct nudge: a push that must now be made.
#[derive(Debug)]
pub struct ClaimNudge {
    /// The session to reach, by name or id.
    pub session: String,
    /// The Codex thread that asks, when it is one.
    pub from_thread: Option<String>,
    /// The text.
    pub text: String,
}

impl Change for ClaimNudge {
    type Out = Push;

    fn run(self, tx: &Connection) -> Result<Push, StoreError> {
        let target = sessions::get(tx, &self.session)?;
        let correlation_id = new_id("dispatch");
        let from = match &self.from_thread {
            Some(thread_id) => sessions::find_by_thread(tx, thread_id)?.map(|session| session.name),
            None => None,
        };
        let delivery = deliveries::claim(
            tx,
            &NewDelivery {
                source: Source::Nudge,
                notification_id: None,
                command_id: None,
                attempt_id: None,
                target_session_id: &target.id,
                correlation_id: &correlation_id,
                body: &self.text,
            },
        )?;
        let report = entry(
            json!({"correlation_id": correlation_id, "delivery_id": delivery.id, "session": target.name}),
        );
        Ok(Push {
            delivery,
            subject: Subject::Nudge,
            target_session_id: target.id,
            signal: "nudge".into(),
            from: from.unwrap_or_else(|| OPERATOR.into()),
            correlation_id,
            text: self.text,
            entry: report,
        })
    }
}

/// Records how a direct nudge went.
pub(super) fn finish(
    conn: &Connection,
    push: &Push,
    outcome: &PushOutcome,
    mut report: Entry,
) -> Result<Entry, StoreError> {
    let target = sessions::get(conn, &push.target_session_id)?;
    report.insert("state".into(), outcome.word().into());
    match outcome {
        PushOutcome::Sent { result } => {
            report.extend(entry(result.clone()));
            Told::nudge(&target.name, push.text.len(), Ok(false)).record(
                conn,
                Some(&target),
                &push.correlation_id,
            )?;
        }
        PushOutcome::NotSent { error, .. } | PushOutcome::Unknown { error, .. } => {
            report.insert("error".into(), error.as_str().into());
            let failure = match outcome {
                PushOutcome::Unknown { .. } => Failure::unknown(error.clone()),
                _ => Failure::external(error.clone()),
            };
            Told::nudge(&target.name, push.text.len(), Err(&failure)).record(
                conn,
                Some(&target),
                &push.correlation_id,
            )?;
        }
    }
    Ok(report)
}

/// Records a nudge that was refused, or only tried out, before anything was claimed.
#[derive(Debug)]
pub struct RefuseNudge {
    /// The session as it was named.
    pub session: String,
    /// The text's length in bytes.
    pub text_length: usize,
    /// Why it was refused; none for a dry run.
    pub failure: Option<Failure>,
}

impl Change for RefuseNudge {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        let session = sessions::find(tx, &self.session)?;
        let outcome = self.failure.as_ref().map_or(Ok(true), Err);
        Told::nudge(&self.session, self.text_length, outcome).record(
            tx,
            session.as_ref(),
            &new_id("dispatch"),
        )
    }
}

/// What is recorded of a direct act, in the audit log and as telemetry.
pub(super) struct Told<'a> {
    pub(super) what: &'static str,
    pub(super) past: &'static str,
    pub(super) session: &'a str,
    pub(super) command_id: Option<&'a str>,
    pub(super) failed: bool,
    pub(super) details: Entry,
}

pub(super) fn outcome_fields(outcome: &Result<bool, &Failure>) -> Entry {
    match outcome {
        Ok(dry_run) => entry(json!({"dry_run": dry_run, "success": true})),
        Err(failure) => entry(
            json!({"dry_run": false, "success": false, "error": failure.message, "error_type": failure.kind}),
        ),
    }
}

impl<'a> Told<'a> {
    fn nudge(session: &'a str, text_length: usize, outcome: Result<bool, &Failure>) -> Self {
        let mut details = entry(json!({"text_length": text_length}));
        details.extend(outcome_fields(&outcome));
        Self { what: "nudge", past: "nudged", session, command_id: None, failed: outcome.is_err(), details }
    }

    pub(super) fn record(
        mut self,
        conn: &Connection,
        session: Option<&Session>,
        correlation_id: &str,
    ) -> Result<(), StoreError> {
        let binding =
            session.map(|session| bindings::live_of_session(conn, &session.id)).transpose()?.flatten();
        let task_id = binding.as_ref().map(|binding| binding.task_id.as_str());
        let (event_type, severity) = match self.failed {
            false => (format!("session_{}_succeeded", self.what), Severity::Info),
            true => (format!("session_{}_failed", self.what), Severity::Error),
        };
        telemetry::emit(
            conn,
            &Telemetry {
                actor: Actor::Manager,
                event_type: &event_type,
                severity,
                summary: &format!("{} of {}", self.what, self.session),
                task_id,
                run_id: None,
                correlation: json!({"correlation_id": correlation_id, "session_id": session.map(|session| &session.id)}),
                attributes: Value::Object(self.details.clone()),
            },
        )?;
        self.details.insert("session".into(), self.session.into());
        events::record(
            conn,
            &Event {
                actor: "manager",
                event_type: &format!("session_{}", self.past),
                task_id,
                command_id: self.command_id,
                correlation_id: Some(correlation_id),
                payload: Value::Object(self.details),
            },
        )?;
        Ok(())
    }
}
