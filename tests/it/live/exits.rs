//! A session whose process is gone.

use super::{Pair, StandIn, bind, session, signals, texts};
use crate::codex::app_server::{running, unattended};
use crate::support::model::{hang, say};
use crate::support::wait::PATIENCE;
use crate::support::{Script, World, wait_for};
use conveyor::codex::app_server::{RunningServer, TurnStart};
use jiff::Timestamp;
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

#[test]
fn a_worker_that_was_killed_in_a_turn_is_noticed_routed_and_not_busy() {
    let mut pair = Pair::new();
    pair.world.conveyor(&["run", "--detach"]).ok();
    let turn = pair.worker.rollout.begin("work").unwrap();
    let is_read = "SELECT open_turn_key FROM rollout_cursors WHERE open_turn_key IS NOT NULL";
    wait_for("the turn", PATIENCE, || (texts(&pair.world, is_read) == [turn.as_str()]).then_some(()));

    pair.worker.kill();
    let expected = ["worker_turn_failed", "session_exited"];
    wait_for("both signals", PATIENCE, || (signals(&pair.world) == expected).then_some(()));
    let turns = "SELECT turn_key || ' ' || outcome || ' ' || (error_json ->> '$.kind') FROM turn_facts";
    assert_eq!(texts(&pair.world, turns), [format!("{turn} failed crashed")]);
    let cycle = pair.world.conveyor(&["cycle", "t1"]).ok().json();
    assert_eq!((&cycle["state"], &cycle["worker_alive"]), (&json!("idle"), &json!(false)));
    let worker = session(&pair.world, "w1");
    assert_eq!(worker["conditions"][0]["kind"], "exited");
    assert_eq!(worker["conditions"][0]["detail"]["crashed_turn"], turn);

    // The thread goes on somewhere else, and even ends the turn: nothing is told twice.
    pair.worker.rollout.complete("after all").unwrap();
    let is_read = "SELECT subtype FROM codex_events WHERE subtype = 'task_complete'";
    wait_for("the end", PATIENCE, || (texts(&pair.world, is_read).len() == 1).then_some(()));
    assert_eq!(texts(&pair.world, turns).len(), 1);
    assert_eq!(texts(&pair.world, "SELECT signal_type FROM routed_notifications ORDER BY id"), expected);
    pair.world.conveyor(&["run", "--stop"]).ok();
}

#[test]
fn a_manager_that_was_killed_is_shown_and_told_to_nobody() {
    let mut pair = Pair::new();
    pair.world.conveyor(&["run", "--detach"]).ok();
    pair.manager.kill();
    wait_for("the exit", PATIENCE, || {
        (session(&pair.world, "m1")["conditions"][0]["kind"] == "exited").then_some(())
    });
    let doctor = pair.world.conveyor(&["db-doctor", "--live", "--json"]).exits(1).json();
    let manager = &doctor["live_reconcile"]["results"][0]["manager"];
    assert_eq!(manager["conditions"][0]["kind"], "exited", "{manager}");

    pair.worker.rollout.begin("work").unwrap();
    pair.worker.rollout.complete("done").unwrap();
    let sent = || pair.world.conveyor(&["deliveries", "--json"]).ok().json();
    let delivery =
        wait_for("the delivery", PATIENCE, || Some(sent()[0].clone()).filter(|one| one.is_object()));
    assert!(delivery["target_exited_at"].is_string(), "{delivery}");
    assert_eq!(texts(&pair.world, "SELECT signal_type FROM routed_notifications"), ["worker_task_complete"]);

    // One that comes back under its name is there again.
    let again = StandIn::start(&pair.world, "m1-again");
    again.register(&pair.world, "manager", "m1");
    assert_eq!(session(&pair.world, "m1").get("conditions"), None);
    pair.world.conveyor(&["run", "--stop"]).ok();
}

/// When an exit of a session was recorded.
fn exited_at(world: &World, name: &str) -> Timestamp {
    let sql = format!(
        "SELECT f.recorded_at FROM session_facts f JOIN sessions s ON s.id = f.session_id WHERE s.name = '{name}'"
    );
    wait_for("the exit", PATIENCE, || texts(world, &sql).pop()).parse().unwrap()
}

