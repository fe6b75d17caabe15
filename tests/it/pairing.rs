//! Pairs that `conveyor pair` makes, whole or half.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::launch::{rollout_has, start, tmux_sessions, value};
use crate::support::{Script, World};

#[test]
fn a_pair_is_bound_before_it_is_told_anything() {
    let world = World::with_codex(Script::new());
    let directory = world.work_dir("p");
    let args = [
        "pair",
        "--task",
        "t1",
        "--task-goal",
        "Ship it",
        "--worker-name",
        "w1",
        "--manager-name",
        "m1",
        "--task-prompt",
        "Begin with auth",
        "--manager-sandbox",
        "read-only",
        "--manager-acceptance",
        "the tests pass",
        "--no-dispatch",
    ];
    let planned = start(&world, &directory, &[&args[..], &["--dry-run"]].concat()).ok().json();
    assert_eq!((&planned["dry_run"], &planned["task"]["created"]), (&json!(true), &json!(true)));
    assert_eq!(value(&world, "SELECT count(*) FROM tasks"), "0");
    assert!(tmux_sessions(&world).is_empty());

    let pair = start(&world, &directory, &args).ok().json();
    assert_eq!((&pair["dispatch"], &pair["ensure_dispatch"]), (&Value::Null, &json!(false)));
    assert_eq!(pair["manager_acceptance_criteria_seeded"], 1);
    rollout_has(&pair["worker"], "task_complete");
    rollout_has(&pair["manager"], "task_complete");
    let asked =
        |words: &str| world.model().requests().into_iter().find(|one| one.user.contains(words)).unwrap();
    assert_eq!(asked("auth").user, "Begin with auth");
    // Commands cannot leave the sandbox; tools can.
    let manager = asked("Goal: Ship it");
    assert!(manager.user.contains("the tool `cycle` (task: t1)"), "{}", manager.user);
    assert!(manager.tools.iter().any(|tool| tool.contains("mcp__conveyor")), "{:?}", manager.tools);

    let first = "SELECT count(*) FROM deliveries, bindings WHERE claimed_at > bindings.created_at";
    assert_eq!(value(&world, first), "2");
    assert_eq!(world.conveyor(&["run", "--status"]).status, Some(1));
    let args = ["pair", "--task", "t1", "--worker-name", "w2", "--manager-name", "m2"];
    let run = start(&world, &directory, &args).exits(1);
    assert!(run.stderr.contains("t1 is already bound"), "{}", run.text());
    assert_eq!(tmux_sessions(&world), ["codex-m1", "codex-w1"]);
}

#[test]
fn a_pair_whose_worker_is_not_told_what_to_do_is_supervised_all_the_same() {
    let world = World::with_codex(Script::new());
    let directory = world.work_dir("p");
    world.conveyor(&["tasks", "--create", "t1", "--goal", "g"]).ok();
    let refuse = "CREATE TRIGGER refused BEFORE INSERT ON deliveries
        WHEN new.target_session_id = (SELECT id FROM sessions WHERE name = 'w1')
        BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    Connection::open(world.state_root().join("workerctl.db")).unwrap().execute_batch(refuse).unwrap();
    let pair =
        ["pair", "--task", "t1", "--worker-name", "w1", "--manager-name", "m1", "--task-prompt", "Begin"];
    let run = start(&world, &directory, &pair).exits(1);
    for said in [
        "session w1 runs",
        "its first prompt did not go out",
        "`conveyor session-nudge w1 TEXT`",
        "is up and bound",
    ] {
        assert!(run.stderr.contains(said), "{said}: {}", run.text());
    }
    assert_eq!(value(&world, "SELECT count(*) FROM bindings WHERE state = 'active'"), "1");
    assert_eq!(value(&world, "SELECT count(*) FROM telemetry_events WHERE event_type = 'pair_failed'"), "1");
    let told = "SELECT name FROM deliveries JOIN sessions ON sessions.id = target_session_id";
    assert_eq!(value(&world, told), "m1");
    world.conveyor(&["run", "--status"]).ok();
}

#[test]
fn a_pair_whose_manager_does_not_start_leaves_its_worker() {
    let world = World::with_codex(Script::new());
    let directory = world.work_dir("p");
    world.tmux(&["new-session", "-d", "-s", "codex-m1", "cat"], "").ok();
    let args = ["pair", "--task", "t1", "--task-goal", "g", "--worker-name", "w1", "--manager-name", "m1"];
    let run = start(&world, &directory, &args).exits(1);
    assert!(run.stderr.contains("codex-m1") && run.stderr.contains("worker w1 runs"), "{}", run.text());
    assert_eq!(value(&world, "SELECT group_concat(name || state) FROM sessions"), "w1active");
    assert_eq!(value(&world, "SELECT count(*) FROM bindings"), "0");
    let failed = "SELECT event_type FROM telemetry_events ORDER BY rowid DESC LIMIT 1";
    assert_eq!(value(&world, failed), "pair_failed");

    // The same again, with what is left.
    world.tmux(&["kill-session", "-t", "=codex-m1"], "").ok();
    let args = ["pair", "--task", "t1", "--worker-name", "w2", "--manager-name", "m1"];
    let pair = start(&world, &directory, &args).ok().json();
    assert_eq!((&pair["dispatch"]["started"], &pair["task"]["created"]), (&json!(true), &json!(false)));
    let status = world.conveyor(&["run", "--status", "--json"]).ok().json();
    assert_eq!(status["supervisor"]["dispatcher_id"], "dispatch-pair");
}
