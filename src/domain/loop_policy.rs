//! The policy of a bounded loop: how many passes, and which evidence opens the next one.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Failure;
use super::criteria::ADVERSARIAL_CHECK;

/// A loop policy, as commands and deliveries carry it (`loop_policy`). Its run stores the same
/// fields as metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopPolicy {
    /// The run that holds it.
    pub run_id: String,
    /// The template it was made from.
    #[serde(default)]
    pub template: Option<String>,
    /// The older name of `template`.
    #[serde(default)]
    pub preset: Option<String>,
    /// The pass that is under way.
    #[serde(default)]
    pub current_iteration: i64,
    /// The last pass there may be.
    #[serde(default)]
    pub max_iterations: i64,
    /// What happens to the worker's context between passes: `clear` or `compact`.
    #[serde(default)]
    pub cleanup_policy: Option<String>,
    /// The evidence types that must be satisfied before the next pass.
    #[serde(default)]
    pub required_before_continue: Vec<String>,
    /// Only evidence that conveyor executed itself opens the next pass.
    #[serde(default)]
    pub require_executed_evidence: bool,
    /// What ends the loop, in words.
    #[serde(default)]
    pub stop_conditions: Vec<String>,
    /// What each artifact must look like, by name.
    #[serde(default)]
    pub artifact_requirements: Map<String, Value>,
    /// Tools that help.
    #[serde(default)]
    pub recommended_tools: Vec<String>,
    /// What the loop is about.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Digest of the prompt that every pass starts from.
    #[serde(default)]
    pub seed_prompt_sha256: Option<String>,
}

impl LoopPolicy {
    /// The policy in a run's metadata; `None` when the run holds none.
    pub fn of_run(run_id: &str, metadata: &Value) -> Option<Self> {
        let mut fields = metadata.as_object()?.clone();
        if fields.get("kind").and_then(Value::as_str) != Some("ralph_loop") {
            return None;
        }
        fields.insert("run_id".to_owned(), run_id.into());
        serde_json::from_value(Value::Object(fields)).ok()
    }

    /// Refuses a request for a pass that is under way or over.
    ///
    /// # Errors
    /// `Refused`, naming the pass that may be asked for.
    pub fn check_is_next(&self, requested: i64) -> Result<(), Failure> {
        if requested > self.current_iteration {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "iteration {requested} of run {} was not requested: iteration {} is already under way",
            self.run_id, self.current_iteration
        ))
        .hint(format!("ask for --requested-iteration {}", self.current_iteration + 1)))
    }

    /// Why Dispatch may not deliver a request for this pass, given the evidence types that are
    /// satisfied for the pass before; `None` when it may.
    pub fn block_reason(&self, requested: i64, satisfied: &[String]) -> Option<BlockReason> {
        if requested <= self.current_iteration {
            return Some(BlockReason::StaleRequestedIteration);
        }
        if self.current_iteration >= self.max_iterations || requested > self.max_iterations {
            return Some(BlockReason::MaxIterationsReached);
        }
        let missing = self.missing_evidence(requested, satisfied);
        (!missing.is_empty()).then_some(BlockReason::MissingEvidence(missing))
    }

    /// Whether evidence of this type counts because somebody says so. An attempt to disprove the work
    /// is told in words, whatever the policy demands.
    pub fn takes_word_for(&self, evidence_type: &str) -> bool {
        !self.require_executed_evidence || evidence_type == ADVERSARIAL_CHECK
    }

    /// The required evidence types that are not among the satisfied ones. The first pass needs none.
    pub fn missing_evidence(&self, requested: i64, satisfied: &[String]) -> Vec<String> {
        if requested <= 1 {
            return Vec::new();
        }
        self.required_before_continue.iter().filter(|needed| !satisfied.contains(needed)).cloned().collect()
    }
}

/// Why a loop's next pass is not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockReason {
    /// The pass is under way or over.
    StaleRequestedIteration,
    /// The loop has had all its passes.
    MaxIterationsReached,
    /// These evidence types are not satisfied.
    MissingEvidence(Vec<String>),
}

impl BlockReason {
    /// The word in results and telemetry.
    pub fn word(&self) -> String {
        match self {
            Self::StaleRequestedIteration => "stale_requested_iteration".to_owned(),
            Self::MaxIterationsReached => "max_iterations_reached".to_owned(),
            Self::MissingEvidence(missing) => match missing.as_slice() {
                [only] => format!("missing_{only}_evidence"),
                _ => "missing_required_evidence".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(current: i64, max: i64, required: &[&str]) -> LoopPolicy {
        let metadata = json!({
            "kind": "ralph_loop", "current_iteration": current, "max_iterations": max,
            "required_before_continue": required, "policy_record": true,
        });
        LoopPolicy::of_run("run-1", &metadata).unwrap()
    }

    #[test]
    fn only_a_loop_run_holds_a_policy() {
        assert_eq!(LoopPolicy::of_run("run-1", &json!({})), None);
        assert_eq!(LoopPolicy::of_run("run-1", &json!({"kind": "pair"})), None);
        assert_eq!(LoopPolicy::of_run("run-1", &json!([])), None);
        assert_eq!(policy(1, 2, &[]).run_id, "run-1");
    }

    #[test]
    fn only_a_later_pass_may_be_asked_for() {
        fn check(current: i64, requested: i64, expect: bool) {
            let outcome = policy(current, 9, &[]).check_is_next(requested);
            assert_eq!(outcome.is_ok(), expect, "{requested} after {current}");
        }
        check(1, 2, true);
        check(1, 9, true);
        check(1, 1, false);
        check(1, 0, false);
    }

    #[test]
    fn the_first_broken_rule_blocks() {
        fn check(current: i64, requested: i64, satisfied: &[&str], expect: Option<&str>) {
            let satisfied: Vec<String> = satisfied.iter().map(ToString::to_string).collect();
            let reason = policy(current, 3, &["build_passed", "cleanup"]).block_reason(requested, &satisfied);
            assert_eq!(
                reason.map(|reason| reason.word()).as_deref(),
                expect,
                "{requested} after {current}, {satisfied:?}"
            );
        }
        check(2, 2, &["build_passed", "cleanup"], Some("stale_requested_iteration"));
        check(3, 4, &["build_passed", "cleanup"], Some("max_iterations_reached"));
        check(1, 4, &["build_passed", "cleanup"], Some("max_iterations_reached"));
        check(1, 2, &[], Some("missing_required_evidence"));
        check(1, 2, &["build_passed"], Some("missing_cleanup_evidence"));
        check(1, 2, &["cleanup", "build_passed", "more"], None);
        check(0, 1, &[], None);
    }
}
