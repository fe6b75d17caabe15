//! Acceptance criteria: where each stands, and what counts as an attempt to disprove the work.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::words;

words! {
    /// Where a criterion stands.
    CriterionStatus {
        /// Somebody thinks that it should hold.
        Proposed = "proposed",
        /// It must hold, and that is not shown yet.
        Accepted = "accepted",
        /// It holds.
        Satisfied = "satisfied",
        /// It is left for later.
        Deferred = "deferred",
        /// It need not hold.
        Rejected = "rejected",
    }
}

words! {
    /// Who asked for a criterion.
    CriterionSource {
        /// The user.
        UserRequested = "user_requested",
        /// The manager, from what it saw.
        ManagerInferred = "manager_inferred",
        /// The worker.
        WorkerProposed = "worker_proposed",
        /// The last look before the end.
        FinalAudit = "final_audit",
    }
}

/// How many criteria of a task stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "one count for each status")]
pub struct CriteriaSummary {
    pub proposed: usize,
    pub accepted: usize,
    pub satisfied: usize,
    pub deferred: usize,
    pub rejected: usize,
}

impl CriteriaSummary {
    /// Counts.
    pub fn of(statuses: impl Iterator<Item = CriterionStatus>) -> Self {
        let mut summary = Self::default();
        for status in statuses {
            *match status {
                CriterionStatus::Proposed => &mut summary.proposed,
                CriterionStatus::Accepted => &mut summary.accepted,
                CriterionStatus::Satisfied => &mut summary.satisfied,
                CriterionStatus::Deferred => &mut summary.deferred,
                CriterionStatus::Rejected => &mut summary.rejected,
            } += 1;
        }
        summary
    }
}

/// The evidence type of an attempt to disprove the work.
pub const ADVERSARIAL_CHECK: &str = "adversarial_check";

/// What such an attempt must tell, each in words.
pub const ADVERSARIAL_FIELDS: [&str; 3] = ["failure_mode", "check", "result"];

/// Status words of evidence that speaks against the work.
const FAILING_STATUSES: [&str; 6] = ["error", "errored", "fail", "failed", "failure", "rejected"];

/// Whether the evidence is an attempt to disprove the work that did not succeed.
pub fn is_adversarial_proof(evidence: &Value) -> bool {
    let text = |field: &str| evidence.get(field).and_then(Value::as_str).map(str::trim).unwrap_or_default();
    text("evidence_type") == ADVERSARIAL_CHECK
        && ADVERSARIAL_FIELDS.into_iter().all(|field| !text(field).is_empty())
        && !FAILING_STATUSES.contains(&text("status").to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_proof_tells_what_was_tried_and_how_it_went() {
        fn check(change: Value, expect: bool) {
            let mut evidence = json!({
                "evidence_type": "adversarial_check", "failure_mode": "race", "check": "stress", "result": "none",
            });
            let (Value::Object(evidence_map), Value::Object(change_map)) = (&mut evidence, change) else {
                panic!("no objects")
            };
            evidence_map.extend(change_map);
            assert_eq!(is_adversarial_proof(&evidence), expect, "{evidence}");
        }
        check(json!({}), true);
        check(json!({ "status": "pass" }), true);
        check(json!({ "status": null }), true);
        check(json!({ "status": "Failed" }), false);
        check(json!({ "status": "rejected" }), false);
        check(json!({ "check": " " }), false);
        check(json!({ "result": null }), false);
        check(json!({ "failure_mode": 7 }), false);
        check(json!({ "evidence_type": "build" }), false);
        assert!(!is_adversarial_proof(&json!({})));
    }

    #[test]
    fn each_status_is_counted_by_itself() {
        use CriterionStatus::{Accepted, Rejected};
        let summary = CriteriaSummary::of([Accepted, Rejected, Accepted].into_iter());
        assert_eq!(summary, CriteriaSummary { accepted: 2, rejected: 1, ..CriteriaSummary::default() });
    }
}
