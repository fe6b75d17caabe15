//! A manager that sits idle while something waits for it.

use super::{Pair, session, texts};
use crate::support::wait::PATIENCE;
use crate::support::wait_for;
use rusqlite::Connection;

#[test]
fn an_idle_manager_with_mail_is_shown_wherever_a_person_looks_until_it_reads() {
    let mut pair = Pair::new();
    let world = &pair.world;
    world.conveyor(&["run", "--detach"]).ok();
    pair.manager.rollout.begin("supervise").unwrap();
    pair.manager.rollout.complete("I wait").unwrap();
    pair.worker.rollout.begin("work").unwrap();
    pair.worker.rollout.complete("done").unwrap();
    let waits = "SELECT delivery_mode FROM routed_notifications";
    wait_for("the mail", PATIENCE, || (texts(world, waits) == ["pull_required"]).then_some(()));
    let idle = "SELECT outcome FROM turn_facts f JOIN sessions s ON s.id = f.session_id WHERE s.name = 'm1'";
    wait_for("the manager's turn", PATIENCE, || (texts(world, idle) == ["completed"]).then_some(()));
    assert_eq!(session(world, "m1").get("conditions"), None, "not yet");

    let database = Connection::open(world.state_root().join("workerctl.db")).unwrap();
    database.busy_timeout(PATIENCE).unwrap();
    database
        .execute_batch(
            "UPDATE codex_events SET timestamp = '2026-01-01T00:00:00.000Z';
             UPDATE routed_notifications SET created_at = '2026-01-01T00:00:00.000Z'",
        )
        .unwrap();
    wait_for("the condition", PATIENCE, || {
        (session(world, "m1")["conditions"][0]["kind"] == "idle_with_mail").then_some(())
    });
    let deliveries = world.conveyor(&["deliveries"]).ok().stdout;
    assert!(deliveries.contains("m1 sits idle, since 2026-01-01"), "{deliveries}");
    let doctor = world.conveyor(&["db-doctor", "--live", "--json"]).exits(1).json();
    assert_eq!(doctor["live_reconcile"]["results"][0]["manager"]["conditions"][0]["kind"], "idle_with_mail");

    // Whoever looks at the task takes what waited.
    let cycle = world.conveyor(&["cycle", "t1"]).ok().json();
    assert_eq!(cycle["manager_conditions"][0]["kind"], "idle_with_mail");
    assert_eq!(cycle["consumed_dispatch_notifications"], 1);
    wait_for("the end of it", PATIENCE, || session(world, "m1").get("conditions").is_none().then_some(()));
    world.conveyor(&["run", "--stop"]).ok();
}
