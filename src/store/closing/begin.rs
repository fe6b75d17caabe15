//! The first step: may the task be closed, and the record that it is going to be.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::gates::{audit_acks, audit_criteria, audit_epilogue, has_adversarial_proof};
use super::{AckAudit, CaptureOptions, Closing, CriteriaAudit, EpilogueAudit, Gates, Plan, Report, refusals};
use crate::domain::shell::quoted;
use crate::domain::{Decision, Failure};
use crate::store::commands::{self, NewCommand, Outcome};
use crate::store::decision_check::{self, DecisionCheck};
use crate::store::events::record_of_command;
use crate::store::evidence::{self, ExecutedAudit};
use crate::store::observations::{self, Observation};
use crate::store::sessions::{self, LinkedSession};
use crate::store::tasks::{self, Task};
use crate::store::telemetry::Severity;
use crate::store::{Change, StoreError, bindings, decisions, manager_config};

/// Checks whether a task may be closed, and records that it is going to be.
#[derive(Debug, Clone)]
pub struct BeginClosing {
    /// How.
    pub closing: Closing,
    /// The task's name or id.
    pub task: String,
    /// Why.
    pub reason: String,
    /// What the sessions are told before they end.
    pub message: Option<String>,
    /// End the worker's session.
    pub stop_worker: bool,
    /// End the manager's session.
    pub stop_manager: bool,
    /// The recorded decision that covers this.
    pub decision_id: Option<i64>,
    /// Refuse without such a decision.
    pub strict_decisions: bool,
    /// What must be well. Only a finish has gates.
    pub gates: Gates,
    /// What is captured first.
    pub capture: CaptureOptions,
}

impl Change for BeginClosing {
    /// The inner failure is a refusal that was recorded.
    type Out = Result<Plan, Failure>;

    fn run(self, tx: &Connection) -> Result<Self::Out, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        let followup = self.is_followup(&task)?;
        if self.gates.adversarial_proof && !has_adversarial_proof(tx, &task.id)? {
            return Err(refusals::no_adversarial_proof(&task.name).into());
        }
        let manager_decision = decision_check::check(tx, &task.id, self.decision_id, &[Decision::Stop])?;
        if self.strict_decisions && !manager_decision.ok {
            return Err(refusals::no_decision(&task.name, &manager_decision).into());
        }
        let audits = match self.closing {
            Closing::Finish => Some(self.audit(tx, &task)?),
            Closing::Stop => None,
        };
        let pair = self.pair(tx, &task)?;
        let mut report = self.report(&task, followup, manager_decision, audits.as_ref(), &pair);
        report.command_id = self.record_intent(tx, &task, &report)?;
        if let Some(refusal) = audits.as_ref().and_then(|audits| audits.refusal(&task.name)) {
            return refuse(tx, &task, &report, refusal).map(Err);
        }
        if self.closing == Closing::Finish {
            (report.final_decision_id, report.final_observation_id) = record_decision(tx, &task, &report)?;
        }
        let to_capture = self.to_capture(&pair);
        let (worker, manager) = pair;
        Ok(Ok(Plan {
            closing: self.closing,
            to_capture,
            task,
            worker: worker.filter(|_| self.stop_worker),
            manager: manager.filter(|_| self.stop_manager),
            report,
        }))
    }
}

/// What was looked at before a finish.
struct Audits {
    criteria: CriteriaAudit,
    acks: AckAudit,
    epilogue: EpilogueAudit,
    executed: Option<ExecutedAudit>,
}

/// Why a task is not finished, and at which of the contract's stages that was found.
struct Refusal {
    stage: &'static str,
    failure: Failure,
}

