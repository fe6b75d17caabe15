//! Loop policies to start from.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Failure;
use super::criteria::ADVERSARIAL_CHECK;

/// What happens to the worker's context between passes, unless a template or a person says otherwise.
pub const DEFAULT_CLEANUP: &str = "clear";

/// The passes of a loop, unless a template or a person says otherwise.
pub const DEFAULT_MAX_ITERATIONS: u32 = 2;

/// What ends every loop.
const STOP_CONDITIONS: [&str; 2] = ["max_iterations", "required_evidence"];

/// A loop policy under a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoopTemplate {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The last pass there may be.
    pub max_iterations: u32,
    /// What happens to the worker's context between passes.
    pub cleanup_policy: String,
    /// The evidence types that must be satisfied before the next pass.
    pub required_before_continue: Vec<String>,
    /// What ends the loop, in words.
    pub stop_conditions: Vec<String>,
    /// What each artifact must look like, by name.
    pub artifact_requirements: Map<String, Value>,
    /// Tools that help.
    pub recommended_tools: Vec<String>,
    /// What the loop is about.
    pub tags: Vec<String>,
}

/// All templates, by name.
pub fn templates() -> [LoopTemplate; 5] {
    [
        build_then_clear(),
        compact_then_continue(),
        pr_ci_merge_loop(),
        test_coverage_loop(),
        visual_diff_loop(),
    ]
}

/// The template with this name.
///
/// # Errors
/// `NotFound` for an unknown name, with the nearest known one.
pub fn find(name: &str) -> Result<LoopTemplate, Failure> {
    templates().into_iter().find(|template| template.name == name).ok_or_else(|| {
        let names: Vec<String> = templates().into_iter().map(|template| template.name).collect();
        Failure::unknown_name("loop template", name, &names).hint(format!("there are: {}", names.join(", ")))
    })
}

