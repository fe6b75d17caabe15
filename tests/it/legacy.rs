//! Workers that are known by a directory of files, as the first agent-conveyor made them.

use crate::support::World;
use crate::support::wait::{PATIENCE, wait_for};
use serde_json::{Value, json};
use std::fs;

/// A world with the worker `lw1`, whose terminal runs `program`, where there is to be one.
fn with_worker(program: Option<&str>) -> World {
    let world = World::new();
    let directory = world.state_root().join("lw1");
    fs::create_dir(&directory).unwrap();
    let config = json!({
        "name": "lw1", "cwd": "/tmp", "tmux_session": "codex-lw1", "identity_token": "workerctl-fixed",
        "startup": "launched", "startup_reason": "worker session created",
    });
    let status = json!({"state": "waiting", "current_task": "Do a thing", "next_action": "Wait"});
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
    fs::write(directory.join("status.json"), status.to_string()).unwrap();
    if let Some(program) = program {
        world.tmux(&["new-session", "-d", "-s", "codex-lw1", program], "").ok();
    }
    world
}

fn events(world: &World) -> Vec<Value> {
    let log = world.conveyor(&["events", "lw1"]).ok();
    log.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn shows(world: &World, text: &str) {
    wait_for(text, PATIENCE, || world.pane("codex-lw1").contains(text).then_some(()));
}

#[test]
fn a_worker_says_how_it_stands_in_files_and_on_record() {
    let world = with_worker(None);
    assert_eq!(world.conveyor(&["list"]).ok().stdout, "lw1\tstopped\twaiting\tDo a thing\n");
    let update =
        ["update-status", "lw1", "--state", "blocked", "--current-task", "Tests", "--next-action", "Ask"];
    world.conveyor(&[&update[..], &["--blocker", "no network"]].concat()).ok();
    let file: Value =
        serde_json::from_slice(&fs::read(world.state_root().join("lw1/status.json")).unwrap()).unwrap();
    assert_eq!((&file["state"], &file["blocker"]), (&json!("blocked"), &json!("no network")));
    let status = world.conveyor(&["status", "lw1"]).ok().json();
    assert_eq!(
        (&status["state"], &status["running"], &status["startup"]),
        (&json!("blocked"), &json!(false), &json!("launched"))
    );
    assert_eq!(world.conveyor(&["idle-check", "lw1"]).ok().json()["health"], "stopped");
    assert_eq!(events(&world)[0]["type"], "status_updated");
    let refused = world.conveyor(&["status", "ghost"]).exits(1);
    assert!(refused.stderr.contains("conveyor list"), "{}", refused.text());
    for args in
        [&["nudge", "ghost", "x"][..], &["stop", "ghost"], &["events", "ghost"], &["events", "../lw1"]]
    {
        world.conveyor(args).exits(1);
    }
}

#[test]
fn a_workers_terminal_is_read_typed_into_and_ended() {
    let world = with_worker(Some("cat"));
    world.conveyor(&["nudge", "lw1", "!go on"]).ok();
    shows(&world, "[conveyor nudge]\n!go on");
    let kept = world.conveyor(&["capture", "lw1"]).ok();
    assert!(!kept.stdout.contains("go on"), "{}", kept.text());
    assert!(world.conveyor(&["capture", "lw1", "--include-content"]).ok().stdout.contains("!go on"));
    let idle = world.conveyor(&["idle-check", "lw1", "--terminal-stale-seconds", "0"]).ok().json();
    assert_eq!((&idle["health"], &idle["recommended_action"]), (&json!("quiet"), &json!("wait")));

    assert_eq!(world.conveyor(&["interrupt", "lw1", "--dry-run"]).ok().json()["key"], "C-c");
    assert_eq!(world.conveyor(&["stop", "lw1", "--message", "bye"]).ok().stdout, "stopped lw1\n");
    assert_eq!(world.conveyor(&["stop", "lw1"]).ok().stdout, "lw1 was not running\n");
    let types: Vec<Value> = events(&world).into_iter().map(|event| event["type"].clone()).collect();
    assert_eq!(types, ["nudge", "stop_message", "stop", "stop"]);
    world.conveyor(&["nudge", "lw1", "anybody there?"]).exits(1);
}

#[test]
fn a_shell_where_the_worker_was_is_told_nothing() {
    let world = with_worker(Some("exec sh -i"));
    wait_for("a shell", PATIENCE, || {
        let command =
            world.tmux(&["display-message", "-p", "-t", "codex-lw1", "#{pane_current_command}"], "");
        (command.stdout.trim() == "sh").then_some(())
    });
    let refused = world.conveyor(&["nudge", "lw1", "touch made"]).exits(1);
    assert!(refused.stderr.contains("its program has exited"), "{}", refused.text());
    assert!(!world.pane("codex-lw1").contains("touch made"));
}

#[test]
fn a_worker_is_told_nothing_behind_what_stands_typed_or_where_codex_has_exited() {
    fn check(screen: &str, says: &str) {
        let world = with_worker(Some(&format!("printf '{screen}'; exec cat")));
        shows(&world, "half a tho");
        let refused = world.conveyor(&["nudge", "lw1", "go on"]).exits(1);
        assert!(refused.stderr.contains(says), "{}", refused.text());
        assert!(!world.pane("codex-lw1").contains("go on"));
        assert_eq!(events(&world), [json!(null); 0]);
    }
    let composer = |draft: &str| format!("• Hello.\\n\\n› {draft}\\n\\n  scripted · /repo · lw1\\n");
    check(&composer("half a tho"), "a draft stands typed");
    check(&composer("[conveyor nudge]\\n  half a tho"), "an earlier message of conveyor stands typed");
    check("half a tho\\nTo continue this session, run\\n  codex resume 0\\n", "nobody works behind");
}

#[test]
fn a_worker_without_a_configuration_is_known_by_what_it_says() {
    let world = World::new();
    let directory = world.state_root().join("lw2");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("status.json"), r#"{"state": "editing", "current_task": "x"}"#).unwrap();
    assert_eq!(world.conveyor(&["list"]).ok().stdout, "lw2\tstopped\tediting\tx\n");
    let status = world.conveyor(&["status", "lw2"]).ok().json();
    assert_eq!((&status["state"], &status["tmux_session"]), (&json!("editing"), &json!("codex-lw2")));
    // What cannot be understood is unknown, not an error.
    fs::write(directory.join("status.json"), "{broken").unwrap();
    assert_eq!(world.conveyor(&["status", "lw2"]).ok().json()["state"], "unknown");
    let update = ["update-status", "lw2", "--state", "done", "--current-task", "x", "--next-action", "-"];
    world.conveyor(&update).ok();
    assert_eq!(world.conveyor(&["idle-check", "lw2"]).ok().json()["state"], "done");
}
