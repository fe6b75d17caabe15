//! What each part counts and lists, and what it leaves out.

use jiff::Timestamp;

use super::*;
use crate::domain::CommandState;
use crate::domain::QueuedCommand;
use crate::domain::criteria::CriterionStatus;
use crate::store::bindings::BoundTask;
use crate::store::mailbox::MAX_HAND_OUTS;
use crate::store::scope::Scope;
use crate::store::testing::TestDb;

/// Two pairs; the second task has ended.
fn database() -> (TestDb, BoundTask, BoundTask) {
    let mut db = TestDb::new();
    let (one, two) = (db.pair("one"), db.pair("two"));
    db.conn.execute("UPDATE tasks SET state = 'done' WHERE id = ?1", [&two.task.id]).unwrap();
    (db, one, two)
}

fn all() -> Scope {
    Scope::default()
}

fn of(pair: &BoundTask) -> Scope {
    Scope { task_id: Some(pair.task.id.clone()), ..all() }
}

fn running() -> Scope {
    Scope { active_only: true, ..all() }
}

fn later() -> Scope {
    Scope { since: Some("2026-01-02T00:00:00Z".parse().unwrap()), ..all() }
}

fn cycle(db: &TestDb, pair: &BoundTask, day: u32, state: &str, status: &str) -> i64 {
    db.conn
        .execute(
            "INSERT INTO manager_cycles (task_id, started_at, state, status_json) VALUES (?1, ?2, ?3, ?4)",
            (&pair.task.id, format!("2026-01-0{day}T00:00:00.000Z"), state, status),
        )
        .unwrap();
    db.conn.last_insert_rowid()
}

