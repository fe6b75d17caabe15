//! Executed evidence: commands that the program runs itself, and how long they count.

use crate::support::wait::PATIENCE;
use crate::support::{World, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A world with a task `t1` and a git work tree.
fn with_repository() -> (World, PathBuf) {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    let directory = world.work_dir("project");
    fs::write(directory.join("code"), "1").unwrap();
    for words in ["init -q", "add .", "-c user.name=t -c user.email=t@example.org commit -qm first"] {
        let git = Command::new("git").args(words.split(' ')).current_dir(&directory).status().unwrap();
        assert!(git.success(), "git {words}");
    }
    (world, directory)
}

fn conveyor(world: &World, directory: &Path, line: &str) -> crate::support::run::Run {
    world.conveyor_in(directory, &line.split(' ').collect::<Vec<_>>(), "")
}

fn accept(world: &World, text: &str) {
    let add = [
        "criteria",
        "t1",
        "--add",
        "--criterion",
        text,
        "--source",
        "user_requested",
        "--status",
        "accepted",
    ];
    world.conveyor(&add).ok();
}

#[test]
fn a_criterion_is_satisfied_by_a_command_that_passes_and_by_no_other() {
    let (world, directory) = with_repository();
    accept(&world, "it works");
    let refused = conveyor(&world, &directory, "criteria t1 --satisfy 1 --run -- cat nothing here").exits(1);
    assert!(refused.stderr.contains("criterion 1 of task t1 was not satisfied"), "{}", refused.text());
    assert!(refused.stderr.contains("conveyor evidence show 1 --include-content"), "{}", refused.text());
    let shown = conveyor(&world, &directory, "evidence show 1 --include-content --json").ok().json();
    assert_eq!((&shown["state"], &shown["exit_code"]), (&json!("failed"), &json!(1)));
    assert!(shown["output"].as_str().unwrap().contains("nothing"), "{shown}");

    let satisfied = conveyor(&world, &directory, "criteria t1 --satisfy 1 --run -- cat code").ok().json();
    let criterion = &satisfied["affected_criterion"];
    assert_eq!(
        (&criterion["status"], &criterion["evidence_kind"]),
        (&json!("satisfied"), &json!("executed"))
    );
    let evidence = conveyor(&world, &directory, "evidence --task t1 --json").ok().json()[0].clone();
    assert_eq!(
        (&evidence["id"], &evidence["argv"], &evidence["freshness"], &evidence["git_dirty"]),
        (&json!(2), &json!(["cat", "code"]), &json!("fresh"), &json!(false))
    );
    let kept = Path::new(evidence["output_path"].as_str().unwrap());
    assert_eq!(fs::read_to_string(kept).unwrap(), "1");
    assert_eq!(fs::metadata(kept).unwrap().permissions().mode() & 0o777, 0o600);
    let digest = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    assert_eq!(evidence["output_sha256"], digest);
    let hidden = conveyor(&world, &directory, "evidence show 2 --json").ok().json();
    assert_eq!(hidden.get("output"), None);
}

#[test]
fn a_finish_may_demand_evidence_that_holds_for_what_is_there_now() {
    let (world, directory) = with_repository();
    let finish = || conveyor(&world, &directory, "finish-task t1 --require-executed-evidence");
    let refused = |says: &str| {
        let run = finish().exits(1);
        assert!(run.stderr.contains(says), "{}", run.text());
    };
    refused("no criterion is carried by executed evidence");
    accept(&world, "it works");
    conveyor(&world, &directory, "criteria t1 --satisfy 1 --proof trust-me").ok();
    refused("criterion 1 (somebody only said so)");
    conveyor(&world, &directory, "criteria t1 --satisfy 1 --run -- cat code").ok();
    fs::write(directory.join("code"), "2").unwrap();
    refused("criterion 1 (evidence 1 is stale");
    conveyor(&world, &directory, "criteria t1 --satisfy 1 --run -- touch new").ok();
    refused("the tree changed while it ran");
    conveyor(&world, &directory, "criteria t1 --satisfy 1 --run -- cat code").ok();
    let report = finish().ok().json();
    assert_eq!(report["final_executed_evidence_audit"]["evidence_ids"], json!([3]));
    let stages = world.conveyor(&["commands", "--task", "t1", "--json"]).ok().json();
    let failed = stages.as_array().unwrap().iter().filter(|command| command["state"] == "failed").count();
    assert_eq!(failed, 4, "each refusal is on record");
}

#[test]
fn what_cannot_be_kept_shows_nothing() {
    let (world, directory) = with_repository();
    accept(&world, "it works");
    fs::write(world.state_root().join("artifacts"), "in the way").unwrap();
    let refused = conveyor(&world, &directory, "criteria t1 --satisfy 1 --run -- true").exits(1);
    assert!(refused.stderr.contains("its output could not be kept"), "{}", refused.text());
    let evidence = world.conveyor(&["evidence", "--json"]).ok().json()[0].clone();
    assert_eq!((&evidence["state"], &evidence["exit_code"]), (&json!("failed"), &json!(0)));
}

#[test]
fn what_a_command_came_to_is_the_exit_code() {
    let (world, directory) = with_repository();
    let run = |line: &str, code: i32| -> Value {
        conveyor(&world, &directory, &format!("evidence run t1 --json {line}")).exits(code).json()
    };
    assert_eq!(run("-- true", 0)["state"], "passed");
    assert_eq!(run("-- cat nowhere", 1)["state"], "failed");
    assert_eq!(run("-- no-such-program", 1)["state"], "not_started");
    assert_eq!(run("--time-limit 0.2 -- sleep 1000", 1)["state"], "timed_out");
    conveyor(&world, &directory, "evidence run t2 -- touch ran").exits(1);
    conveyor(&world, &directory, "evidence run t1 --time-limit 0 -- touch ran").exits(2);
    conveyor(&world, &directory, "evidence run t1 --loop-run r -- touch ran").exits(2);
    conveyor(&world, &directory, "criteria t1 --satisfy 9 --run -- touch ran").exits(1);
    assert!(!directory.join("ran").exists(), "what is about nothing is not run");
    let outside = world.conveyor(&["evidence", "run", "t1", "--json", "--", "true"]).ok().json();
    assert_eq!((&outside["freshness"], &outside["worktree"]), (&json!("no_tree"), &Value::Null));
    let listed = world.conveyor(&["evidence"]).ok();
    assert_eq!(listed.stdout.lines().count(), 6, "{}", listed.text());
}

#[test]
fn evidence_whose_runner_was_killed_has_failed() {
    let (world, directory) = with_repository();
    for conclude in [["reconcile", "--apply"], ["run", "--detach"]] {
        let started = directory.join("started");
        let script = format!("echo $$ > {}; exec sleep 1000", started.display());
        let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
        command.args(["evidence", "run", "t1", "--", "/bin/sh", "-c", &script]).current_dir(&directory);
        let mut runner = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pid =
            wait_for("the command", PATIENCE, || fs::read_to_string(&started).ok()?.trim().parse().ok());
        fs::remove_file(&started).unwrap();
        let newest = || world.conveyor(&["evidence", "--json"]).ok().json()[0].clone();
        world.conveyor(&["reconcile", "--apply"]).ok();
        assert_eq!(newest()["state"], "running");
        runner.kill().unwrap();
        runner.wait().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        world.conveyor(&conclude).ok();
        let ended = wait_for("its end", PATIENCE, || Some(newest()).filter(|one| one["state"] != "running"));
        assert_eq!((&ended["state"], &ended["duration_ms"]), (&json!("failed"), &json!(null)));
        assert!(ended["error"].as_str().unwrap().contains("runner was gone"), "{ended}");
    }
    world.conveyor(&["run", "--stop"]).ok();
}
