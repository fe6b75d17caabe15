//! The story of a task, told from the command line.

use crate::support::rollout::Rollout;
use crate::support::wait::PATIENCE;
use crate::support::{World, wait_for};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

/// Task `t1` with a pair that has a rollout each, after one turn, one message and the finish.
fn finished(world: &World) -> (Rollout, Rollout) {
    let directory = world.work_dir("project");
    let mut worker = Rollout::create(&world.codex_home(), &directory).unwrap();
    let manager = Rollout::create(&world.codex_home(), &directory).unwrap();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    register(world, "worker", "w1", &worker.path);
    register(world, "manager", "m1", &manager.path);
    world.conveyor(&["bind", "--task", "t1", "--worker", "w1", "--manager", "m1"]).ok();
    worker.begin("do it").unwrap();
    worker.complete("the secret answer").unwrap();
    world.conveyor(&["ingest", "w1"]).ok();
    world.conveyor(&["dispatch", "--once"]).ok();
    world.conveyor(&["record-decision", "t1", "nudge", "--reason", "one test is missing"]).ok();
    world.conveyor(&["enqueue-nudge-worker", "t1", "--message", "the secret order"]).ok();
    world.conveyor(&["dispatch", "--once"]).ok();
    world.conveyor(&["worker-inbox", "t1", "--consume-next"]).ok();
    world.conveyor(&["finish-task", "t1", "--reason", "all is well"]).ok();
    (worker, manager)
}

fn register(world: &World, role: &str, name: &str, rollout: &Path) {
    let pid = std::process::id().to_string();
    let command = format!("register-{role}");
    let rollout = rollout.to_str().unwrap();
    world.conveyor(&[&command, "--name", name, "--pid", &pid, "--codex-session", rollout]).ok();
}

/// What was told, without the times.
fn told(text: &str) -> Vec<&str> {
    let is_entry = |line: &&str| line.get(2..3) == Some(":");
    text.lines().filter(is_entry).map(|line| line[18..].trim_start()).collect()
}

#[test]
fn a_turn_begins_once_however_often_its_rollout_is_read() {
    let world = World::new();
    let (worker, _) = finished(&world);
    register(&world, "worker", "w1", &worker.path);
    world.conveyor(&["ingest", "w1"]).ok();
    let text = world.conveyor(&["replay", "t1"]).ok().stdout;
    assert_eq!(text.matches("w1 begins a turn").count(), 1, "{text}");
}

#[test]
fn a_replay_reads_as_the_story_of_the_task() {
    let world = World::new();
    let _rollouts = finished(&world);
    let replay = world.conveyor(&["replay", "t1"]).ok();
    let text = &replay.stdout;
    let told = told(text);
    let mut at = 0;
    for expect in [
        "task created: Ship it",
        "bound: w1 works, m1 supervises",
        "w1 begins a turn",
        "w1 completes its turn",
        "tells m1: worker_task_complete of w1",
        "worker_task_complete lies in the mailbox of m1",
        "decision nudge: one test is missing",
        "sends the worker a message (nudge_worker, succeeded)",
        "w1 takes nudge_worker from its mailbox after",
        "finish_task succeeded: all is well",
    ] {
        let found = told[at..].iter().position(|line| line.contains(expect));
        at += found.unwrap_or_else(|| panic!("{expect:?} is not told after {at} lines of:\n{text}"));
    }
    assert!(!text.contains("secret"), "{text}");
    assert!(!text.contains('\x1b'), "colours without a terminal: {text}");

    let verbatim = world.conveyor(&["replay", "t1", "--include-content"]).ok();
    let verbatim = verbatim.stdout;
    assert!(
        verbatim.contains("│ the secret answer") && verbatim.contains("│ the secret order"),
        "{verbatim}"
    );
}

#[test]
fn a_replay_can_be_cut_in_time_and_is_empty_then() {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    let count = |args: &[&str]| {
        let args = [&["replay", "t1", "--json"], args].concat();
        world.conveyor(&args).ok().json()["entry_count"].clone()
    };
    assert_eq!(count(&[]), 1);
    assert_eq!(count(&["--since", "1h"]), 1);
    assert_eq!(count(&["--until", "1h"]), 0);
    assert_eq!(count(&["--format", "compact"]), 0);
    let nothing = world.conveyor(&["replay", "t1", "--until", "1h"]).ok();
    assert!(nothing.stdout.ends_with("nothing is on record\n"), "{}", nothing.text());
}

#[test]
fn a_replay_says_why_it_refuses_and_what_to_do() {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    let refused = world.conveyor(&["replay", "t1", "--format", "full-transcript"]).exits(2);
    assert!(refused.stderr.contains("--include-content"), "{}", refused.stderr);
    world.conveyor(&["replay", "nope"]).exits(1);
    for bad in [["--limit", "0"], ["--since", "tomorrow"], ["--role", "boss"], ["--format", "novel"]] {
        world.conveyor(&[&["replay", "t1"], &bad[..]].concat()).exits(2);
    }
}

/// What `conveyor replay t1 --follow` says while `act` does something, once it has told the beginning.
fn followed(world: &World, act: impl FnOnce()) -> String {
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    let command = command.args(["replay", "t1", "--follow"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut told = String::new();
    while !told.contains("task created") {
        told += &lines.next().expect("the beginning is told");
    }
    act();
    told += &lines.collect::<Vec<_>>().join("\n");
    assert!(child.wait().unwrap().success());
    told
}

#[test]
fn a_replay_follows_the_task_until_it_ends_with_and_without_a_supervisor() {
    for supervised in [false, true] {
        let world = World::new();
        let directory = world.work_dir("project");
        let mut worker = Rollout::create(&world.codex_home(), &directory).unwrap();
        let manager = Rollout::create(&world.codex_home(), &directory).unwrap();
        world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
        register(&world, "worker", "w1", &worker.path);
        register(&world, "manager", "m1", &manager.path);
        world.conveyor(&["bind", "--task", "t1", "--worker", "w1", "--manager", "m1"]).ok();
        if supervised {
            world.conveyor(&["run", "--detach"]).ok();
        }
        let told = followed(&world, || {
            worker.begin("do it").unwrap();
            worker.complete("done").unwrap();
            // Read by the supervisor, or by the replay itself.
            wait_for("the turn is a fact", PATIENCE, || {
                let replay = world.conveyor(&["replay", "t1"]).ok();
                replay.stdout.contains("w1 completes its turn").then_some(())
            });
            world.conveyor(&["finish-task", "t1", "--reason", "all is well"]).ok();
        });
        for expect in ["w1 completes its turn", "finish_task succeeded: all is well"] {
            assert_eq!(told.matches(expect).count(), 1, "supervised: {supervised}, {expect}:\n{told}");
        }
        if supervised {
            world.conveyor(&["run", "--stop"]).ok();
        }
    }
}

#[test]
fn a_task_whose_finish_was_refused_is_not_finished() {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    let accepted = ["--criterion", "tests pass", "--source", "user_requested", "--status", "accepted"];
    world.conveyor(&[&["criteria", "t1", "--add"], &accepted[..]].concat()).ok();
    world.conveyor(&["finish-task", "t1", "--require-criteria-audit", "--reason", "x"]).exits(1);
    let told = || world.conveyor(&["replay", "t1"]).ok().stdout;
    assert!(!told().contains("Finished:") && told().contains("finish_task failed"), "{}", told());
    world.conveyor(&["finish-task", "t1", "--reason", "x"]).ok();
    assert!(told().contains("Finished:"), "{}", told());
}
