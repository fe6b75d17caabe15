//! What is said when a gate is closed: which one, at what, and the command that opens it.

use super::{AckAudit, CriteriaAudit, EpilogueAudit};
use crate::domain::shell::quoted;
use crate::domain::{Failure, Role};
use crate::store::decision_check::DecisionCheck;
use crate::store::evidence::{ExecutedAudit, Unproven};

fn not_finished(task: &str, why: &str) -> Failure {
    Failure::refused(format!("task {task} was not finished: {why}"))
}

pub(super) fn open_criteria(task: &str, audit: &CriteriaAudit) -> Failure {
    let ids: Vec<String> = audit.open_criteria.iter().map(|criterion| criterion.id.to_string()).collect();
    let refusal = not_finished(task, &format!("accepted criteria are not satisfied: {}", ids.join(", ")));
    let task = quoted(task);
    let hint = |id: &String| {
        format!(
            "show that it holds, `conveyor criteria {task} --satisfy {id} --run -- COMMAND`, or leave it for later, \
             `conveyor criteria {task} --defer {id} --rationale WHY`"
        )
    };
    ids.iter().take(3).map(hint).fold(refusal, Failure::hint)
}

pub(super) fn missing_acks(task: &str, audit: &AckAudit) -> Failure {
    let missing: Vec<&str> = audit.missing.iter().map(|role| role.as_str()).collect();
    let refusal = not_finished(task, &format!("no acknowledgement from: {}", missing.join(", ")));
    let task = quoted(task);
    let hint = |role: &Role| {
        format!(
            "the {role} gives its own: `conveyor {role}-ack {task} --payload-json '{{\"ready_to_start\": true}}'`"
        )
    };
    audit.missing.iter().map(hint).fold(refusal, Failure::hint)
}

pub(super) fn incomplete_epilogue(task: &str, audit: &EpilogueAudit) -> Failure {
    let steps = &audit.status.missing_or_incomplete;
    let refusal = not_finished(task, &format!("epilogue steps have not succeeded: {}", steps.join(", ")));
    let task = quoted(task);
    let hint = |step: &String| match step.as_str() {
        "record-handoff" => format!(
            "say where the work stands, `conveyor handoff {task} --summary TEXT`, then carry the step out: \
             `conveyor epilogue {task} --step {step}`"
        ),
        _ => format!("carry it out: `conveyor epilogue {task} --step {step}`"),
    };
    steps.iter().map(hint).fold(refusal, Failure::hint)
}

pub(super) fn unproven(task: &str, audit: &ExecutedAudit) -> Failure {
    if audit.unproven.is_empty() {
        return not_finished(task, "no criterion is carried by executed evidence").hint(format!(
            "show that one holds: `conveyor criteria {0} --satisfy ID --run -- COMMAND`; \
             their ids: `conveyor criteria {0} --list`",
            quoted(task)
        ));
    }
    let says = |unproven: &Unproven| match (unproven.evidence_id, unproven.freshness) {
        (Some(id), Some(freshness)) => {
            format!("criterion {} (evidence {id} {})", unproven.criterion_id, freshness.says())
        }
        _ => format!("criterion {} (somebody only said so)", unproven.criterion_id),
    };
    let unproven: Vec<String> = audit.unproven.iter().map(says).collect();
    let refusal =
        not_finished(task, &format!("no executed evidence that still counts for {}", unproven.join(", ")));
    let task = quoted(task);
    let hint = |unproven: &Unproven| {
        let id = unproven.criterion_id;
        format!("show that it holds now: `conveyor criteria {task} --satisfy {id} --run -- COMMAND`")
    };
    audit.unproven.iter().take(3).map(hint).fold(refusal, Failure::hint)
}

pub(super) fn no_adversarial_proof(task: &str) -> Failure {
    not_finished(task, "nobody tried to disprove its work (adversarial_check)").hint(format!(
        "record an attempt: `conveyor criteria {} --add --criterion TEXT --source final_audit --status satisfied \
         --evidence-json '{{\"evidence_type\":\"adversarial_check\",\"failure_mode\":\"…\",\"check\":\"…\",\"result\":\"…\"}}'`",
        quoted(task)
    ))
}

pub(super) fn no_decision(task: &str, check: &DecisionCheck) -> Failure {
    let doubts: Vec<&str> = check.warnings.iter().map(|doubt| doubt.as_str()).collect();
    Failure::refused(format!("task {task} was not closed: no decision covers it ({})", doubts.join(", "))).hint(
        format!(
            "record one and name its id: `conveyor record-decision {} stop --reason WHY`, then --decision-id ID",
            quoted(task)
        ),
    )
}