#[test]
fn an_exit_is_known_within_a_second() {
    let Pair { mut worker, mut manager, world } = Pair::new();
    world.conveyor(&["run", "--detach"]).ok();
    let latencies = [(&mut worker, "w1"), (&mut manager, "m1")].map(|(session, name)| {
        let killed_at = Timestamp::now();
        session.kill();
        exited_at(&world, name).duration_since(killed_at)
    });
    // A loaded machine may be late once.
    assert!(latencies.iter().min().unwrap().as_secs_f64() < 1.0, "{latencies:?}");
    world.conveyor(&["run", "--stop"]).ok();
}

#[test]
fn who_died_while_nobody_looked_is_known_when_somebody_does() {
    let mut pair = Pair::new();
    pair.worker.kill();
    for _ in 0..2 {
        pair.world.conveyor(&["run", "--detach"]).ok();
        exited_at(&pair.world, "w1");
        wait_for("the signal", PATIENCE, || (signals(&pair.world) == ["session_exited"]).then_some(()));
        pair.world.conveyor(&["run", "--stop"]).ok();
    }
}

/// What was routed to managers, in that order.
fn routed(world: &World) -> Vec<String> {
    texts(world, "SELECT signal_type FROM routed_notifications ORDER BY id")
}

#[test]
fn reconciling_tells_of_what_the_dead_did_before_their_binding_ends() {
    let mut pair = Pair::new();
    pair.worker.rollout.begin("work").unwrap();
    pair.worker.rollout.complete("done").unwrap();
    pair.worker.kill();
    let length = std::fs::metadata(&pair.worker.rollout.path).unwrap().len();

    let planned = pair.world.conveyor(&["reconcile"]).ok().json();
    let unread = &planned["unread_rollouts"];
    assert_eq!((&unread[0]["session"], &unread[0]["bytes"]), (&json!("w1"), &json!(length)));
    assert_eq!((unread.as_array().unwrap().len(), routed(&pair.world).len()), (1, 0));

    let applied = pair.world.conveyor(&["reconcile", "--apply"]).ok().json()["applied"].take();
    assert_eq!(applied["sessions_marked_gone"], json!(["w1"]));
    assert_eq!(texts(&pair.world, "SELECT state FROM bindings"), ["invalid"]);
    let expected = ["worker_task_complete", "session_exited"];
    assert_eq!(routed(&pair.world), expected);
    let again = pair.world.conveyor(&["reconcile", "--apply"]).ok().json();
    assert_eq!(again.get("unread_rollouts"), None);

    pair.world.conveyor(&["run", "--detach"]).ok();
    let inbox = || pair.world.conveyor(&["session-inbox", "m1", "--json"]).ok().json();
    wait_for("both in the inbox", PATIENCE, || {
        (inbox()["items"].as_array().unwrap().len() == 2).then_some(())
    });
    assert_eq!(routed(&pair.world), expected);
    pair.world.conveyor(&["run", "--stop"]).ok();
}

#[test]
fn a_reconciliation_knows_who_lives_by_the_process_that_was_found() {
    let mut pair = Pair::new();
    let dead = || pair.world.conveyor(&["reconcile"]).ok().json()["dead_pid_sessions"].take();
    let database = Connection::open(pair.world.state_root().join("workerctl.db")).unwrap();
    database.execute("UPDATE sessions SET pid = 99999999 WHERE name = 'm1'", ()).unwrap();
    assert_eq!(dead(), json!([]), "the wrapper that was named is gone, Codex is not");

    let this = i64::from(std::process::id());
    pair.worker.kill();
    database.execute("UPDATE sessions SET pid = ?1 WHERE name = 'w1'", [this]).unwrap();
    let sql = "UPDATE session_links SET tui_pid = ?1, pid_started_at = '2026-01-01T00:00:00Z'
        WHERE session_id = (SELECT id FROM sessions WHERE name = 'w1')";
    database.execute(sql, [this]).unwrap();
    assert_eq!(dead()[0]["name"], "w1", "another process has its number");
}

