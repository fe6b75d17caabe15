//! What the views make of what the store holds.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::domain::QueuedCommand;
use crate::store::Query;
use crate::store::drift::SessionProcesses;
use crate::store::testing::TestDb;

fn asked(task: Option<&str>) -> Asked {
    Asked {
        task: task.map(str::to_owned),
        run: None,
        window: None,
        active_only: false,
        limit: 10,
        thresholds: Thresholds::default(),
        dead: Vec::new(),
        now: Timestamp::now(),
    }
}

fn database() -> TestDb {
    let mut db = TestDb::new();
    db.pair("t1");
    db.task("t2");
    db.conn.execute("UPDATE sessions SET pid = 1", []).unwrap();
    db
}

fn types(alerts: &[Alert]) -> Vec<&str> {
    alerts.iter().map(|alert| alert.alert_type.as_str()).collect()
}

fn failed(view: &CheckView) -> Vec<&str> {
    let results = &view.operator.checks.results;
    results.iter().filter(|check| !check.ok).map(|check| check.name.as_str()).collect()
}

#[test]
fn an_empty_database_has_nothing_to_tell() {
    let db = TestDb::new();
    let failures = db.read(ReadFailures(asked(None)));
    assert_eq!((failures.alerts, failures.operator.checks.ok), (vec![], true));
    let metrics = db.read(ReadMetrics(asked(None)));
    assert_eq!((metrics.counters.cycles.total, metrics.rollups.cycle_success_rate), (0, None));
    assert_eq!((metrics.window.label.as_str(), metrics.window.seconds), ("24h", 86_400));
    assert!(db.read(ReadCheck(asked(None))).ok);
    for missing in [asked(None), asked(Some("nope"))] {
        assert!(ReadTask(missing.clone()).run(&db.conn).is_err());
        assert!(ReadSnapshot(missing).run(&db.conn).is_err());
    }
    assert!(ReadFailures(Asked { run: Some("nope".into()), ..asked(None) }).run(&db.conn).is_err());
}

#[test]
fn failures_are_told_with_how_many_there_are() {
    let mut db = database();
    db.enqueue(QueuedCommand::NudgeWorker, "t1", "secret");
    db.conn.execute("UPDATE commands SET state = 'failed'", []).unwrap();
    for _ in 0..3 {
        db.conn
            .execute(
                "INSERT INTO manager_cycles (task_id, started_at, state) SELECT id, '2026-01-01', 'failed' FROM tasks WHERE name = 't1'",
                [],
            )
            .unwrap();
    }
    let view = db.read(ReadFailures(Asked { limit: 1, ..asked(None) }));
    assert_eq!(types(&view.alerts), ["failed_cycles", "failed_commands"]);
    assert_eq!((view.failed_cycles.len(), view.counts.failed_cycles), (1, 3));
    assert_eq!(view.alerts[0].message, "3 manager cycles failed");
    assert!(!serde_json::to_string(&view).unwrap().contains("secret"));
    let window = Some("1h".parse().unwrap());
    assert_eq!(db.read(ReadFailures(Asked { window, ..asked(None) })).counts.failed_cycles, 0);
    assert!(db.read(ReadFailures(asked(Some("t2")))).alerts.is_empty());
}

#[test]
fn a_limit_that_is_not_kept_is_named() {
    let mut db = database();
    let check = |db: &TestDb, change: fn(&mut Asked), expect: &[&str]| {
        let mut asked = asked(None);
        change(&mut asked);
        let view = db.read(ReadCheck(asked));
        assert_eq!((failed(&view), view.ok), (expect.to_vec(), expect.is_empty()));
    };
    check(&db, |_| {}, &[]);
    check(&db, |asked| asked.thresholds.max_storage_bytes = Some(1), &["storage_bytes"]);
    db.enqueue(QueuedCommand::NudgeWorker, "t1", "go");
    check(&db, |_| {}, &["unfinished_commands"]);
    check(&db, |asked| asked.thresholds.max_unfinished_commands = 1, &[]);
    check(&db, |asked| asked.task = Some("t2".into()), &[]);
    db.conn.execute("UPDATE commands SET state = 'succeeded'", []).unwrap();
    db.conn
        .execute_batch(
            "UPDATE sessions SET last_heartbeat_at = '2026-01-01T00:00:00.000Z' WHERE name = 't1-w';
             UPDATE bindings SET created_at = '2026-01-01T00:00:00.000Z';",
        )
        .unwrap();
    check(&db, |_| {}, &["stale_cycles", "stale_sessions"]);
}

#[test]
fn a_task_tells_whether_its_pair_is_there_and_its_records_fit() {
    let db = database();
    let fine = db.read(ReadTask(asked(Some("t1"))));
    assert_eq!((fine.liveness.worker_alive, fine.liveness.manager_alive), (Some(true), Some(true)));
    assert_eq!((fine.task.integrity.ok, fine.alerts.len()), (true, 0));
    assert_eq!(db.read(ReadTask(asked(Some("t2")))).liveness.worker_alive, None);

    let dead = db.read(SessionProcesses);
    let dead = dead.into_iter().map(|linked| linked.session).filter(|session| session.name == "t1-w");
    let dead = dead.filter_map(SessionProcess::of).collect();
    let view = db.read(ReadTask(Asked { dead, ..asked(Some("t1")) }));
    assert_eq!((view.liveness.worker_alive, types(&view.alerts)), (Some(false), vec!["worker_gone"]));

    db.conn.execute("UPDATE sessions SET state = 'gone' WHERE name = 't1-m'", []).unwrap();
    let view = db.read(ReadTask(asked(Some("t1"))));
    assert_eq!(view.task.integrity.issues, ["it is bound to manager t1-m, which is gone"]);
}

#[test]
fn a_snapshot_shows_what_the_last_cycle_saw_without_what_was_said() {
    let db = database();
    let status = json!({
        "state": "busy",
        "pane_signal": { "captured": false },
        "manager_context": { "worker_receipt": { "last_agent_message": "said secret", "source_event_id": 4 } },
        "output": "shown secret",
    });
    db.conn
        .execute(
            "INSERT INTO manager_cycles (task_id, started_at, state, status_json)
             SELECT id, '2026-01-01T00:00:00.000Z', 'succeeded', ?1 FROM tasks WHERE name = 't1'",
            [status.to_string()],
        )
        .unwrap();
    let view = db.read(ReadSnapshot(asked(Some("t1"))));
    let latest = view.latest_cycle.as_ref().unwrap();
    let status = latest.status.as_ref().unwrap();
    assert_eq!(
        (&status["state"], status.pointer("/manager_context/worker_receipt/source_event_id")),
        (&json!("busy"), Some(&json!(4)))
    );
    assert_eq!(view.pair.as_ref().unwrap().worker.as_ref().unwrap().name, "t1-w");
    assert!(view.view.liveness.latest_cycle_stale);
    let shown: Value = serde_json::to_value(&view).unwrap();
    assert!(!shown.to_string().contains("secret"), "{shown}");
    assert!(db.read(ReadSnapshot(asked(Some("t2")))).latest_cycle.is_none());
}
