//! Cycles against a real database file.

use serde_json::{Value, json};

use super::*;
use crate::domain::cycle::{CyclePhase, SpanState};
use crate::domain::pane_signal::PaneSignal;
use crate::domain::{Failure, TurnKey, TurnOutcome};
use crate::store::Query;
use crate::store::bindings::BoundTask;
use crate::store::codex_events::{self, NewEvent};
use crate::store::testing::TestDb;
use crate::store::turn_facts::{self, NewFact};

fn start(db: &mut TestDb) -> StartedCycle {
    db.write(StartCycle { task: "t1".into(), busy_wait_seconds: 90 }).unwrap()
}

fn event(db: &TestDb, bound: &BoundTask, timestamp: &str, payload: Value) -> i64 {
    let event = NewEvent {
        byte_offset: 0,
        timestamp: Some(timestamp.into()),
        kind: "event_msg".into(),
        subtype: payload["type"].as_str().map(str::to_owned),
        payload: payload.to_string(),
    };
    codex_events::insert(&db.conn, &bound.worker.id, &event, "2026-01-01T00:00:00.000Z").unwrap()
}

fn worker_state(db: &TestDb, bound: &BoundTask) -> WorkerState {
    db.read(ReadWorkerState {
        task_id: bound.task.id.clone(),
        session_id: bound.worker.id.clone(),
        now: "2026-01-01T00:01:00Z".parse().unwrap(),
    })
}

fn report(db: &TestDb, cycle: &StartedCycle) -> CycleReport {
    CycleReport {
        kind: "session_cycle".into(),
        task: cycle.bound.task.name.clone(),
        binding_id: cycle.bound.binding.id.clone(),
        cycle_id: cycle.id,
        cycle_started_at: cycle.started_at.clone(),
        cycle_completed_at: String::new(),
        worker_session: cycle.bound.worker.name.clone(),
        manager_session: cycle.bound.manager.name.clone(),
        worker_alive: true,
        worker_conditions: vec![],
        manager_conditions: vec![],
        manager_alive: false,
        ingest: TakenIn { new_events: 1, new_offset: 2, skipped_lines: 3 },
        worker: worker_state(db, &cycle.bound),
        pane_class: None,
        notable_pane_pattern: None,
        pane_signal: PaneSignal::no_terminal(None),
        consumed_dispatch_notifications: 0,
        manager_context: db.read(ReadContext(cycle.bound.clone())),
    }
}

fn spans(db: &TestDb) -> Vec<String> {
    db.texts("SELECT phase || ' ' || state || ' ' || coalesce(error_type, '') FROM manager_cycle_spans ORDER BY id")
}

#[test]
fn a_cycle_without_a_pair_is_refused_and_leaves_nothing() {
    let mut db = TestDb::new();
    let unknown = db.refusal(StartCycle { task: "t1".into(), busy_wait_seconds: 90 });
    assert!(unknown.message.contains("t1"), "{unknown:?}");
    db.task("t1");
    let unbound = db.refusal(StartCycle { task: "t1".into(), busy_wait_seconds: 90 });
    assert!(unbound.message.contains("no active binding"), "{unbound:?}");
    assert_eq!(db.number("SELECT count(*) FROM manager_cycles"), 0);
}

#[test]
fn a_finished_cycle_keeps_what_it_reported_and_empties_the_inbox() {
    let mut db = TestDb::new();
    let bound = db.pair("t1");
    db.deliver(&bound, "for the worker");
    let for_manager = db.deliver(&bound, "for the manager");
    db.conn
        .execute(
            "UPDATE routed_notifications SET target_session_id = ?1 WHERE id = ?2",
            (&bound.manager.id, for_manager),
        )
        .unwrap();
    let cycle = start(&mut db);
    let done = SpanClock::start().end(CyclePhase::StartCycle, SpanState::Succeeded);
    let report = report(&db, &cycle);
    let report = db.write(FinishCycle { cycle, spans: vec![done], report }).unwrap();
    assert_eq!(report.consumed_dispatch_notifications, 1);
    assert!(report.cycle_completed_at >= report.cycle_started_at);
    let stored = db.jsons("SELECT status_json FROM manager_cycles WHERE state = 'succeeded'");
    assert_eq!(stored, [serde_json::to_value(&report).unwrap()]);
    assert_eq!(spans(&db), ["start_cycle succeeded ", "persist_cycle_row succeeded "]);
    assert_eq!(
        db.texts("SELECT event_type FROM telemetry_events ORDER BY rowid"),
        ["manager_cycle_started", "manager_cycle_succeeded"]
    );
    assert_eq!(
        db.texts("SELECT json_extract(payload_json, '$.message') FROM routed_notifications WHERE consumed_at IS NULL"),
        ["for the worker"]
    );
}

