//! A loop that takes nobody's word for it.

use super::{evidence, request, status, with_loop};
use crate::support::World;
use crate::support::run::Run;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

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

#[test]
fn a_loop_that_requires_nothing_cannot_demand_how_it_is_shown() {
    let world = World::new();
    let refused =
        world.conveyor(&["create-disposable-binding", "t1", "--require-executed-evidence"]).exits(2);
    assert!(refused.stderr.contains("--required-before-continue"), "{}", refused.text());
}
