//! The last pass, missing evidence, and the gate of a preset.

use serde_json::json;

use super::harness::Harness;
use crate::domain::Failure;
use crate::domain::criteria::ADVERSARIAL_CHECK;
use crate::domain::loop_templates::DEFAULT_CLEANUP;

/// Plays the scenario.
pub(super) fn play(harness: &mut Harness) -> Result<(), Failure> {
    last_pass(harness)?;
    missing_evidence(harness)?;
    preset(harness)
}

/// No evidence is required, so that the limit alone decides.
fn last_pass(harness: &mut Harness) -> Result<(), Failure> {
    let mut only_one = harness.new_loop("guardrails-last", &[])?;
    let policy = json!({
        "cleanup_policy": DEFAULT_CLEANUP,
        "current_iteration": 1,
        "kind": "ralph_loop",
        "max_iterations": 1,
        "policy_record": true,
        "required_before_continue": [],
        "stop_conditions": ["max_iterations"],
    });
    let purpose = ["--purpose", "ralph_loop", "--metadata-json", &policy.to_string()];
    let run = harness.call(&[&["runs", "--create", &only_one.task], &purpose[..]].concat())?;
    only_one.run = run["id"].as_str().unwrap_or_default().to_owned();
    harness.blocked("max_iteration_blocks_before_worker_delivery", &only_one, "max_iterations_reached", &[])
}

fn missing_evidence(harness: &mut Harness) -> Result<(), Failure> {
    let policy = ["--required-before-continue", "ci_green", "--adversarial", "--max-iterations", "3"];
    let gated = harness.new_loop("guardrails-evidence", &policy)?;
    let blocked = "missing_evidence_blocks_before_worker_delivery";
    harness.blocked(blocked, &gated, "missing_required_evidence", &["ci_green", ADVERSARIAL_CHECK])?;
    harness.record(&gated, "ci_green", &["--proof", "The harness says so"])?;
    let proof = harness.challenge(&gated, "A pass starts without proof of the one before", &[])?;
    let gate = json!({
        "blocked_by": blocked,
        "opened_by": proof["evidence"],
        "required_evidence": ADVERSARIAL_CHECK,
    });
    harness.facts.insert("adversarial_review_gate".to_owned(), gate);
    harness.delivered("fresh_retry_delivers_after_structured_evidence", &gated)
}

fn preset(harness: &mut Harness) -> Result<(), Failure> {
    let policy = ["--template", "pr_ci_merge_loop", "--max-iterations", "3"];
    let preset = harness.new_loop("guardrails-preset", &policy)?;
    harness.blocked(
        "preset_requires_pr_ci_merge_and_adversarial_evidence",
        &preset,
        "missing_required_evidence",
        &["pr_url", "ci_green", "merge", ADVERSARIAL_CHECK],
    )?;
    for kind in ["pr_url", "ci_green", "merge"] {
        harness.record(&preset, kind, &["--proof", "The harness says so"])?;
    }
    harness.challenge(&preset, "The pull request is not on the main branch", &[])?;
    harness.delivered("preset_retry_delivers_after_all_required_evidence", &preset)
}
