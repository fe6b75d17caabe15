//! Making a policy from a template, or from the names of evidence alone.

use serde_json::{Map, Value, json};

use super::{LoopTemplate, builtin};
use crate::domain::Failure;
use crate::domain::criteria::ADVERSARIAL_CHECK;

/// A loop policy to be made: a template, or only the names of evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewLoop {
    /// The template to start from.
    pub template: Option<LoopTemplate>,
    /// Evidence types that are required beside the template's.
    pub required_before_continue: Vec<String>,
    /// Require an adversarial check as well.
    pub adversarial: bool,
    /// Only evidence that conveyor executed itself opens the next pass, also where the template takes
    /// other evidence.
    pub require_executed_evidence: bool,
    /// Instead of the template's.
    pub max_iterations: Option<u32>,
    /// The pass that is under way.
    pub current_iteration: u32,
    /// Instead of the template's.
    pub cleanup_policy: Option<String>,
    /// Digest of the prompt that every pass starts from.
    pub seed_prompt_sha256: Option<String>,
    /// The command that made it, where that was no template.
    pub source: Option<String>,
}

impl NewLoop {
    /// The metadata of the run that will hold the policy.
    ///
    /// # Errors
    /// When an evidence type is blank, or the bounds leave no pass.
    pub fn metadata(&self) -> Result<Value, Failure> {
        let base = self.template.clone().unwrap_or_else(|| builtin::template("", ""));
        let name = self.template.as_ref().map(|template| &template.name);
        let max_iterations = self.max_iterations.unwrap_or(base.max_iterations);
        if max_iterations == 0 {
            return Err(Failure::usage("a loop needs at least one pass: --max-iterations must be 1 or more"));
        }
        if self.current_iteration > max_iterations {
            return Err(Failure::usage(format!(
                "the loop would begin after its end: --current-iteration {} is over --max-iterations {max_iterations}",
                self.current_iteration
            )));
        }
        let required = self.required(&base)?;
        let mut metadata = json!({
            "kind": "ralph_loop",
            "policy_record": true,
            "template": name,
            "preset": name,
            "current_iteration": self.current_iteration,
            "max_iterations": max_iterations,
            "cleanup_policy": self.cleanup_policy.as_deref().unwrap_or(&base.cleanup_policy),
            "required_before_continue": required,
            "require_executed_evidence": self.require_executed_evidence || base.require_executed_evidence,
            "stop_conditions": base.stop_conditions,
            "artifact_requirements": artifacts(base.artifact_requirements, &required),
            "recommended_tools": base.recommended_tools,
            "tags": base.tags,
            "seed_prompt_sha256": self.seed_prompt_sha256,
        });
        if let Some(source) = &self.source {
            metadata["source"] = json!(source);
        }
        Ok(metadata)
    }

    fn required(&self, base: &LoopTemplate) -> Result<Vec<String>, Failure> {
        let mut required: Vec<String> = Vec::new();
        let adversarial = self.adversarial.then_some(ADVERSARIAL_CHECK);
        let given = self.required_before_continue.iter().map(|evidence| evidence.trim());
        for evidence in
            base.required_before_continue.iter().map(String::as_str).chain(given).chain(adversarial)
        {
            if evidence.is_empty() {
                return Err(Failure::usage(
                    "an evidence type is empty: --required-before-continue needs a name",
                ));
            }
            if !required.iter().any(|known| known == evidence) {
                required.push(evidence.to_owned());
            }
        }
        Ok(required)
    }
}

fn artifacts(mut requirements: Map<String, Value>, required: &[String]) -> Map<String, Value> {
    if required.iter().any(|evidence| evidence == ADVERSARIAL_CHECK) {
        requirements.extend([builtin::adversarial_check()]);
    }
    requirements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LoopPolicy;

    fn named(name: &str) -> Option<LoopTemplate> {
        builtin::templates().into_iter().find(|template| template.name == name)
    }

    fn policy(new: &NewLoop) -> LoopPolicy {
        LoopPolicy::of_run("run-1", &new.metadata().unwrap()).unwrap()
    }

    #[test]
    fn every_template_makes_a_policy_and_knows_its_artifacts() {
        for template in builtin::templates() {
            let new = NewLoop { template: Some(template.clone()), ..NewLoop::default() };
            let policy = policy(&new);
            assert_eq!(policy.template.as_deref(), Some(&*template.name));
            assert_eq!(policy.max_iterations, i64::from(template.max_iterations));
            let requires =
                policy.required_before_continue.iter().any(|evidence| evidence == ADVERSARIAL_CHECK);
            assert_eq!(policy.artifact_requirements.contains_key(ADVERSARIAL_CHECK), requires);
        }
    }

    #[test]
    fn a_template_is_added_to_and_overridden() {
        let new = NewLoop {
            template: named("build_then_clear"),
            required_before_continue: vec!["cleanup".into(), " docs ".into()],
            adversarial: true,
            require_executed_evidence: true,
            max_iterations: Some(9),
            current_iteration: 1,
            cleanup_policy: Some("compact".into()),
            seed_prompt_sha256: Some("abc".into()),
            source: None,
        };
        let policy = policy(&new);
        assert_eq!(policy.required_before_continue, ["build_passed", "cleanup", "docs", "adversarial_check"]);
        assert_eq!((policy.max_iterations, policy.current_iteration), (9, 1));
        assert_eq!(policy.cleanup_policy.as_deref(), Some("compact"));
        assert!(policy.artifact_requirements.contains_key(ADVERSARIAL_CHECK));
        assert!(policy.require_executed_evidence);
    }

    #[test]
    fn a_policy_of_evidence_alone_has_the_defaults() {
        let new = NewLoop { required_before_continue: vec!["build_passed".into()], ..NewLoop::default() };
        let policy = policy(&new);
        assert_eq!((policy.template, policy.max_iterations), (None, 2));
        assert_eq!(policy.cleanup_policy.as_deref(), Some("clear"));
        assert!(policy.tags.is_empty() && policy.artifact_requirements.is_empty());
    }

    #[test]
    fn what_leaves_no_loop_is_refused() {
        fn check(new: NewLoop) {
            assert!(new.metadata().is_err(), "{new:?}");
        }
        check(NewLoop { required_before_continue: vec![" ".into()], ..NewLoop::default() });
        check(NewLoop { max_iterations: Some(0), ..NewLoop::default() });
        check(NewLoop { max_iterations: Some(2), current_iteration: 3, ..NewLoop::default() });
    }
}
