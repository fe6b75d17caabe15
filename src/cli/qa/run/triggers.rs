//! What each controlled wording asks for, carried out; and the wordings that ask for nothing.

use serde_json::{Value, json};

use super::check::Check;
use super::harness::{Harness, Loop};
use crate::domain::Failure;
use crate::domain::criteria::ADVERSARIAL_CHECK;
use crate::domain::triggers::{TRIGGERS, Trigger};

const PROOF: &str = r#"{"evidence_type": "adversarial_check", "failure_mode": "The finish needs no proof", "check": "Finished without one", "result": "It was refused"}"#;

/// Criteria of the kind that the last trigger asks for: each says what must not happen.
const NEGATIVE_CRITERIA: [&str; 3] = [
    "No pass reaches the worker without proof of the one before",
    "A sentence alone never opens a gate",
    "The task is not finished while its proof is missing",
];

/// Plays the scenario.
pub(super) fn play(harness: &mut Harness) -> Result<(), Failure> {
    let [loop_gate, iteration_gate, finish_gate, worker_directed, criteria] = const { &TRIGGERS };
    classification(harness)?;
    let gated = policy(harness, loop_gate)?;
    harness.blocked(
        "iteration_gate_blocks_before_adversarial_proof",
        &gated,
        "missing_adversarial_check_evidence",
        &[ADVERSARIAL_CHECK],
    )?;
    harness.challenge(&gated, iteration_gate.acceptance, &[])?;
    harness.delivered("iteration_gate_allows_fresh_retry_after_structured_proof", &gated)?;
    finish(harness, finish_gate)?;
    worker_proof(harness, worker_directed)?;
    negative_criteria(harness, criteria)
}

/// Asks the program what a prompt asks for; gives the trigger's name.
fn classify(harness: &mut Harness, prompt: &str) -> Result<Value, Failure> {
    let answer = harness.call(&["loop-triggers", "--classify", prompt])?;
    Ok(answer["matched_trigger"]["name"].clone())
}

fn classification(harness: &mut Harness) -> Result<(), Failure> {
    let (mut controlled, mut alike) = (Vec::new(), Vec::new());
    for trigger in const { &TRIGGERS } {
        let matched = classify(harness, trigger.canonical_phrase)?;
        controlled
            .push(json!({"expected": trigger.name, "matched": matched, "prompt": trigger.canonical_phrase}));
        for prompt in trigger.negative_controls {
            alike.push(json!({"matched": classify(harness, prompt)?, "prompt": prompt}));
        }
    }
    let all_matched = controlled.iter().all(|seen| seen["matched"] == seen["expected"]);
    let none_matched = alike.iter().all(|seen| seen["matched"].is_null());
    harness.facts.insert("trigger_classifications".to_owned(), controlled.clone().into());
    harness.facts.insert("negative_control".to_owned(), alike.clone().into());
    let check = Check::new("trigger_classification_matches_controlled_phrases")
        .saw("controlled_triggers", controlled)
        .saw("negative_control", alike)
        .saw("all_controlled_triggers_matched", all_matched)
        .saw("no_negative_control_matched", none_matched);
    let check = check.expect("/all_controlled_triggers_matched", true);
    harness.checks.push(check.expect("/no_negative_control_matched", true));
    Ok(())
}

fn policy(harness: &mut Harness, trigger: &Trigger) -> Result<Loop, Failure> {
    let gated = harness.new_loop("trigger-loop", &["--adversarial", "--max-iterations", "3"])?;
    let check = Check::new("loop_gate_trigger_creates_policy")
        .saw("trigger", trigger.canonical_phrase)
        .saw("run", gated.made["run"].clone())
        .saw("correlation_id", gated.run.clone());
    harness.checks.push(
        check
            .expect("/run/metadata/required_before_continue", vec![ADVERSARIAL_CHECK])
            .expect("/run/metadata/policy_record", true),
    );
    Ok(gated)
}

fn finish(harness: &mut Harness, trigger: &Trigger) -> Result<(), Failure> {
    let task = harness.new_task("trigger-finish");
    harness.call(&["tasks", "--create", &task, "--goal", "Finish with proof only"])?;
    let finish = ["finish-task", &task, "--reason", "The harness is through", "--require-adversarial-proof"];
    let premature = harness.refusal(&finish);
    let criterion =
        ["--criterion", "Somebody tried to disprove it", "--source", "final_audit", "--status", "accepted"];
    let added = harness.call(&[&["criteria", &task, "--add"], &criterion[..]].concat())?;
    let id = added["affected_criterion"]["id"].to_string();
    let evidence = harness.call(&["criteria", &task, "--satisfy", &id, "--evidence-json", PROOF])?;
    let after = harness.call(&finish)?;
    let check = Check::new("finish_gate_requires_structured_adversarial_proof")
        .saw("trigger", trigger.canonical_phrase)
        .saw("premature_finish", premature)
        .saw("evidence", evidence["affected_criterion"].clone())
        .saw("after_proof", after);
    harness.checks.push(
        check
            .expect("/premature_finish/refused", true)
            .expect("/evidence/status", "satisfied")
            .expect("/after_proof/finish", true),
    );
    Ok(())
}

fn worker_proof(harness: &mut Harness, trigger: &Trigger) -> Result<(), Failure> {
    let asked = harness.new_loop("trigger-worker", &["--adversarial"])?;
    harness.call(&["enqueue-nudge-worker", &asked.task, "--message", trigger.canonical_phrase])?;
    let proof = harness.challenge(
        &asked,
        "The worker's own proof counts for nothing",
        &["--source", "worker_proposed"],
    )?;
    let check = Check::new("worker_directed_trigger_records_worker_proposed_proof")
        .saw("trigger", trigger.canonical_phrase)
        .saw("evidence", proof["criterion"].clone());
    harness
        .checks
        .push(check.expect("/evidence/source", "worker_proposed").expect("/evidence/status", "satisfied"));
    Ok(())
}

fn negative_criteria(harness: &mut Harness, trigger: &Trigger) -> Result<(), Failure> {
    let asked = harness.new_loop("trigger-criteria", &["--adversarial"])?;
    for criterion in NEGATIVE_CRITERIA {
        let kind = ["--source", "manager_inferred", "--status", "accepted"];
        harness.call(&[&["criteria", &asked.task, "--add", "--criterion", criterion], &kind[..]].concat())?;
    }
    harness.call(&["enqueue-nudge-worker", &asked.task, "--message", &NEGATIVE_CRITERIA.join("\n")])?;
    let listed = harness.call(&["criteria", &asked.task, "--list", "--status", "accepted"])?;
    let inferred = listed["criteria"].as_array().into_iter().flatten();
    let inferred: Vec<Value> =
        inferred.filter(|criterion| criterion["source"] == "manager_inferred").cloned().collect();
    let check = Check::new("acceptance_criteria_trigger_records_negative_manager_criteria")
        .saw("trigger", trigger.canonical_phrase)
        .saw("manager_inferred_criteria_count", inferred.len())
        .saw("criteria", inferred);
    harness.checks.push(check.expect("/manager_inferred_criteria_count", NEGATIVE_CRITERIA.len()));
    Ok(())
}
