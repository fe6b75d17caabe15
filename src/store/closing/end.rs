//! The last step: what came of it.

use rusqlite::Connection;
use serde_json::json;

use super::{Closing, Plan, Report};
use crate::domain::{CommandState, Failure};
use crate::store::commands::{self, Outcome};
use crate::store::events::record_of_command;
use crate::store::telemetry::{self, Actor, Severity, Telemetry};
use crate::store::{Change, StoreError, Topic, bindings, runs, sessions, tasks};

/// Which of the two sessions do not run any more, and whether they did before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndedSessions {
    /// The worker's.
    pub worker: Option<bool>,
    /// The manager's.
    pub manager: Option<bool>,
}

/// Closes the task: its sessions have been ended, as far as they were to be.
#[derive(Debug)]
pub struct CompleteClosing {
    /// The recorded intent.
    pub plan: Plan,
    /// What was ended.
    pub ended: EndedSessions,
}

impl Change for CompleteClosing {
    /// `None` when another attempt at closing the task came first, and has given this one up.
    type Out = Option<Report>;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions, Topic::Work];

    fn run(self, tx: &Connection) -> Result<Option<Report>, StoreError> {
        let Self { plan, ended } = self;
        let report = with_ended(tx, &plan, ended)?;
        if is_given_up(tx, &report)? {
            return Ok(None);
        }
        let run_status = plan.closing.run_status();
        let mut run_id = None;
        if !report.already_done_followup {
            tasks::set_state(tx, &plan.task.id, "done")?;
            bindings::end_of_task(tx, &plan.task.id)?;
            run_id = runs::end_active(tx, &plan.task.id, run_status)?;
        }
        let event_type = format!("{}_succeeded", plan.closing);
        record_of_command(tx, &plan.task.id, &report.command_id, &event_type, json!(report))?;
        commands::settle(tx, &report.command_id, &Outcome::Succeeded(json!(report)))?;
        give_up_others(tx, &plan)?;
        telemetry::emit(
            tx,
            &Telemetry {
                actor: Actor::Workerctl,
                event_type: plan.closing.telemetry_type(),
                severity: Severity::Info,
                summary: &format!("task {} {run_status}", plan.task.name),
                task_id: Some(&plan.task.id),
                run_id: run_id.as_deref(),
                correlation: json!({ "command_id": report.command_id }),
                attributes: json!({
                    "already_done_followup": report.already_done_followup,
                    "killed_manager": report.killed_manager,
                    "killed_worker": report.killed_worker,
                    "reason": report.reason,
                    "run_status": run_status,
                    "stop_manager": report.stop_manager,
                    "stop_worker": report.stop_worker,
                }),
            },
        )?;
        Ok(Some(report))
    }
}

/// Records that a session could not be ended. The task stays as it is.
#[derive(Debug)]
pub struct FailClosing {
    /// The recorded intent.
    pub plan: Plan,
    /// What was ended all the same.
    pub ended: EndedSessions,
    /// Why it failed.
    pub failure: Failure,
}

impl Change for FailClosing {
    /// The failure, told of the task.
    type Out = Failure;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<Failure, StoreError> {
        let Self { plan, ended, failure } = self;
        let report = with_ended(tx, &plan, ended)?;
        if is_given_up(tx, &report)? {
            let message = format!(
                "task {} was closed by another command meanwhile: {}",
                plan.task.name, failure.message
            );
            return Ok(Failure { message, ..failure });
        }
        let message = format!("task {} was left as it is: {}", plan.task.name, failure.message);
        let mut result = json!(report);
        result["error"] = json!(message);
        result["expected_failure"] = json!(false);
        result["failure_stage"] = json!("live_lifecycle_side_effects");
        let event_type = format!("{}_failed", plan.closing);
        record_of_command(tx, &plan.task.id, &report.command_id, &event_type, result.clone())?;
        commands::settle(tx, &report.command_id, &Outcome::Failed { error: message.clone(), result })?;
        Ok(Failure { message, ..failure })
    }
}

/// Marks what was ended as gone, in the store and in the report.
fn with_ended(conn: &Connection, plan: &Plan, ended: EndedSessions) -> Result<Report, StoreError> {
    for (session, ended) in [(&plan.worker, ended.worker), (&plan.manager, ended.manager)] {
        if let Some(linked) = session.as_ref().filter(|_| ended.is_some()) {
            sessions::set_gone(conn, &linked.session.id)?;
        }
    }
    let was_running = |ended: Option<bool>| ended.unwrap_or(false);
    Ok(Report {
        killed_worker: was_running(ended.worker),
        killed_manager: was_running(ended.manager),
        ..plan.report.clone()
    })
}

/// Whether another attempt came first: it has settled this one.
fn is_given_up(conn: &Connection, report: &Report) -> Result<bool, StoreError> {
    let command = commands::find(conn, &report.command_id)?;
    Ok(command.is_none_or(|command| command.state != CommandState::Attempted))
}

/// Settles the other attempts to close the task: their processes were killed on the way, or they are
/// later than this one and will find out.
fn give_up_others(conn: &Connection, plan: &Plan) -> Result<(), StoreError> {
    let error = format!("not carried to its end: the task was closed by {}", plan.report.command_id);
    for id in commands::attempted(conn, &plan.task.id, &[Closing::Finish.as_str(), Closing::Stop.as_str()])? {
        let result = json!({ "error": error });
        commands::settle(conn, &id, &Outcome::Failed { error: error.clone(), result })?;
    }
    Ok(())
}