#[test]
fn a_session_of_an_app_server_lives_without_its_terminal() {
    let pair = Pair::new();
    let database = Connection::open(pair.world.state_root().join("workerctl.db")).unwrap();
    database.execute("UPDATE sessions SET tmux_session = 'closed' WHERE name = 'w1'", ()).unwrap();
    let ran_in_terminal = pair.world.conveyor(&["db-doctor", "--live"]).exits(1);
    assert!(ran_in_terminal.stdout.contains("w1 is recorded as active but does not run"));
    let sql = "UPDATE session_links SET recipe = 'private_server', app_server_socket = '/none', app_server_pid = tui_pid
        WHERE session_id = (SELECT id FROM sessions WHERE name = 'w1')";
    database.execute(sql, ()).unwrap();
    pair.world.conveyor(&["db-doctor", "--live"]).ok();
}

#[test]
fn a_supervisor_and_a_reconciliation_tell_once() {
    let mut pair = Pair::new();
    pair.world.conveyor(&["run", "--detach"]).ok();
    pair.worker.rollout.begin("work").unwrap();
    pair.worker.rollout.complete("done").unwrap();
    pair.worker.kill();
    pair.world.conveyor(&["reconcile", "--apply"]).ok();
    assert_eq!(routed(&pair.world), ["worker_task_complete", "session_exited"]);
    assert_eq!(texts(&pair.world, "SELECT state FROM bindings"), ["invalid"]);
    pair.world.conveyor(&["run", "--stop"]).ok();
}

#[test]
fn who_cannot_be_read_is_left_by_a_reconciliation() {
    let mut pair = Pair::new();
    pair.worker.rollout.begin("work").unwrap();
    pair.world.conveyor(&["ingest", "w1"]).ok();
    pair.worker.rollout.complete("done").unwrap();
    pair.worker.kill();
    let (path, away) = (pair.worker.rollout.path.clone(), pair.world.root().join("away"));
    std::fs::rename(&path, &away).unwrap();

    let applied = pair.world.conveyor(&["reconcile", "--apply"]).exits(1).json()["applied"].take();
    assert_eq!(
        (&applied["sessions_marked_gone"], &applied["sessions_left"][0]["name"]),
        (&json!([]), &json!("w1"))
    );
    assert!(applied["sessions_left"][0]["error"].as_str().unwrap().contains("does not exist"), "{applied}");
    assert_eq!(texts(&pair.world, "SELECT state FROM bindings"), ["active"]);

    std::fs::rename(&away, &path).unwrap();
    pair.world.conveyor(&["reconcile", "--apply"]).ok();
    assert_eq!(texts(&pair.world, "SELECT state FROM bindings"), ["invalid"]);
    assert_eq!(routed(&pair.world), ["worker_task_complete", "session_exited"]);
}

#[tokio::test]
async fn an_app_server_that_was_killed_takes_its_sessions_turn_with_it() {
    let world = World::with_codex(Script::new().on("hang", [say("hm"), hang()]));
    let RunningServer { client, pid, .. } = running(&world).await;
    let thread = client.thread_start(&unattended(&world)).await.unwrap();
    client.thread_name_set(&thread.id, "worker one").await.unwrap();
    let rollout = thread.path.clone().unwrap();
    world.conveyor(&["register-worker", "--name", "w1", "--codex-session", rollout.to_str().unwrap()]).ok();
    assert_eq!(session(&world, "w1")["pid"], pid);
    let manager = StandIn::start(&world, "m1");
    manager.register(&world, "manager", "m1");
    bind(&world);
    world.conveyor(&["run", "--detach"]).ok();

    let message = TurnStart { thread_id: &thread.id, text: "hang", client_user_message_id: "message-1" };
    let turn = client.turn_start(message).await.unwrap();
    let is_read = "SELECT open_turn_key FROM rollout_cursors WHERE open_turn_key IS NOT NULL";
    wait_for("the turn", PATIENCE, || (texts(&world, is_read) == [turn.as_str()]).then_some(()));
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    let expected = ["worker_turn_failed", "session_exited"];
    wait_for("both signals", PATIENCE, || (signals(&world) == expected).then_some(()));
    let turns = "SELECT turn_key || ' ' || (error_json ->> '$.kind') FROM turn_facts";
    assert_eq!(texts(&world, turns), [format!("{turn} crashed")]);
    world.conveyor(&["run", "--stop"]).ok();
}