#[test]
fn cycles_are_told_apart_by_how_they_went() {
    let (db, one, two) = database();
    let pane = |captured: bool| format!(r#"{{"pane_signal": {{"captured": {captured}}}, "state": "idle"}}"#);
    cycle(&db, &one, 1, "succeeded", &pane(true));
    cycle(&db, &one, 2, "succeeded", &pane(false));
    let failed = cycle(&db, &one, 3, "failed", "{}");
    cycle(&db, &two, 4, "failed", r#"{"notable_pane_pattern": "trust_prompt"}"#);
    cycle(&db, &two, 5, "started", "{}");
    db.conn
        .execute(
            "INSERT INTO manager_cycle_spans (manager_cycle_id, task_id, phase, started_at, completed_at, duration_ms,
                 state, attributes_json)
             VALUES (?1, ?2, 'ingest_rollout', 'now', 'now', 1, 'failed', '{}')",
            (failed, &one.task.id),
        )
        .unwrap();
    let check = |scope: &Scope, kind, expect: &[i64]| {
        let found: Vec<i64> =
            newest_cycles(&db.conn, scope, kind, 9).unwrap().iter().map(|cycle| cycle.id).collect();
        assert_eq!(found, expect, "{scope:?} {kind:?}");
        assert_eq!(cycle_count(&db.conn, scope, kind).unwrap(), expect.len() as i64, "{scope:?} {kind:?}");
    };
    check(&all(), CycleKind::Any, &[5, 4, 3, 2, 1]);
    check(&all(), CycleKind::Succeeded, &[2, 1]);
    check(&all(), CycleKind::Failed, &[4, 3]);
    check(&all(), CycleKind::IngestFailed, &[3]);
    check(&all(), CycleKind::WithPane, &[1]);
    check(&all(), CycleKind::WithoutPane, &[2]);
    check(&of(&two), CycleKind::Any, &[5, 4]);
    check(&running(), CycleKind::Failed, &[3]);
    check(&later(), CycleKind::Succeeded, &[2]);
    let by_state = cycles_by_state(&db.conn, &of(&one)).unwrap();
    assert_eq!(by_state, [("failed".to_owned(), 1), ("succeeded".to_owned(), 2)].into());
    assert_eq!(notable_patterns(&db.conn, &all()).unwrap(), [("trust_prompt".to_owned(), 1)].into());
    let newest = newest_cycles(&db.conn, &of(&one), CycleKind::Succeeded, 1).unwrap();
    assert_eq!((newest.len(), newest[0].worker_state.as_deref()), (1, Some("idle")));
}

#[test]
fn commands_are_counted_by_state_and_by_type() {
    let (mut db, one, two) = database();
    db.enqueue(QueuedCommand::NudgeWorker, "one", "a");
    db.enqueue(QueuedCommand::NotifyManager, "one", "b");
    db.conn
        .execute("UPDATE commands SET state = 'failed', error = 'why' WHERE type = 'notify_manager'", [])
        .unwrap();
    db.conn
        .execute(
            "INSERT INTO command_attempts (command_id, correlation_id, dispatcher_id, started_at, state)
             SELECT id, 'c', 'd', created_at, 'failed' FROM commands WHERE state = 'failed'",
            [],
        )
        .unwrap();
    let by_state = commands_by_state(&db.conn, &of(&one)).unwrap();
    assert_eq!(by_state, [("failed".to_owned(), 1), ("pending".to_owned(), 1)].into());
    assert!(commands_by_state(&db.conn, &of(&two)).unwrap().is_empty());
    assert_eq!(commands_by_type(&db.conn, &all()).unwrap()["nudge_worker"]["pending"], 1);
    let attempts = attempts_by_type(&db.conn, &running()).unwrap();
    assert_eq!((attempts.len(), attempts["notify_manager"]["failed"]), (1, 1));
    let failed = newest_commands(&db.conn, &all(), Some(CommandState::Failed), 9).unwrap();
    assert_eq!((failed.len(), failed[0].error.as_deref()), (1, Some("why")));
    assert_eq!(newest_commands(&db.conn, &all(), None, 1).unwrap()[0].command_type, "notify_manager");
}

#[test]
fn criteria_count_whenever_they_were_recorded() {
    let (db, one, two) = database();
    for (pair, criterion, status) in
        [(&one, "a", "accepted"), (&one, "b", "proposed"), (&two, "c", "accepted")]
    {
        db.conn
            .execute(
                "INSERT INTO acceptance_criteria (task_id, criterion, status, source, evidence_json, created_at, updated_at)
                 VALUES (?1, ?2, ?3, 'user_requested', '{}', '2025-01-01', '2025-01-01')",
                (&pair.task.id, criterion, status),
            )
            .unwrap();
    }
    let accepted = |scope: &Scope| -> Vec<i64> {
        let found = newest_criteria(&db.conn, scope, CriterionStatus::Accepted, 9).unwrap();
        found.iter().map(|criterion| criterion.id).collect()
    };
    assert_eq!(
        (accepted(&all()), accepted(&running()), accepted(&later())),
        (vec![3, 1], vec![1], vec![3, 1])
    );
    assert_eq!(criteria_by_status(&db.conn, &of(&one)).unwrap().len(), 2);
}

#[test]
fn only_texts_that_are_kept_are_counted() {
    let (db, one, _) = database();
    for content in [Some("four"), None] {
        db.conn
            .execute(
                "INSERT INTO terminal_captures (task_id, role, tmux_session, captured_at, history_lines, content_sha256,
                     content, byte_count, line_count, classifier_json, source)
                 VALUES (?1, 'worker', 'w', 'now', 1, 'h', ?2, 4, 1, '{}', 'test')",
                (&one.task.id, content),
            )
            .unwrap();
    }
    let kept = retained(&db.conn, None).unwrap();
    assert_eq!(kept.terminal_captures, Kept { count: 1, bytes: 4 });
    assert_eq!((kept.total_retained, kept.transcript_segments), (4, Kept::default()));
    assert!(kept.database_file > 0);
    assert_eq!(retained(&db.conn, Some("another")).unwrap().total_retained, 0);
}

