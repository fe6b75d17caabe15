//! The harnesses of `qa-run`: what they check, and the receipt they leave.

use crate::support::World;
use serde_json::Value;

/// Runs a harness in a world without Codex and tmux; gives its receipt.
fn receipt(world: &World, scenario: &str) -> Value {
    let shown = world.conveyor(&["qa-run", scenario, "--receipt-output", "receipts/of.json", "--json"]);
    let answer = shown.ok().json();
    let path = world.root().join("receipts/of.json");
    assert_eq!(answer["receipt_path"], path.to_str().unwrap());
    let receipt: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((&answer["result"], &receipt["result"]), (&"passed".into(), &"passed".into()));
    receipt
}

/// The states that Dispatch answered with, check by check.
fn states(receipt: &Value) -> Vec<&str> {
    let checks = receipt["checks"].as_array().unwrap();
    checks.iter().map(|check| check["dispatch"]["state"].as_str().unwrap_or("-")).collect()
}

fn check(scenario: &str, expect: &[&str]) {
    let world = World::new();
    let receipt = receipt(&world, scenario);
    assert_eq!(states(&receipt), expect, "{receipt:#}");
    for artifact in receipt["artifacts"].as_object().unwrap().values() {
        assert!(std::path::Path::new(artifact.as_str().unwrap()).is_file(), "{artifact}");
    }
    let replay = receipt["replay_commands"].as_array().unwrap();
    assert!(replay.len() >= 2);
    for line in replay.iter().map(|line| line.as_str().unwrap()) {
        let words: Vec<&str> = line.split(' ').collect();
        world.conveyor(&words[1..]).ok();
    }
    assert!(!world.state_root().join("workerctl.db").exists(), "the person's own database was used");
}

const GATE: [&str; 3] = ["blocked", "blocked", "pull_required"];

#[test]
fn guardrails() {
    check("ralph-loop-guardrails", &["blocked", "blocked", "pull_required", "blocked", "pull_required"]);
}

#[test]
fn a_template_with_pictures() {
    check("generic-loop-template", &GATE);
}

#[test]
fn a_template_with_a_page_that_a_browser_draws() {
    check("generic-loop-template-browser", &GATE);
}

#[test]
fn a_template_for_coverage() {
    check("test-coverage-loop", &GATE);
}

#[test]
fn a_template_for_builds() {
    check("build-clear-loop", &GATE);
}

#[test]
fn triggers() {
    check("adversarial-triggers", &["-", "-", "blocked", "pull_required", "-", "-", "-"]);
}

#[test]
fn pictures_are_really_compared() {
    let world = World::new();
    let made = receipt(&world, "generic-loop-template");
    // 8 by 8 of 320 by 200 pixels.
    assert_eq!(made["visual_diff"]["diff_score"], 0.001, "{:#}", made["visual_diff"]);
    let drawn = receipt(&world, "generic-loop-template-browser");
    assert_eq!(drawn["visual_diff"]["diff_score"], 0.0, "{:#}", drawn["visual_diff"]);
    assert!(drawn["browser"]["backend"].as_str().unwrap().contains("Chrom"), "{:#}", drawn["browser"]);
}

#[test]
fn a_machine_without_a_browser_is_told_how_to_get_one() {
    let world = World::new();
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    command.args(["qa-run", "generic-loop-template-browser", "--receipt-output", "r.json"]);
    let run = crate::support::run::Run::of(command.env("PATH", world.bin()), "").exits(1);
    assert!(
        run.stderr.contains("apt-get install chromium") && run.stderr.contains("CHROME=PATH"),
        "{}",
        run.text()
    );
}

#[test]
fn a_supervised_database_is_left_alone() {
    let world = World::new();
    world.conveyor(&["run", "--detach"]).ok();
    let database = world.state_root().join("workerctl.db");
    let named = ["qa-run", "--receipt-output", "r.json", "--path", database.to_str().unwrap()];
    let refused = world.conveyor(&named).exits(1);
    assert!(refused.stderr.contains("a supervisor dispatches for"), "{}", refused.text());
    world.conveyor(&["run", "--stop"]).ok();
    world.conveyor(&named).ok();
}
