//! The templates that every user has.

use serde_json::{Map, Value, json};

use super::{DEFAULT_CLEANUP, DEFAULT_MAX_ITERATIONS, LoopTemplate};
use crate::domain::criteria::ADVERSARIAL_CHECK;

/// What ends every loop.
const STOP_CONDITIONS: [&str; 2] = ["max_iterations", "required_evidence"];

/// By name.
pub(super) fn templates() -> [LoopTemplate; 5] {
    [
        build_then_clear(),
        compact_then_continue(),
        pr_ci_merge_loop(),
        test_coverage_loop(),
        visual_diff_loop(),
    ]
}

/// A template that requires nothing.
pub(super) fn template(name: &str, description: &str) -> LoopTemplate {
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
        require_executed_evidence: false,
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

/// The evidence that somebody tried to disprove a pass, see [`crate::domain::criteria::is_adversarial_proof`].
pub(super) fn adversarial_check() -> (String, Value) {
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
