//! A push that takes longer than its lease is nobody else's.

use super::chance::Chance;
use super::rules;
use super::scene::Scene;
use crate::supervisor::texts;
use crate::support::run::Run;
use crate::support::wait::PATIENCE;
use crate::support::wait_for;
use jiff::Timestamp;
use std::thread;

/// Until when the claims of pushes under way hold.
fn expiries(scene: &Scene) -> Vec<Timestamp> {
    let sql = "SELECT claim_expires_at FROM routed_notifications WHERE state = 'pending' AND claim_expires_at IS NOT NULL";
    texts(&scene.world, sql).iter().map(|at| at.parse().unwrap()).collect()
}

#[test]
fn a_long_push_renews_its_lease() {
    let mut scene = Scene::new();
    scene.turn(0, &mut Chance::new(1));
    scene.world.conveyor(&["ingest", "pushed-worker"]).ok();
    scene.codex.answers(false);
    let mut dispatch = scene.world.command(env!("CARGO_BIN_EXE_conveyor"));
    dispatch.args(["dispatch", "--once", "--lease-seconds", "1", "--json"]);
    let pushing = thread::spawn(move || Run::of(&mut dispatch, ""));
    let first = wait_for("the claim", PATIENCE, || expiries(&scene).pop());
    wait_for("the lease to be over", PATIENCE, || (Timestamp::now() > first).then_some(()));
    let others = scene.world.conveyor(&["dispatch", "--once", "--json"]).ok().json();
    assert_eq!(others["processed_count"], 0, "{others}");
    assert!(expiries(&scene).iter().all(|expiry| *expiry > first), "not renewed");
    scene.codex.answers(true);
    let report = pushing.join().unwrap().ok().json();
    assert_eq!(report["processed"][0]["state"], "delivered", "{report}");
    scene.comes_to_rest();
    rules::hold(&scene);
}
