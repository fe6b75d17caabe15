//! Each plan is carried out from its first to its last command, with the real Codex.

use super::run;
use crate::support::model::say;
use crate::support::{Script, World};
use serde_json::Value;

/// Carries out a plan; each command must go as the plan says.
fn check(scenario: &str) {
    let world = World::with_codex(Script::new().on(".", [say("I am done.")]));
    let directory = world.work_dir("project");
    let plan = world.conveyor(&["qa-plan", scenario, "--json"]).ok().json();
    let text = world.conveyor(&["qa-plan", scenario]).ok().stdout;
    let steps = plan["steps"].as_array().unwrap();
    let mut seen = 0;
    for step in steps {
        for command in step["commands"].as_array().unwrap().iter().map(|command| command.as_str().unwrap()) {
            assert!(text.contains(&format!("   $ {command}\n")), "{command} is not in:\n{text}");
            run(&world, &directory, command).exits(i32::from(step["refused"] == true));
            seen += 1;
        }
    }
    assert!(seen > 8 && steps.len() > 4, "{seen} commands in {} steps", steps.len());
    world.conveyor(&["run", "--stop"]);
}

#[test]
fn self_management() {
    check("self-management");
}

#[test]
fn emergent_criteria() {
    check("emergent-criteria");
}

#[test]
fn tmux_errors() {
    check("tmux-errors");
}

#[test]
fn dispatch_completion() {
    check("dispatch-completion");
}

#[test]
fn ralph_loop() {
    check("ralph-loop");
}

#[test]
fn adversarial_triggers() {
    check("adversarial-triggers");
}

#[test]
fn goalbuddy_conveyor() {
    check("goalbuddy-conveyor");
}

#[test]
fn a_plan_speaks_under_the_name_it_was_asked_by() {
    let world = World::new();
    let mut workerctl = world.command(env!("CARGO_BIN_EXE_workerctl"));
    let plan = crate::support::run::Run::of(workerctl.args(["qa-plan", "--json"]), "").ok().json();
    assert_eq!(plan["scenario"], "self-management");
    let commands =
        plan["steps"].as_array().unwrap().iter().flat_map(|step| step["commands"].as_array().unwrap());
    let commands: Vec<&str> = commands.filter_map(Value::as_str).collect();
    assert!(commands.iter().all(|command| command.starts_with("workerctl ")), "{commands:?}");
}