#[test]
fn what_nobody_knows_and_what_nobody_took_need_a_person() {
    let (db, one, two) = database();
    let (unknown, dead, expiring) = (db.deliver(&one, "a"), db.deliver(&two, "b"), db.deliver(&one, "c"));
    let session = &one.worker.id;
    db.conn
        .execute(
            "INSERT INTO deliveries (source, notification_id, task_id, target_session_id, transport, state, fence,
                 claimed_at, started_at, error)
             VALUES ('notification', ?1, ?3, ?2, 'tmux', 'unknown', 1, 'now', 'now', 'no sign of it')",
            (unknown, session, &one.task.id),
        )
        .unwrap();
    for (id, state) in [(dead, "dead_letter"), (expiring, "leased")] {
        db.conn
            .execute(
                "INSERT INTO notification_leases (notification_id, fence, holder_session_id, leased_at, expires_at,
                     hand_outs, state)
                 VALUES (?1, 1, ?2, '2026-01-01', '2026-01-01', ?3, ?4)",
                (id, session, MAX_HAND_OUTS, state),
            )
            .unwrap();
    }
    let ids = |scope: &Scope| {
        let found = undelivered(&db.conn, scope, 9).unwrap();
        let letters: Vec<i64> = found.dead_letters.recent.iter().map(|letter| letter.id).collect();
        assert_eq!(found.dead_letters.count, letters.len() as i64);
        (found.unknown_deliveries.count, letters)
    };
    assert_eq!(ids(&all()), (1, vec![expiring, dead]));
    assert_eq!(ids(&of(&two)), (0, vec![dead]));
    assert_eq!(ids(&running()), (1, vec![expiring]));
    let found = undelivered(&db.conn, &all(), 1).unwrap();
    assert_eq!((found.dead_letters.count, found.dead_letters.recent.len()), (2, 1));
    assert_eq!(found.unknown_deliveries.recent[0].task_name.as_deref(), Some("one"));
}

#[test]
fn who_works_is_listed_with_the_age_of_its_last_sign() {
    let (db, ..) = database();
    db.conn
        .execute(
            "UPDATE sessions SET last_heartbeat_at = '2026-01-01T00:00:00.000Z' WHERE name = 'one-m'",
            [],
        )
        .unwrap();
    db.conn.execute("UPDATE sessions SET state = 'gone' WHERE name = 'two-w'", []).unwrap();
    let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
    let working = working(&db.conn, now, 9).unwrap();
    let sessions: Vec<_> = working
        .sessions
        .iter()
        .map(|session| (session.name.as_str(), session.heartbeat_age_seconds))
        .collect();
    assert_eq!(sessions, [("one-m", Some(60.0)), ("one-w", None), ("two-m", None)]);
    assert_eq!((working.task_count, working.tasks[0].name.as_str()), (1, "one"));
}

#[test]
fn reads_that_failed_or_skipped_lines_are_found_by_their_task() {
    let (db, one, two) = database();
    for (id, pair, event_type, severity, skipped) in [
        ("a", &one, "codex_events_ingested", "info", 0),
        ("b", &one, "codex_events_ingested", "info", 2),
        ("c", &two, "codex_events_tail_read", "error", 0),
        ("d", &two, "command_failed", "error", 9),
    ] {
        db.conn
            .execute(
                "INSERT INTO telemetry_events (id, task_id, timestamp, actor, event_type, severity, summary,
                     correlation_json, attributes_json)
                 VALUES (?1, ?2, '2026-01-03T00:00:00.000Z', 'workerctl', ?3, ?4, 's', '{}', ?5)",
                (id, &pair.task.id, event_type, severity, format!(r#"{{"skipped_lines": {skipped}}}"#)),
            )
            .unwrap();
    }
    let check = |scope: &Scope, skipped: &[&str], errors: &[&str]| {
        let tallies = crate::store::telemetry::counts(&db.conn, scope).unwrap();
        let found = ingest(&db.conn, scope, &tallies, 9).unwrap();
        let ids = |lines: &[crate::store::telemetry::TelemetryLine]| {
            lines.iter().map(|line| line.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            (ids(&found.recent_skipped), ids(&found.recent_errors)),
            (
                skipped.iter().map(ToString::to_string).collect(),
                errors.iter().map(ToString::to_string).collect(),
            )
        );
        assert_eq!((found.skipped_lines, found.error_count), (2 * skipped.len() as i64, errors.len() as i64));
    };
    check(&all(), &["b"], &["c"]);
    check(&of(&one), &["b"], &[]);
    check(&of(&two), &[], &["c"]);
    check(&running(), &["b"], &[]);
    check(&later(), &["b"], &["c"]);
}