#[test]
fn a_failed_cycle_tells_why_and_takes_nothing() {
    let mut db = TestDb::new();
    db.pair("t1");
    let cycle = start(&mut db);
    let failure = Failure::external("the rollout is gone");
    let spans_so_far = vec![SpanClock::start().fail(CyclePhase::IngestRollout, &failure)];
    db.write(FailCycle { cycle, spans: spans_so_far, failure }).unwrap();
    assert_eq!(spans(&db), ["ingest_rollout failed external", "cycle_failed failed external"]);
    assert_eq!(
        db.texts("SELECT state || ': ' || error FROM manager_cycles"),
        ["failed: the rollout is gone"]
    );
    let status = &db.jsons("SELECT status_json FROM manager_cycles")[0];
    assert_eq!((&status["error_type"], &status["failure_phase"]), (&json!("external"), &json!("cycle")));
    assert_eq!(
        db.texts("SELECT event_type || ' ' || severity FROM telemetry_events ORDER BY rowid"),
        ["manager_cycle_started info", "manager_cycle_failed error"]
    );
}

#[test]
fn the_worker_state_counts_what_came_since_the_cycle_before() {
    let mut db = TestDb::new();
    let bound = db.pair("t1");
    let state = worker_state(&db, &bound);
    assert_eq!((state.recent_events, state.last_event_id, state.staleness_seconds), (0, None, None));
    event(&db, &bound, "2026-01-01T00:00:20Z", json!({"type": "task_started"}));
    let last = event(&db, &bound, "2026-01-01T00:00:30Z", json!({"type": "token_count"}));
    let state = worker_state(&db, &bound);
    assert_eq!((state.recent_events, state.last_event_id), (2, Some(last)));
    assert_eq!((state.state.as_str(), state.staleness_seconds), ("busy", Some(40.0)));
    assert_eq!((state.last_event_subtype.as_deref(), state.task_completed), (Some("token_count"), false));

    let cycle = start(&mut db);
    let report = report(&db, &cycle);
    db.write(FinishCycle { cycle, spans: vec![], report }).unwrap();
    assert_eq!(worker_state(&db, &bound).recent_events, 0);
    event(&db, &bound, "2026-01-01T00:02:00Z", json!({"type": "task_complete"}));
    let state = worker_state(&db, &bound);
    assert_eq!((state.recent_events, state.task_completed, state.staleness_seconds), (1, true, Some(0.0)));
}

#[test]
fn the_last_turn_says_how_it_ended() {
    let mut db = TestDb::new();
    let bound = db.pair("t1");
    let error = json!({"message": "no quota"});
    for (key, outcome, error) in [
        (TurnKey::Id("a".into()), TurnOutcome::Completed, None),
        (TurnKey::Offset(9), TurnOutcome::Failed, Some(&error)),
    ] {
        let fact = NewFact {
            session_id: &bound.worker.id,
            thread_id: "t",
            key: &key,
            outcome,
            event_id: None,
            error,
        };
        turn_facts::record(&db.conn, &fact).unwrap();
        let last = worker_state(&db, &bound).last_turn.unwrap();
        assert_eq!((last.outcome, last.turn_id.as_deref(), last.error.as_ref()), (outcome, key.id(), error));
    }
}

fn context(db: &TestDb, bound: &BoundTask) -> Value {
    serde_json::to_value(db.read(ReadContext(bound.clone()))).unwrap()
}

