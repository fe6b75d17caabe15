//! A loop that takes nobody's word for it.

use super::{enqueue, evidence, request, status, with_loop};
use crate::supervisor::Supervisor;
use crate::support::run::Run;
use crate::support::wait::PATIENCE;
use crate::support::{World, wait_for};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

/// A git work tree with one file.
fn work_tree(world: &World) -> PathBuf {
    let tree = world.root().join("tree");
    fs::create_dir(&tree).unwrap();
    Run::of(Command::new("git").args(["init", "--quiet"]).current_dir(&tree), "").ok();
    fs::write(tree.join("code.txt"), "one").unwrap();
    tree
}

#[test]
fn a_pass_is_opened_by_what_a_command_showed_while_the_work_is_as_it_was() {
    let world = with_loop(&["--required-before-continue", "build_passed", "--require-executed-evidence"]);
    let tree = work_tree(&world);
    let take = |command: &[&str]| {
        let about = ["evidence", "run", "t1", "--loop-run", "loop", "--iteration", "1", "--evidence-type"];
        world.conveyor_in(&tree, &[&about[..], &["build_passed", "--"], command].concat(), "")
    };
    let is_kept_back = |why: &str| {
        assert_eq!(request(&world, "2")["reason"], "missing_build_passed_evidence", "{why}");
        assert_eq!(status(&world)["evidence"]["missing"], json!(["build_passed"]), "{why}");
    };
    world.conveyor(&evidence("add", &["--evidence-type", "build_passed"])).ok();
    is_kept_back("somebody said so");
    take(&["false"]).exits(1);
    is_kept_back("the command failed");
    take(&["true"]).ok();
    fs::write(tree.join("code.txt"), "two").unwrap();
    is_kept_back("the work has changed since");
    take(&["true"]).ok();
    assert_eq!(status(&world)["evidence"]["missing"], json!([]));
    take(&["false"]).exits(1);
    world.conveyor(&evidence("add", &["--evidence-type", "build_passed"])).ok();
    is_kept_back("it failed since, whatever somebody says");
    take(&["true"]).ok();
    let delivered = request(&world, "2");
    assert_eq!(
        (&delivered["state"], &delivered["loop_policy"]["require_executed_evidence"]),
        (&json!("pull_required"), &json!(true))
    );
}

/// A loop whose next pass is asked for, with evidence for it, in a world where git hangs until there is a
/// file `released`. Beside it is the task `t2`, with a message for its worker.
fn with_a_git_that_hangs() -> World {
    let world = with_loop(&["--required-before-continue", "build_passed", "--require-executed-evidence"]);
    let about = ["evidence", "run", "t1", "--loop-run", "loop", "--iteration", "1", "--evidence-type"];
    world.conveyor_in(&work_tree(&world), &[&about[..], &["build_passed", "--", "true"]].concat(), "").ok();
    world.conveyor(&["create-disposable-binding", "t2"]).ok();
    let (git, released, held) = (world.bin().join("git"), released(&world), held(&world));
    let script = format!(
        "#!/bin/sh\ntouch {}\nwhile [ ! -e {} ]; do sleep 0.05; done\nexec /usr/bin/env PATH=/usr/bin:/bin git \"$@\"\n",
        held.display(),
        released.display()
    );
    fs::write(&git, script).unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    enqueue(&world, "2");
    world.conveyor(&["enqueue-nudge-worker", "t2", "--message", "Go on"]).ok();
    world
}

fn released(world: &World) -> PathBuf {
    world.root().join("released")
}

fn held(world: &World) -> PathBuf {
    world.root().join("held")
}

/// The commands that Dispatch has carried out, by their task.
fn carried_out(world: &World) -> Vec<String> {
    let database = rusqlite::Connection::open(world.state_root().join("workerctl.db")).unwrap();
    let sql = "SELECT t.name FROM commands c JOIN tasks t ON t.id = c.task_id WHERE c.state = 'succeeded'
        AND c.type IN ('nudge_worker', 'continue_iteration') ORDER BY c.updated_at";
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn nothing_else_waits_for_a_look_at_a_work_tree() {
    let world = with_a_git_that_hangs();
    let supervisor = Supervisor::start(&world);
    wait_for("the look", PATIENCE, || held(&world).exists().then_some(()));
    wait_for("the other task", PATIENCE, || (carried_out(&world) == ["t2"]).then_some(()));
    fs::write(released(&world), "").unwrap();
    wait_for("the loop", PATIENCE, || (carried_out(&world) == ["t2", "t1"]).then_some(()));
    supervisor.stop();
}

#[test]
fn a_pass_on_request_delivers_the_others_while_it_looks() {
    let world = with_a_git_that_hangs();
    let dispatched = thread::scope(|scope| {
        let pass = scope.spawn(|| world.conveyor(&["dispatch", "--once", "--json"]));
        wait_for("the other task", PATIENCE, || (carried_out(&world) == ["t2"]).then_some(()));
        wait_for("the look", PATIENCE, || held(&world).exists().then_some(()));
        fs::write(released(&world), "").unwrap();
        pass.join().unwrap().ok().json()
    });
    let types: Vec<_> =
        dispatched["processed"].as_array().unwrap().iter().map(|entry| &entry["command_type"]).collect();
    assert_eq!(types, ["nudge_worker", "continue_iteration"]);
    assert_eq!(carried_out(&world), ["t2", "t1"]);
}

#[test]
fn a_supervisor_ends_while_it_looks() {
    let world = with_a_git_that_hangs();
    let supervisor = Supervisor::start(&world);
    wait_for("the look", PATIENCE, || held(&world).exists().then_some(()));
    supervisor.stop();
    assert_ne!(carried_out(&world), ["t2", "t1"]);
}

#[test]
fn a_loop_that_requires_nothing_cannot_demand_how_it_is_shown() {
    let world = World::new();
    let refused =
        world.conveyor(&["create-disposable-binding", "t1", "--require-executed-evidence"]).exits(2);
    assert!(refused.stderr.contains("--required-before-continue"), "{}", refused.text());
}