impl BeginClosing {
    /// Whether the task is closed already and only its sessions are to be tidied up.
    fn is_followup(&self, task: &Task) -> Result<bool, Failure> {
        if task.is_active() {
            return Ok(false);
        }
        let tidies = self.stop_worker || self.stop_manager || self.capture.before_stop;
        if self.closing == Closing::Finish && tidies {
            return Ok(true);
        }
        Err(Failure::refused(format!("task {} is {} already", task.name, task.state)).hint(format!(
            "to end its sessions: `conveyor finish-task {} --stop-worker --stop-manager`",
            quoted(&task.name)
        )))
    }

    /// The task's worker and manager: those bound now, else those bound last.
    fn pair(
        &self,
        conn: &Connection,
        task: &Task,
    ) -> Result<(Option<LinkedSession>, Option<LinkedSession>), StoreError> {
        let binding = if task.is_active() {
            bindings::live_of_task(conn, &task.id)?
        } else {
            bindings::latest_of_task(conn, &task.id)?
        };
        let Some(binding) = binding else { return Ok((None, None)) };
        let worker = sessions::get_linked(conn, &binding.worker_session_id)?;
        let manager = sessions::get_linked(conn, &binding.manager_session_id)?;
        Ok((Some(worker), Some(manager)))
    }

    /// The terminals of the sessions that are to end; of both when none is.
    fn to_capture(
        &self,
        (worker, manager): &(Option<LinkedSession>, Option<LinkedSession>),
    ) -> Vec<LinkedSession> {
        let both = !self.stop_worker && !self.stop_manager;
        [(worker, self.stop_worker || both), (manager, self.stop_manager || both)]
            .into_iter()
            .filter(|(_, wanted)| self.capture.before_stop && *wanted)
            .filter_map(|(session, _)| session.clone())
            .filter(|linked| linked.session.is_active() && linked.session.tmux_session.is_some())
            .collect()
    }

    fn audit(&self, conn: &Connection, task: &Task) -> Result<Audits, StoreError> {
        let config = manager_config::find(conn, &task.id)?;
        let require_acks = config.as_ref().is_some_and(|config| config.require_acks);
        let epilogues = config.map(|config| config.epilogues).unwrap_or_default();
        Ok(Audits {
            criteria: audit_criteria(conn, &task.id, self.gates.criteria)?,
            acks: audit_acks(conn, &task.id, self.gates.acks || require_acks)?,
            epilogue: audit_epilogue(conn, &task.id, epilogues, self.gates.epilogue)?,
            executed: match self.gates.executed_evidence {
                true => Some(evidence::audit(conn, &task.id, true)?),
                false => None,
            },
        })
    }

    fn report(
        &self,
        task: &Task,
        already_done_followup: bool,
        manager_decision: DecisionCheck,
        audits: Option<&Audits>,
        (worker, manager): &(Option<LinkedSession>, Option<LinkedSession>),
    ) -> Report {
        let name = |linked: &Option<LinkedSession>| linked.as_ref().map(|linked| linked.session.name.clone());
        Report {
            already_done_followup,
            command_id: String::new(),
            final_ack_audit: audits.map(|audits| audits.acks.clone()),
            final_audit: audits.map(|audits| audits.criteria.clone()),
            final_decision_id: None,
            final_epilogue_audit: audits.map(|audits| audits.epilogue.clone()),
            final_executed_evidence_audit: audits.and_then(|audits| audits.executed.clone()),
            final_observation_id: None,
            finish: self.closing == Closing::Finish,
            killed_manager: false,
            killed_worker: false,
            manager_decision,
            manager_session: name(manager),
            pre_stop_transcript_captures: Vec::new(),
            reason: self.reason.clone(),
            stop_manager: self.stop_manager,
            stop_worker: self.stop_worker,
            task: task.name.clone(),
            worker: name(worker),
            worker_session: name(worker),
        }
    }