#[test]
fn the_context_is_the_latest_of_everything() {
    let mut db = TestDb::new();
    let bound = db.pair("t1");
    let bare = context(&db, &bound);
    for absent in ["manager_config", "worker_ack", "manager_ack", "worker_handoff", "worker_receipt"] {
        assert_eq!(bare[absent], Value::Null, "{absent}");
    }
    assert_eq!(bare["criteria_negotiation"]["reason"], "no_criteria");

    let task = &bound.task.id;
    for status in ["accepted", "proposed", "satisfied", "deferred", "rejected"] {
        db.conn
            .execute(
                "INSERT INTO acceptance_criteria (task_id, criterion, status, source, evidence_json, created_at, updated_at)
                 VALUES (?1, ?2, ?2, 'user_requested', '{}', 'now', 'now')",
                (task, status),
            )
            .unwrap();
    }
    for summary in ["old", "new"] {
        db.conn
            .execute(
                "INSERT INTO worker_handoffs (task_id, summary, next_steps_json, payload_json, created_at)
                 VALUES (?1, ?2, '[\"go on\"]', '{}', 'now')",
                (task, summary),
            )
            .unwrap();
    }
    let end = json!({"type": "task_complete", "turn_id": "turn-1", "last_agent_message": "all done", "duration_ms": 1500});
    event(&db, &bound, "2026-01-01T00:00:03Z", end);
    event(&db, &bound, "2026-01-01T00:00:04Z", json!({"type": "user_message"}));
    let full = context(&db, &bound);
    let criteria = &full["acceptance_criteria"];
    assert_eq!(criteria["open"], criteria["accepted"]);
    for status in ["accepted", "proposed", "satisfied", "deferred", "rejected"] {
        assert_eq!(
            (&criteria[status][0]["criterion"], &criteria["summary"][status]),
            (&json!(status), &json!(1))
        );
    }
    assert_eq!(full["criteria_negotiation"]["needed"], false);
    assert_eq!(full["worker_handoff"]["summary"], "new");
    assert_eq!(
        full["worker_receipt"],
        json!({
            "binding_id": bound.binding.id, "completed_at": null, "duration_ms": 1500, "last_agent_message": "all done",
            "source_event_id": 1, "source_event_timestamp": "2026-01-01T00:00:03Z", "source_session_id": bound.worker.id,
            "source_session_name": bound.worker.name, "time_to_first_token_ms": null, "turn_id": "turn-1",
        })
    );
}

#[test]
fn required_acknowledgements_must_be_of_this_binding_and_revision() {
    let mut db = TestDb::new();
    let bound = db.pair("t1");
    let config = |require_acks: bool| {
        db.conn
            .execute(
                "INSERT OR REPLACE INTO manager_configs (task_id, supervision_mode, guidelines_json, acceptance_criteria_json,
                     reference_paths_json, permissions_json, require_acks, revision, created_at, updated_at)
                 VALUES (?1, 'guided', '[]', '[]', '[]', '{}', ?2, 2, 'now', 'now')",
                (&bound.task.id, require_acks),
            )
            .unwrap();
    };
    let refusal = || ReadContext(bound.clone()).run(&db.conn).err().map(|error| error.to_string());
    let acknowledge = |role: &str, revision: i64, binding: Option<&str>| {
        db.conn
            .execute(
                "INSERT INTO task_acknowledgements (task_id, binding_id, role, payload_json, revision, manager_config_revision, created_at)
                 VALUES (?1, ?2, ?3, '{}', (SELECT count(*) + 1 FROM task_acknowledgements), ?4, 'now')",
                (&bound.task.id, binding, role, revision),
            )
            .unwrap();
    };
    let this = Some(&*bound.binding.id);
    config(false);
    assert_eq!(refusal(), None);
    config(true);
    let check = |expect: Option<&str>| match (refusal(), expect) {
        (None, None) => {}
        (Some(refusal), Some(words)) => assert!(refusal.contains(words), "{refusal}"),
        (found, expect) => panic!("{found:?} instead of {expect:?}"),
    };
    check(Some("the worker of task t1 has not acknowledged"));
    acknowledge("worker", 1, this);
    check(Some("the worker of task t1 has acknowledged another revision"));
    acknowledge("worker", 2, None);
    check(Some("the worker of task t1 has acknowledged another revision or binding"));
    acknowledge("worker", 2, this);
    check(Some("the manager of task t1 has not acknowledged"));
    acknowledge("manager", 2, this);
    check(None);
}