fn template(name: &str, description: &str) -> LoopTemplate {
    LoopTemplate {
        name: name.to_owned(),
        description: description.to_owned(),
        max_iterations: DEFAULT_MAX_ITERATIONS,
        cleanup_policy: DEFAULT_CLEANUP.to_owned(),
        required_before_continue: Vec::new(),
        stop_conditions: words(STOP_CONDITIONS),
        artifact_requirements: Map::new(),
        recommended_tools: Vec::new(),
        tags: Vec::new(),
    }
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn build_then_clear() -> LoopTemplate {
    LoopTemplate {
        required_before_continue: words(["build_passed", "cleanup"]),
        tags: words(["build", "context"]),
        ..template("build_then_clear", "Build, then clear the worker's context before the next pass.")
    }
}

fn compact_then_continue() -> LoopTemplate {
    LoopTemplate {
        max_iterations: 4,
        cleanup_policy: "compact".to_owned(),
        required_before_continue: words(["worker_completion", "cleanup"]),
        tags: words(["context"]),
        ..template(
            "compact_then_continue",
            "Compact the worker's context after each completed pass and go on.",
        )
    }
}

fn pr_ci_merge_loop() -> LoopTemplate {
    LoopTemplate {
        required_before_continue: words(["pr_url", "ci_green", "merge", ADVERSARIAL_CHECK]),
        artifact_requirements: Map::from_iter([adversarial_check()]),
        recommended_tools: words(["gh", "verification.run_tests"]),
        tags: words(["repo", "ci"]),
        ..template("pr_ci_merge_loop", "One pull request a pass: opened, checked, merged and challenged.")
    }
}

fn test_coverage_loop() -> LoopTemplate {
    LoopTemplate {
        max_iterations: 3,
        required_before_continue: words(["test_coverage", ADVERSARIAL_CHECK]),
        artifact_requirements: Map::from_iter([adversarial_check()]),
        recommended_tools: words(["coverage", "verification.run_tests"]),
        tags: words(["tests"]),
        ..template(
            "test_coverage_loop",
            "Raise the coverage of the tests pass by pass, and challenge the new tests.",
        )
    }
}

fn visual_diff_loop() -> LoopTemplate {
    LoopTemplate {
        max_iterations: 4,
        cleanup_policy: "compact".to_owned(),
        required_before_continue: words([
            "reference_artifact",
            "candidate_screenshot",
            "visual_diff_report",
            "diff_below_threshold",
            ADVERSARIAL_CHECK,
        ]),
        stop_conditions: words(STOP_CONDITIONS.into_iter().chain(["manager_accepts"])),
        artifact_requirements: Map::from_iter([
            adversarial_check(),
            artifact("candidate_screenshot", "path", "The screenshot of this pass."),
            artifact("diff_score", "number", "Changed pixels by all pixels."),
            artifact("reference_artifact", "path", "The picture to come close to."),
            artifact("viewport", "string", "Width and height of both pictures."),
            artifact("visual_diff_report", "path", "The report of the comparison."),
        ]),
        recommended_tools: words(["browser", "playwright", "pixelmatch"]),
        tags: words(["visual", "frontend", "qa"]),
        ..template("visual_diff_loop", "Come close to a reference picture pass by pass.")
    }
}

fn artifact(name: &str, kind: &str, description: &str) -> (String, Value) {
    (name.to_owned(), json!({ "type": kind, "description": description }))
}

/// The evidence that somebody tried to disprove a pass, see [`super::criteria::is_adversarial_proof`].
fn adversarial_check() -> (String, Value) {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let requirement = json!({
        "type": "object",
        "description": "Evidence that somebody tried to disprove the pass, in vain.",
        "required": ["failure_mode", "check", "result"],
        "properties": {
            "failure_mode": text("The strongest realistic way in which the pass could be wrong."),
            "check": text("What was done to find out."),
            "result": text("What came out."),
        },
    });
    (ADVERSARIAL_CHECK.to_owned(), requirement)
}

/// A loop policy to be made: a template, or only the names of evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewLoop {
    /// The template to start from.
    pub template: Option<String>,
    /// Evidence types that are required beside the template's.
    pub required_before_continue: Vec<String>,
    /// Require an adversarial check as well.
    pub adversarial: bool,
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
    /// When the template is unknown, an evidence type is blank, or the bounds leave no pass.
    pub fn metadata(&self) -> Result<Value, Failure> {
        let base = match self.template.as_deref() {
            Some(name) => find(name)?,
            None => template("", ""),
        };
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
        let mut metadata = json!({
            "kind": "ralph_loop",
            "policy_record": true,
            "template": self.template,
            "preset": self.template,
            "current_iteration": self.current_iteration,
            "max_iterations": max_iterations,
            "cleanup_policy": self.cleanup_policy.as_deref().unwrap_or(&base.cleanup_policy),
            "required_before_continue": self.required(&base)?,
            "stop_conditions": base.stop_conditions,
            "artifact_requirements": self.artifacts(base.artifact_requirements.clone()),
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

    fn artifacts(&self, mut requirements: Map<String, Value>) -> Map<String, Value> {
        if self.adversarial {
            requirements.extend([adversarial_check()]);
        }
        requirements
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LoopPolicy;

    fn policy(new: &NewLoop) -> LoopPolicy {
        LoopPolicy::of_run("run-1", &new.metadata().unwrap()).unwrap()
    }

    #[test]
    fn every_template_makes_a_policy_and_knows_its_artifacts() {
        for template in templates() {
            let new = NewLoop { template: Some(template.name.clone()), ..NewLoop::default() };
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
            template: Some("build_then_clear".into()),
            required_before_continue: vec!["cleanup".into(), " docs ".into()],
            adversarial: true,
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
        check(NewLoop { template: Some("nope".into()), ..NewLoop::default() });
        check(NewLoop { required_before_continue: vec![" ".into()], ..NewLoop::default() });
        check(NewLoop { max_iterations: Some(0), ..NewLoop::default() });
        check(NewLoop { max_iterations: Some(2), current_iteration: 3, ..NewLoop::default() });
    }
}
