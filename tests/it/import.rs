//! The files of workers, imported.

use crate::launch::{stand_in, value};
use crate::support::World;
use serde_json::{Value, json};
use std::fs;

/// A directory of the worker `name` below `root/old`.
fn worker(world: &World, name: &str, config: &Value, events: &str) {
    let directory = world.root().join("old").join(name);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
    fs::write(directory.join("events.jsonl"), events).unwrap();
    fs::write(directory.join("status.json"), r#"{"state": "done", "current_task": "it"}"#).unwrap();
}

const EVENT: &str = "{\"type\": \"nudge\", \"time\": \"2025-01-01T00:00:00Z\", \"message\": \"go\"}\n";

#[test]
fn files_are_imported_once_and_what_is_added_later_is_added() {
    let world = World::new();
    worker(&world, "a", &json!({"tmux_session": "codex-a", "state": "active"}), &EVENT.repeat(2));
    let import = |args: &[&str]| {
        let run = world.conveyor(&[&["import-compat", "--root", "old"], args].concat()).ok();
        run.json()["workers"][0]["action_count"].as_u64().unwrap()
    };
    assert_eq!((import(&[]), import(&[])), (4, 4));
    assert_eq!(value(&world, "SELECT count(*) FROM workers"), "0");
    assert_eq!((import(&["--apply"]), import(&["--apply"]), import(&[])), (4, 0, 0));
    worker(&world, "a", &json!({"tmux_session": "codex-a", "state": "active"}), &EVENT.repeat(3));
    assert_eq!(import(&["--apply"]), 1);
    assert_eq!(value(&world, "SELECT count(*) FROM events WHERE type = 'compat_nudge'"), "3");
    // What is from before the record began is sealed when it comes into it.
    world.conveyor(&["audit", "verify"]).ok();
}

#[test]
fn one_file_that_is_none_keeps_everything_out() {
    let world = World::new();
    worker(&world, "a", &json!({"tmux_session": "codex-a", "identity_token": "t"}), EVENT);
    worker(&world, "b", &json!({"tmux_session": "codex-b", "identity_token": "t"}), EVENT);
    let refused = |told: &str| {
        let run = world.conveyor(&["import-compat", "--root", "old", "--apply"]).exits(1);
        assert!(run.stderr.contains(told) && run.stderr.contains("old/b/"), "{}", run.text());
        assert_eq!(value(&world, "SELECT count(*) FROM workers"), "0");
    };
    refused("is that of worker a");
    fs::write(world.root().join("old/b/config.json"), "{broken").unwrap();
    refused("is not understood");
    let alone = world.conveyor(&["import-compat", "--root", "old", "--worker", "a", "--apply"]).ok().json();
    assert_eq!(alone["worker_count"], 1);
    let file = world.root().join("old/a/config.json");
    world.conveyor(&["import-compat", "--root", file.to_str().unwrap()]).exits(1);
    let none = world.conveyor(&["import-compat", "--root", "old", "--worker", "../old/a"]).ok().json();
    assert_eq!(none["worker_count"], 0);
}

#[test]
fn a_living_workers_files_say_nothing_against_its_record() {
    let world = World::new();
    stand_in(&world, "exec cat");
    world.conveyor(&["create", "w", "--wait-ready-timeout", "1"]).ok();
    let before = value(&world, "SELECT id || state || identity_token FROM workers");
    let imported = world.conveyor(&["import-compat", "--apply"]).ok().json();
    assert_eq!(imported["worker_count"], 1, "{imported}");
    assert_eq!(value(&world, "SELECT id || state || identity_token FROM workers"), before);
    assert_eq!(world.conveyor(&["status", "w"]).ok().json()["state"], "waiting");
}
