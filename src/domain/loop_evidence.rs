//! Evidence that a pass of a loop leaves: a receipt that names its run, its pass and its type.

use serde_json::{Map, Value, json};

use super::Failure;
use super::criteria::{ADVERSARIAL_CHECK, ADVERSARIAL_FIELDS, CriterionStatus};

/// The evidence type of a comparison of pictures.
pub const VISUAL_DIFF_REPORT: &str = "visual_diff_report";

/// The evidence type of a comparison whose pictures are alike enough.
pub const DIFF_BELOW_THRESHOLD: &str = "diff_below_threshold";

/// Status words of evidence that speaks for the work. Any other speaks against it.
const PASSING_STATUSES: [&str; 7] = ["green", "ok", "pass", "passed", "satisfied", "success", "succeeded"];

/// One receipt, before it is recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// What it is evidence of, such as `build_passed`.
    pub evidence_type: String,
    /// How it came out, in a word.
    pub status: String,
    /// The same in a sentence.
    pub proof: Option<String>,
    /// What else is known, for programs.
    pub details: Map<String, Value>,
}

impl Receipt {
    /// A receipt whose details somebody gave.
    ///
    /// # Errors
    /// `Usage` when the type or the status is blank, or an adversarial check does not tell what was
    /// tried and what came out.
    pub fn new(
        evidence_type: &str,
        status: &str,
        proof: Option<String>,
        details: Map<String, Value>,
    ) -> Result<Self, Failure> {
        let (evidence_type, status) = (evidence_type.trim(), status.trim());
        if evidence_type.is_empty() {
            return Err(Failure::usage("the evidence has no type: --evidence-type needs a name"));
        }
        if status.is_empty() {
            return Err(Failure::usage(format!("{evidence_type} evidence has no status"))
                .hint(format!("these speak for the work: {}", PASSING_STATUSES.join(", "))));
        }
        if evidence_type == ADVERSARIAL_CHECK {
            check_adversarial(&details)?;
        }
        Ok(Self { evidence_type: evidence_type.to_owned(), status: status.to_owned(), proof, details })
    }

    /// Where the criterion that holds it stands.
    pub fn criterion_status(&self) -> CriterionStatus {
        if PASSING_STATUSES.contains(&self.status.to_lowercase().as_str()) {
            CriterionStatus::Satisfied
        } else {
            CriterionStatus::Rejected
        }
    }

    /// The text of that criterion: the same for every receipt of this type of the same pass.
    pub fn criterion(&self, run_id: &str, iteration: i64) -> String {
        format!("Loop run {run_id}, iteration {iteration}: {}", self.evidence_type)
    }

    /// The evidence of that criterion, as the loop gate reads it. Details do not overwrite its names.
    pub fn evidence(&self, run_id: &str, iteration: i64) -> Map<String, Value> {
        let names = json!({
            "evidence_type": self.evidence_type,
            "iteration": iteration,
            "ralph_loop_run_id": run_id,
            "status": self.status,
        });
        let mut evidence = self.details.clone();
        evidence
            .extend(names.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
        evidence
    }
}

fn check_adversarial(details: &Map<String, Value>) -> Result<(), Failure> {
    let is_told = |field: &&str| {
        details.get(*field).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
    };
    let missing: Vec<&str> = ADVERSARIAL_FIELDS.into_iter().filter(|field| !is_told(field)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!("{ADVERSARIAL_CHECK} evidence does not tell its {}", missing.join(", its ")))
        .hint("record it with `loop-evidence adversarial-check`, which asks for all three in words"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(evidence_type: &str, status: &str, details: Value) -> Result<Receipt, Failure> {
        Receipt::new(evidence_type, status, None, details.as_object().cloned().unwrap())
    }

    #[test]
    fn only_a_passing_word_satisfies() {
        fn check(status: &str, expect: CriterionStatus) {
            assert_eq!(receipt("x", status, json!({})).unwrap().criterion_status(), expect, "{status}");
        }
        for word in PASSING_STATUSES {
            check(word, CriterionStatus::Satisfied);
        }
        check(" PASS ", CriterionStatus::Satisfied);
        for word in ["fail", "red", "passing", "not passed", "true", "done", "okay", "skipped"] {
            check(word, CriterionStatus::Rejected);
        }
    }

    #[test]
    fn details_do_not_overwrite_what_the_gate_reads() {
        let details = json!({"status": "pass", "iteration": 9, "ralph_loop_run_id": "other", "evidence_type": "y", "pct": 92});
        let evidence = receipt(" x ", "fail", details).unwrap().evidence("run-1", 2);
        let expect = json!({"status": "fail", "iteration": 2, "ralph_loop_run_id": "run-1", "evidence_type": "x", "pct": 92});
        assert_eq!(Value::Object(evidence), expect);
    }

    #[test]
    fn what_says_nothing_is_refused() {
        fn check(evidence_type: &str, status: &str, details: Value, expect: &str) {
            let refused = receipt(evidence_type, status, details).unwrap_err().message;
            assert!(refused.contains(expect), "{refused:?}, not {expect:?}");
        }
        check(" ", "pass", json!({}), "no type");
        check("x", " ", json!({}), "no status");
        check("adversarial_check", "pass", json!({}), "its failure_mode, its check, its result");
        check(
            "adversarial_check",
            "fail",
            json!({"failure_mode": "a", "check": " ", "result": "c"}),
            "its check",
        );
        check(
            "adversarial_check",
            "pass",
            json!({"failure_mode": "a", "check": "b", "result": 3}),
            "its result",
        );
    }
}
