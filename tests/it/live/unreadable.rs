//! A session whose rollout is moved away or cut off: it looks idle, and nothing is seen of its turns.

use super::{Pair, session, signals, texts};
use crate::support::wait::PATIENCE;
use crate::support::{World, wait_for};
use serde_json::{Value, json};
use std::fs;

/// Waits until the worker's conditions are these.
#[track_caller]
fn conditions_become(world: &World, expect: &[&str]) {
    let kinds = || {
        let conditions = session(world, "w1")["conditions"].take();
        let kinds = conditions.as_array().cloned().unwrap_or_default();
        kinds.iter().map(|one| one["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    wait_for("the conditions", PATIENCE, || (kinds() == expect).then_some(()));
}

#[test]
fn a_manager_is_told_each_time_its_worker_cannot_be_read_and_it_is_shown_until_it_can() {
    let mut pair = Pair::new();
    let world = &pair.world;
    world.conveyor(&["run", "--detach"]).ok();
    pair.worker.rollout.begin("work").unwrap();
    pair.worker.rollout.complete("done").unwrap();
    wait_for("the turn", PATIENCE, || (signals(world) == ["worker_task_complete"]).then_some(()));

    let rollout = pair.worker.rollout.path.clone();
    let elsewhere = rollout.with_extension("elsewhere");
    fs::rename(&rollout, &elsewhere).unwrap();
    let told = ["worker_task_complete", "session_unreadable"];
    wait_for("the signal", PATIENCE, || (signals(world) == told).then_some(()));
    conditions_become(world, &["unreadable"]);
    let error = session(world, "w1")["conditions"][0]["detail"]["error"].to_string();
    assert!(error.contains(rollout.to_str().unwrap()), "{error}");
    let doctor = world.conveyor(&["db-doctor", "--live", "--json"]).exits(1).json();
    let worker = &doctor["live_reconcile"]["results"][0]["worker"];
    assert_eq!(worker["conditions"][0]["kind"], "unreadable", "{worker}");
    let top: Value = world.conveyor(&["top", "--json"]).ok().json();
    assert_eq!(top["pairs"][0]["worker"]["conditions"], json!(["unreadable"]), "{top}");
    let cycle = world.conveyor(&["cycle", "t1"]).exits(1);
    assert!(cycle.stderr.contains(rollout.to_str().unwrap()), "{}", cycle.text());

    fs::rename(&elsewhere, &rollout).unwrap();
    conditions_become(world, &[]);
    let whole = fs::read(&rollout).unwrap();
    fs::write(&rollout, &whole[..10]).unwrap();
    let told = ["worker_task_complete", "session_unreadable", "session_unreadable"];
    wait_for("another signal", PATIENCE, || (signals(world) == told).then_some(()));
    fs::write(&rollout, &whole).unwrap();
    conditions_become(world, &[]);
    world.conveyor(&["run", "--stop"]).ok();
}

#[test]
fn a_cycle_without_a_supervisor_puts_it_on_record_too() {
    let mut pair = Pair::new();
    let world = &pair.world;
    pair.worker.rollout.begin("work").unwrap();
    world.conveyor(&["cycle", "t1"]).ok();
    let rollout = pair.worker.rollout.path.clone();
    let elsewhere = rollout.with_extension("elsewhere");
    fs::rename(&rollout, &elsewhere).unwrap();
    for _ in 0..2 {
        world.conveyor(&["cycle", "t1"]).exits(1);
    }
    conditions_become(world, &["unreadable"]);
    world.conveyor(&["dispatch", "--once"]).ok();
    assert_eq!(signals(world), ["session_unreadable"]);
    fs::rename(&elsewhere, &rollout).unwrap();
    world.conveyor(&["cycle", "t1"]).ok();
    conditions_become(world, &[]);
    assert_eq!(texts(world, "SELECT kind FROM session_facts"), ["unreadable"]);
}