    fn record_intent(&self, conn: &Connection, task: &Task, report: &Report) -> Result<String, StoreError> {
        let command = NewCommand {
            command_type: self.closing.as_str(),
            task_id: Some(&task.id),
            correlation_id: None,
            idempotency_key: None,
            required_permission: None,
            payload: self.payload(report),
        };
        let command_id = commands::insert(conn, command)?.id;
        commands::attempt(conn, &command_id)?;
        let intent = json!({
            "already_done_followup": report.already_done_followup,
            "manager_session": report.manager_session,
            "reason": report.reason,
            "stop_manager": report.stop_manager,
            "stop_worker": report.stop_worker,
            "task": report.task,
            "worker_session": report.worker_session,
        });
        record_of_command(conn, &task.id, &command_id, &format!("{}_intent", self.closing), intent)?;
        if let Some(audit) = &report.final_audit {
            record_of_command(
                conn,
                &task.id,
                &command_id,
                &format!("{}_criteria_audit", self.closing),
                json!(audit),
            )?;
        }
        Ok(command_id)
    }

    fn payload(&self, report: &Report) -> Value {
        let mut payload = json!({
            "already_done_followup": report.already_done_followup,
            "capture_transcript_before_stop": self.capture.before_stop,
            "capture_transcript_lines": self.capture.lines,
            "capture_transcript_mode": self.capture.mode,
            "finish": report.finish,
            "manager_decision": report.manager_decision,
            "manager_session": report.manager_session,
            "message": self.message,
            "reason": report.reason,
            "stop_manager": report.stop_manager,
            "stop_worker": report.stop_worker,
            "task": report.task,
            "worker": report.worker,
            "worker_session": report.worker_session,
        });
        if report.finish {
            payload["final_ack_audit"] = json!(report.final_ack_audit);
            payload["final_audit"] = json!(report.final_audit);
            payload["final_epilogue_audit"] = json!(report.final_epilogue_audit);
        }
        payload
    }
}

impl Audits {
    /// The first gate that is closed, in the contract's order.
    fn refusal(&self, task: &str) -> Option<Refusal> {
        let closed = |stage, failure| Some(Refusal { stage, failure });
        if self.criteria.require_criteria_audit && !self.criteria.open_criteria.is_empty() {
            return closed("final_criteria_audit", refusals::open_criteria(task, &self.criteria));
        }
        if self.acks.require_acks && !self.acks.ok {
            return closed("final_ack_audit", refusals::missing_acks(task, &self.acks));
        }
        if self.epilogue.require_epilogue && !self.epilogue.status.ok {
            return closed("final_epilogue_audit", refusals::incomplete_epilogue(task, &self.epilogue));
        }
        match &self.executed {
            Some(executed) if !executed.ok => {
                closed("final_executed_evidence_audit", refusals::unproven(task, executed))
            }
            _ => None,
        }
    }
}

fn refuse(
    conn: &Connection,
    task: &Task,
    report: &Report,
    Refusal { stage, failure }: Refusal,
) -> Result<Failure, StoreError> {
    let mut result = json!(report);
    result["error"] = json!(failure.message);
    result["expected_failure"] = json!(true);
    result["failure_stage"] = json!(stage);
    record_of_command(conn, &task.id, &report.command_id, "finish_task_failed", result.clone())?;
    commands::settle(conn, &report.command_id, &Outcome::Failed { error: failure.message.clone(), result })?;
    Ok(failure)
}

fn record_decision(
    conn: &Connection,
    task: &Task,
    report: &Report,
) -> Result<(Option<i64>, Option<i64>), StoreError> {
    let payload = json!({ "command_id": report.command_id, "source": "finish_task" });
    let decision_id = decisions::insert(conn, &task.id, Decision::Stop, &report.reason, None, &payload)?;
    let observation_id = observations::record(
        conn,
        &Observation {
            task_id: &task.id,
            command_id: Some(&report.command_id),
            source_capture_id: None,
            role: "manager",
            kind: "decision",
            severity: Severity::Info,
            message: &format!("the manager decided to stop: {}", report.reason),
            payload: json!({ "decision": "stop", "decision_id": decision_id, "source": "finish_task" }),
        },
    )?;
    Ok((Some(decision_id), Some(observation_id)))
}
