//! What worker and manager agree on: criteria, the supervision contract, acknowledgements, proposals,
//! the epilogue; and the loop that all of it gates.

use crate::support::World;
use crate::support::run::Run;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A world with a task `t1`.
fn with_task() -> World {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    world
}

fn piped(world: &World, args: &[&str], input: &str) -> Run {
    world.conveyor_in(world.root(), args, input)
}

#[test]
fn a_workers_answer_becomes_criteria_by_the_commands_it_is_turned_into() {
    let world = with_task();
    let answer = "## Must-have\n- it's \"fast\" & $safe\n- Docs updated\n  with examples\n## Follow-up\n1. Add metrics\n";
    let file = world.root().join("answer.md");
    fs::write(&file, answer).unwrap();
    let from_stdin = piped(&world, &["criteria-plan", "t1", "--from-stdin", "--json"], answer).ok().json();
    let from_text = world.conveyor(&["criteria-plan", "t1", "--from-text", answer, "--json"]).ok().json();
    let from_file = ["criteria-plan", "t1", "--from-worker-response", file.to_str().unwrap(), "--json"];
    assert_eq!(from_stdin, from_text);
    assert_eq!(from_stdin, world.conveyor(&from_file).ok().json());
    world.conveyor(&["criteria-plan", "t1", "--from-worker-response", "nowhere.md"]).exits(2);

    for suggestion in from_text["suggestions"].as_array().unwrap() {
        let words: Vec<&str> =
            suggestion["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        assert_eq!(words[0], "conveyor");
        world.conveyor(&words[1..]).ok();
    }
    let listed = world.conveyor(&["criteria", "t1", "--list"]).ok().json();
    assert_eq!(
        listed["summary"],
        json!({"accepted": 2, "deferred": 1, "proposed": 0, "rejected": 0, "satisfied": 0})
    );
    assert_eq!(listed["criteria"][0]["criterion"], "it's \"fast\" & $safe");

    let shown = world.conveyor(&["criteria-plan", "t1", "--from-text", answer]).ok();
    insta::assert_snapshot!(shown.snapshot(world.root()));
}

#[test]
fn an_acknowledgement_is_read_from_standard_input_or_given() {
    let world = with_task();
    assert_eq!(world.conveyor(&["worker-ack", "t1"]).ok().json(), Value::Null);
    let given =
        piped(&world, &["worker-ack", "t1", "--from-stdin"], r#"{"ready_to_start": true}"#).ok().json();
    assert_eq!((&given["revision"], &given["payload"]), (&json!(1), &json!({"ready_to_start": true})));
    let more = ["worker-ack", "t1", "--payload-json", r#"{"open_questions": []}"#, "--correlation-id", "c1"];
    assert_eq!(world.conveyor(&more).ok().json()["revision"], 2);
    assert_eq!(world.conveyor(&["worker-ack", "t1", "--json"]).ok().json()["correlation_id"], "c1");
    for input in ["", "not json", "[1]"] {
        let refused = piped(&world, &["manager-ack", "t1", "--from-stdin"], input).exits(2);
        assert!(refused.stderr.contains("standard input"), "{}", refused.text());
    }
    assert_eq!(world.conveyor(&["manager-ack", "t1"]).ok().json(), Value::Null);
}

#[test]
fn every_question_names_a_flag_that_takes_its_answer() {
    let world = with_task();
    let asked = world.conveyor(&["manager-config", "t1", "--questions"]).ok().json();
    for question in asked["questions"].as_array().unwrap() {
        let flag = question["flag"].as_str().unwrap();
        let answer = question["choices"][0].as_str().unwrap_or("an answer");
        let mut args = vec!["manager-config", "t1", flag, answer];
        if question["type"] == "yes_no" {
            args.pop();
        }
        let config = world.conveyor(&args).ok().json();
        assert!(config.get(question["id"].as_str().unwrap()).is_some(), "{question}");
    }
    let refused = world.conveyor(&["manager-config", "t1", "--interactive"]).exits(2);
    assert!(refused.stderr.contains("--questions"), "{}", refused.text());
}

#[test]
fn a_required_permission_that_is_denied_fails_the_command() {
    let world = with_task();
    let ask = ["manager-permission", "t1", "create_pr", "--require"];
    let denied = world.conveyor(&ask).exits(1).json();
    assert_eq!(denied["reasons"], json!(["missing_manager_config"]));
    world.conveyor(&["manager-config", "t1", "--permit", "repo.open_pr"]).ok();
    assert_eq!(world.conveyor(&ask).ok().json()["allowed"], true);
    let listed = world.conveyor(&["manager-permission", "t1", "repo.push_branch", "--list"]).ok().json();
    assert_eq!((&listed["allowed"], &listed["granted"]), (&json!(false), &json!(["open_pr"])));
    let misspelt = world.conveyor(&["manager-permission", "t1", "repo.open_prs"]).exits(1);
    assert!(misspelt.stderr.contains("did you mean repo.open_pr?"), "{}", misspelt.text());
}

#[test]
fn an_epilogue_asks_the_tools_of_whoever_runs_it() {
    let world = with_task();
    let tool = world.bin().join("my-linter");
    fs::write(&tool, "#!/bin/sh\necho \"$0 $1 in $PWD\"\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let configure =
        ["manager-config", "t1", "--epilogue", "run-tools", "--tool", "my-linter", "--tool", "no-such-tool"];
    world.conveyor(&configure).ok();

    let failed = world.conveyor(&["epilogue", "t1", "--step", "run-tools"]).ok();
    assert_eq!(failed.stdout.trim(), "epilogue run-tools: failed: these tools did not answer: no-such-tool");
    let report = world.conveyor(&["epilogue", "t1", "--status"]).ok().json();
    let tools = &report["runs"][0]["result"]["tools"];
    assert_eq!((&tools[0]["returncode"], &tools[1]["returncode"]), (&json!(0), &json!(127)));
    assert!(tools[0]["stdout"].as_str().unwrap().contains("--version in "), "{tools}");
    let refused = world.conveyor(&["finish-task", "t1", "--require-epilogue"]).exits(1);
    assert!(refused.stderr.contains("run-tools"), "{}", refused.text());

    world.conveyor(&["manager-config", "t1", "--tool", "my-linter"]).ok();
    assert_eq!(
        world.conveyor(&["epilogue", "t1", "--step", "run-tools"]).ok().stdout.trim(),
        "epilogue run-tools: succeeded"
    );
}

#[test]
fn proposals_are_kept_apart_until_both_are_in() {
    let world = with_task();
    let submit = |side: &str, input: &str| {
        piped(
            &world,
            &["continuation", "t1", "--submit", side, "--from-stdin", "--correlation-id", "c1"],
            input,
        )
    };
    let peek = [
        "continuation",
        "t1",
        "--list",
        "--as-role",
        "manager",
        "--correlation-id",
        "c1",
        "--include-payload",
    ];
    submit("manager", r#"{"next": "tests"}"#).exits(1);
    submit("worker", r#"{"next": "docs"}"#).ok();
    world.conveyor(&peek).exits(1);
    submit("manager", r#"{"next": "tests"}"#).ok();
    let seen = world.conveyor(&peek).ok().json();
    assert_eq!(seen["continuations"][0]["payload"], json!({"next": "docs"}));
}

#[test]
fn a_loop_goes_on_when_its_evidence_is_in() {
    let world = World::new();
    let made = [
        "create-disposable-binding",
        "t1",
        "--required-before-continue",
        "build_passed",
        "--run-name",
        "loop",
    ];
    let shown = world.conveyor(&made).ok();
    assert!(shown.stdout.contains("worker-inbox t1 --consume-next"), "{}", shown.text());
    let request = [
        "enqueue-continue-iteration",
        "t1",
        "--loop-run",
        "loop",
        "--requested-iteration",
        "2",
        "--message",
        "- go on",
    ];
    let dispatch = || world.conveyor(&["dispatch", "--once", "--json"]).ok().json()["processed"][0].clone();

    let run_id = world.conveyor(&[&request[..], &["--json"]].concat()).ok().json()["loop_run_id"].clone();
    let blocked = dispatch();
    assert_eq!(
        (&blocked["state"], &blocked["reason"]),
        (&json!("blocked"), &json!("missing_build_passed_evidence"))
    );
    assert_eq!(world.conveyor(&["worker-inbox", "t1", "--json"]).ok().json()["pending"], 0);

    let evidence =
        json!({"evidence_type": "build_passed", "ralph_loop_run_id": run_id, "iteration": 1}).to_string();
    world
        .conveyor(&[
            "criteria",
            "t1",
            "--add",
            "--criterion",
            "it builds",
            "--source",
            "worker_proposed",
            "--status",
            "satisfied",
            "--evidence-json",
            &evidence,
        ])
        .ok();
    world.conveyor(&request).ok();
    assert_eq!(dispatch()["state"], "pull_required");
    let taken = world.conveyor(&["worker-inbox", "t1", "--consume-next"]).ok();
    assert!(taken.stdout.contains("    - go on"), "{}", taken.text());
    let states: Vec<String> = world
        .conveyor(&["commands"])
        .ok()
        .stdout
        .lines()
        .map(|line| line.split('\t').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(states, ["blocked", "succeeded"]);
    // The directory holds the rollouts of the two sessions that nobody runs.
    assert_eq!(fs::read_dir(world.state_root().join("disposable-sessions")).unwrap().count(), 2);
    world.conveyor(&made).exits(1);
    assert_eq!(fs::read_dir(world.state_root().join("disposable-sessions")).unwrap().count(), 2);
}
