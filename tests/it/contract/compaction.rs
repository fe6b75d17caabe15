//! A worker's context, compacted and cleared in a real Codex.

use super::texts;
use crate::support::model::say;
use crate::support::wait::PATIENCE;
use crate::support::{Script, World, wait_for};
use serde_json::json;
use std::fs;

fn rollout(world: &World) -> String {
    let path = texts(world, "SELECT codex_session_path FROM sessions WHERE name = 'w1'").remove(0);
    fs::read_to_string(path).unwrap_or_default()
}

/// A worker and a manager of the real Codex, after the worker's first turn; compaction is allowed.
fn pair(transport: &str) -> World {
    let world = World::with_codex(Script::new().on("^Task alpha", [say("The first slice is done.")]));
    let pair = "pair --task t1 --task-goal G --worker-name w1 --manager-name m1 --timeout-seconds 60";
    let mut args: Vec<&str> = pair.split(' ').collect();
    args.extend(["--task-prompt", "Task alpha: do it.", "--transport", transport]);
    world.conveyor_in(&world.work_dir("project"), &args, "").ok();
    wait_for("the first turn", PATIENCE, || {
        rollout(&world).contains("The first slice is done.").then_some(())
    });
    world.conveyor(&["manager-config", "t1", "--allow-worker-compact-clear"]).ok();
    world.conveyor(&["handoff", "t1", "--summary", "the first slice is done"]).ok();
    world
}

/// Asks until the worker is between two turns.
fn compact(world: &World, more: &[&str]) -> serde_json::Value {
    let args = [&["compact-worker", "t1", "--reason", "its context is long"], more].concat();
    wait_for("the worker between two turns", PATIENCE, || {
        let run = world.conveyor(&args);
        (run.status == Some(0)).then(|| run.json())
    })
}

#[test]
fn a_worker_is_compacted_through_its_app_server_and_cleared_in_its_terminal() {
    let world = pair("app-server");
    let done = compact(&world, &[]);
    assert_eq!((&done["sent"], &done["send_result"]["transport"]), (&json!(true), &json!("app_server")));
    wait_for("the compacted rollout", PATIENCE, || {
        rollout(&world).contains(r#""type":"compacted""#).then_some(())
    });

    let thread = || texts(&world, "SELECT codex_session_id FROM sessions WHERE name = 'w1'").remove(0);
    let before = thread();
    let cleared = compact(&world, &["--clear"]);
    assert_eq!(
        (&cleared["send_text"], &cleared["send_result"]["transport"]),
        (&json!("/clear"), &json!("tmux"))
    );
    wait_for("another thread", PATIENCE, || (thread() != before).then_some(()));
    let audit = world.conveyor(&["mutation-audit", "t1", "--json"]).ok().json();
    assert_eq!(audit["ok"], true, "{audit}");
}

#[test]
fn a_worker_is_compacted_by_typing() {
    let world = pair("tmux");
    let done = compact(&world, &[]);
    assert_eq!(done["send_result"]["transport"], "tmux");
    wait_for("the compacted rollout", PATIENCE, || {
        rollout(&world).contains(r#""type":"compacted""#).then_some(())
    });
}

#[test]
fn a_worker_without_a_terminal_is_told_in_words_or_not_at_all() {
    let world = World::new();
    super::bound(&world);
    world.conveyor(&["manager-config", "t1", "--allow-worker-compact-clear"]).ok();
    world.conveyor(&["handoff", "t1", "--summary", "half"]).ok();
    let refused = world.conveyor(&["compact-worker", "t1", "--reason", "long"]).exits(1);
    assert!(
        refused.stderr.contains("no terminal") && refused.stderr.contains("--prompt-only"),
        "{}",
        refused.text()
    );
    assert_eq!(texts(&world, "SELECT state FROM commands"), ["failed"]);
    let tried = world.conveyor(&["compact-worker", "t1", "--reason", "long", "--dry-run"]).ok().json();
    assert_eq!((&tried["dry_run"], &tried["sent"]), (&json!(true), &json!(false)));
}
