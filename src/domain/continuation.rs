//! What comes next: the worker and the manager propose on their own, a reviewer compares.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Failure;
use super::supervision::NudgeOnCompletion;
use super::words::words;

words! {
    /// How two proposals relate.
    Agreement {
        /// They say the same.
        Match = "match",
        /// They can be done together.
        Compatible = "compatible",
        /// They exclude each other.
        Divergent = "divergent",
    }
}

words! {
    /// What a reviewer concludes.
    Verdict {
        /// Go on as proposed.
        Proceed = "proceed",
        /// Go on with the addendum.
        Amend = "amend",
        /// Do not go on.
        Stop = "stop",
    }
}

words! {
    /// Who reads proposals.
    Reader {
        /// Somebody who may see everything.
        All = "all",
        /// The worker.
        Worker = "worker",
        /// The manager, who must not see the worker's proposal before its own is written.
        Manager = "manager",
        /// The reviewer.
        Reviewer = "reviewer",
    }
}

/// Status words of a reviewer that did not get to a verdict.
const FAILED: [&str; 8] =
    ["error", "errored", "fail", "failed", "failure", "timeout", "timed_out", "cancelled"];

/// A reviewer's verdict, as it is handed in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Review {
    /// How the proposals relate.
    pub agreement: Agreement,
    /// What follows.
    pub verdict: Verdict,
    /// Why.
    pub rationale: String,
    /// What is to be done differently.
    #[serde(default)]
    pub addendum: Option<String>,
    /// How the review was made.
    pub subagent_run: SubagentRun,
}

/// How a review was made: by somebody else than the manager, who could not read the manager's
/// thoughts. Further fields are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubagentRun {
    /// The reviewer's session.
    pub reviewer_session_id: String,
    /// The manager's session.
    pub manager_session_id: String,
    /// Must be false, in so many words.
    pub manager_rollout_access: bool,
    /// How it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What the reviewer was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_context: Option<Vec<String>>,
    /// What else was handed in.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Review {
    /// Reads a verdict that was handed in.
    ///
    /// # Errors
    /// A usage failure when a field is missing or wrong, or the reviewer was not independent.
    pub fn read(payload: Map<String, Value>) -> Result<Self, Failure> {
        let review: Self = serde_json::from_value(Value::Object(payload))
            .map_err(|error| refuse(&error.to_string()).hint("it needs agreement (match, compatible, divergent), verdict (proceed, amend, stop), rationale and subagent_run"))?;
        let run = &review.subagent_run;
        let blank = |text: &str| text.trim().is_empty();
        if blank(&review.rationale) {
            return Err(refuse("its rationale is empty"));
        }
        if blank(&run.reviewer_session_id) || blank(&run.manager_session_id) {
            return Err(refuse("subagent_run does not say who reviewed and who manages"));
        }
        if run.reviewer_session_id == run.manager_session_id {
            return Err(refuse("the manager cannot review its own proposal")
                .hint("subagent_run.reviewer_session_id must be another session than manager_session_id"));
        }
        if run.manager_rollout_access {
            return Err(refuse("the reviewer could read the manager's rollout")
                .hint("subagent_run.manager_rollout_access must be false"));
        }
        Ok(review)
    }

    /// Whether the reviewer failed, so that its verdict counts for nothing.
    pub fn reviewer_failed(&self) -> bool {
        self.subagent_run
            .status
            .as_deref()
            .is_some_and(|status| FAILED.contains(&status.trim().to_lowercase().as_str()))
    }

    /// Whether a person has to look before anything goes on.
    pub fn needs_operator(&self, mode: NudgeOnCompletion) -> bool {
        let unsettled = self.agreement == Agreement::Divergent && mode != NudgeOnCompletion::AutoProceed;
        self.reviewer_failed() || unsettled
    }
}

fn refuse(why: &str) -> Failure {
    Failure::usage(format!("the review was not recorded: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A good review with some fields replaced.
    fn review(changes: Value) -> Result<Review, Failure> {
        let mut payload = json!({
            "agreement": "match", "verdict": "proceed", "rationale": "both agree",
            "subagent_run": {"reviewer_session_id": "r", "manager_session_id": "m", "manager_rollout_access": false},
        });
        payload.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        Review::read(payload.as_object().unwrap().clone())
    }

    fn run(reviewer: &str, manager: &str, access: Value) -> Value {
        json!({"subagent_run": {"reviewer_session_id": reviewer, "manager_session_id": manager, "manager_rollout_access": access}})
    }

    #[test]
    fn a_review_needs_every_field_and_an_independent_reviewer() {
        fn check(changes: Value, expect: bool) {
            let outcome = review(changes.clone());
            assert_eq!(outcome.is_ok(), expect, "{changes}: {outcome:?}");
        }
        check(json!({}), true);
        check(json!({"addendum": "note", "verdict": "amend", "agreement": "compatible"}), true);
        check(json!({"agreement": "x"}), false);
        check(json!({"verdict": "x"}), false);
        check(json!({"rationale": " "}), false);
        check(json!({"rationale": null}), false);
        check(json!({"subagent_run": "x"}), false);
        check(json!({"subagent_run": {"manager_session_id": "m", "manager_rollout_access": false}}), false);
        check(json!({"subagent_run": {"reviewer_session_id": "r", "manager_session_id": "m"}}), false);
        check(run("m", "m", false.into()), false);
        check(run("", "m", false.into()), false);
        check(run("r", "m", true.into()), false);
        check(run("r", "m", "no".into()), false);
        assert!(Review::read(Map::new()).is_err());
    }

    #[test]
    fn a_person_looks_when_nothing_is_settled() {
        fn check(agreement: &str, status: Value, mode: NudgeOnCompletion, expect: bool) {
            let mut payload = run("r", "m", false.into());
            payload["subagent_run"]["status"] = status.clone();
            payload["agreement"] = agreement.into();
            assert_eq!(review(payload).unwrap().needs_operator(mode), expect, "{agreement} {status} {mode}");
        }
        use NudgeOnCompletion::{AskOperator, AutoProceed, AutoReview};
        check("match", "succeeded".into(), AskOperator, false);
        check("compatible", Value::Null, AskOperator, false);
        check("divergent", "succeeded".into(), AskOperator, true);
        check("divergent", "succeeded".into(), AutoReview, true);
        check("divergent", "succeeded".into(), AutoProceed, false);
        check("match", "Failed".into(), AutoProceed, true);
        check("match", "timeout".into(), AskOperator, true);
    }

    #[test]
    fn what_else_is_said_of_the_run_is_kept() {
        let mut payload = run("r", "m", false.into());
        payload["subagent_run"]["model"] = "x".into();
        let kept = serde_json::to_value(review(payload).unwrap().subagent_run).unwrap();
        assert_eq!(
            kept,
            json!({"reviewer_session_id": "r", "manager_session_id": "m", "manager_rollout_access": false, "model": "x"})
        );
    }
}
