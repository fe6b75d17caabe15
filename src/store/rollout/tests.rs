//! Batches of lines against a real database file.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::domain::{Activity, OriginHeader, TurnKey, TurnOutcome};
use crate::store::codex_events::{self, NewEvent};
use crate::store::receipts::Arrival;
use crate::store::turn_facts::{self, TurnFact};
use crate::store::{Change, Query, open};

const PATH: &str = "/r/w1.jsonl";

struct Db {
    conn: Connection,
    _dir: TempDir,
}

impl Db {
    /// A database with worker `w1`, registered and not yet read.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let conn = open::writer(&dir.path().join("w.db")).unwrap();
        let db = Self { conn, _dir: dir };
        db.execute(
            "INSERT INTO sessions (id, name, role, identity_token, codex_session_path, codex_session_id, cwd, registered_at, state)
             VALUES ('session-1', 'w1', 'worker', 'token-1', '/r/w1.jsonl', 'thread-1', '/repo', 'now', 'active')",
        );
        db
    }

    fn execute(&self, sql: &str) {
        self.conn.execute_batch(sql).unwrap();
    }

    fn value<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.conn.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn append(&self, from: u64, to: u64, lines: Vec<ReadLine>) -> Option<Appended> {
        let tx = self.conn.unchecked_transaction().unwrap();
        let appended = append(from, to, lines).run(&tx).unwrap();
        tx.commit().unwrap();
        appended
    }

    fn cursor(&self) -> Cursor {
        GetCursor("w1".into()).run(&self.conn).unwrap()
    }

    fn fact(&self) -> TurnFact {
        turn_facts::latest(&self.conn, "session-1").unwrap().expect("a fact")
    }

    fn facts(&self) -> i64 {
        self.value("SELECT count(*) FROM turn_facts")
    }
}

fn append(from_offset: u64, to_offset: u64, lines: Vec<ReadLine>) -> AppendRollout {
    AppendRollout {
        session_id: "session-1".into(),
        path: PATH.into(),
        from_offset,
        to_offset,
        lines,
        skipped_lines: 0,
        open_turn: None,
        asked: false,
        at_end: true,
    }
}

fn line(byte_offset: u64, payload: Value) -> ReadLine {
    ReadLine {
        event: NewEvent {
            byte_offset,
            timestamp: Some("2026-01-01T00:00:00Z".into()),
            kind: "event_msg".into(),
            subtype: payload["type"].as_str().map(str::to_owned),
            payload: payload.to_string(),
        },
        ordinal: None,
        meaning: None,
    }
}

fn end(byte_offset: u64, turn: &str, outcome: TurnOutcome) -> ReadLine {
    let meaning = Meaning::TurnEnded { key: TurnKey::parse(turn), outcome, error: None, silent: false };
    ReadLine {
        meaning: Some(meaning),
        ..line(byte_offset, json!({"type": "task_complete", "turn_id": turn}))
    }
}

fn arrived(byte_offset: u64, client_message_id: Option<&str>, header: Option<(&str, i64)>) -> ReadLine {
    let meaning = Meaning::Arrived(Arrival {
        client_message_id: client_message_id.map(str::to_owned),
        header: header.map(|(correlation_id, delivery)| OriginHeader {
            kind: "nudge".into(),
            from: "m".into(),
            correlation_id: correlation_id.into(),
            delivery,
        }),
    });
    ReadLine { meaning: Some(meaning), ..line(byte_offset, json!({"type": "user_message"})) }
}

#[test]
fn a_batch_moves_the_position_and_records_events_and_facts_once() {
    let db = Db::new();
    let batch = || vec![line(0, json!({"type": "task_started"})), end(100, "turn-1", TurnOutcome::Completed)];
    assert_eq!(db.append(0, 200, batch()), Some(Appended { new_facts: 1, receipts: 0 }));
    assert_eq!(db.append(0, 200, batch()), None, "somebody else has read these bytes");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM codex_events"), 2);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM telemetry_events"), 1);
    assert_eq!(db.value::<i64>("SELECT last_ingest_offset FROM sessions"), 200);
    let cursor = db.cursor();
    assert_eq!((cursor.offset, cursor.open_turn, cursor.behind), (200, None, false));
    let fact = db.fact();
    assert_eq!((fact.outcome, fact.event_id, fact.error), (TurnOutcome::Completed, Some(2), None));
    assert_eq!((fact.thread_id.as_str(), fact.key), ("thread-1", TurnKey::Id("turn-1".into())));
}

#[test]
fn a_batch_of_another_file_or_of_a_session_that_is_gone_changes_nothing() {
    let db = Db::new();
    let other = AppendRollout { path: "/r/other.jsonl".into(), ..append(0, 9, vec![]) };
    assert_eq!(other.run(&db.conn).unwrap(), None);
    db.execute("UPDATE sessions SET state = 'gone'");
    assert_eq!(db.append(0, 9, vec![]), None);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM telemetry_events"), 0);
}

#[test]
fn a_later_registration_reads_again_but_a_turn_stays_one_fact() {
    let db = Db::new();
    let batch =
        || vec![end(0, "turn-1", TurnOutcome::Completed), end(50, "offset:50", TurnOutcome::Interrupted)];
    assert_eq!(db.append(0, 99, batch()).unwrap().new_facts, 2);
    for _ in 0..2 {
        db.execute("UPDATE sessions SET last_ingest_offset = NULL");
        assert_eq!((db.cursor().offset, db.cursor().behind), (0, false));
        assert_eq!(db.append(0, 99, batch()).unwrap().new_facts, 0);
    }
    assert_eq!(db.facts(), 2);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM codex_events"), 6);
}

#[test]
fn what_was_read_is_told_of_when_a_turn_ends_or_somebody_asked() {
    let db = Db::new();
    let told = || {
        db.value::<String>(
            "SELECT COALESCE(group_concat(attributes_json, ' '), '') FROM telemetry_events WHERE event_type = 'codex_events_ingested'",
        )
    };
    let plain = |from| append(from, from + 10, vec![line(from, json!({"type": "token_count"}))]);
    let mut bad = plain(10);
    bad.skipped_lines = 2;
    for batch in [plain(0), bad] {
        batch.run(&db.conn).unwrap().unwrap();
        assert_eq!(told(), "");
    }
    let more_to_come = AppendRollout { at_end: false, asked: true, ..plain(20) };
    more_to_come.run(&db.conn).unwrap().unwrap();
    assert_eq!(told(), "");
    db.append(30, 40, vec![end(30, "turn-1", TurnOutcome::Completed)]).unwrap();
    let turn = r#"{"new_events":4,"new_offset":40,"skipped_lines":2,"start_offset":0}"#;
    assert_eq!(told(), turn);
    AppendRollout { asked: true, ..append(40, 40, vec![]) }.run(&db.conn).unwrap().unwrap();
    let asked = r#"{"new_events":0,"new_offset":40,"skipped_lines":0,"start_offset":40}"#;
    assert_eq!(told(), format!("{turn} {asked}"));
}

#[test]
fn the_open_turn_is_kept_between_batches() {
    let db = Db::new();
    for turn in [TurnKey::Id("a".into()), TurnKey::Offset(40)] {
        let offset = db.cursor().offset;
        let batch = AppendRollout {
            open_turn: Some(turn.clone()),
            skipped_lines: 2,
            ..append(offset, offset + 60, vec![ReadLine { ordinal: Some(7), ..line(offset, json!({})) }])
        };
        batch.run(&db.conn).unwrap().expect("appended");
        assert_eq!(db.cursor().open_turn, Some(turn));
    }
    let counts = "SELECT last_ordinal || ' ' || skipped_lines FROM rollout_cursors";
    assert_eq!(db.value::<String>(counts), "7 4");
}

#[test]
fn turns_that_another_program_read_become_facts() {
    let db = Db::new();
    db.append(0, 10, vec![end(0, "ours", TurnOutcome::Completed)]).unwrap();
    for (offset, subtype, payload) in [
        (10, "task_complete", r#"{"type":"task_complete","turn_id":"theirs","error":null}"#),
        (20, "task_complete", r#"{"type":"task_complete","turn_id":"bad","error":{"message":"no"}}"#),
        (30, "turn_aborted", r#"{"type":"turn_aborted"}"#),
    ] {
        let sql = "INSERT INTO codex_events (session_id, timestamp, type, subtype, payload_json, byte_offset, ingested_at)
                   VALUES ('session-1', 'now', 'event_msg', ?1, ?2, ?3, 'now')";
        db.conn.execute(sql, (subtype, payload, offset)).unwrap();
    }
    db.execute("UPDATE sessions SET last_ingest_offset = 40");
    assert!(db.cursor().behind);
    assert_eq!(db.append(40, 40, vec![]).unwrap().new_facts, 3);
    assert!(!db.cursor().behind);
    let told = "SELECT group_concat(turn_key || ' ' || outcome || ' ' || COALESCE(error_json, ''), '; ') FROM turn_facts WHERE id > 1";
    assert_eq!(
        db.value::<String>(told),
        r#"theirs completed ; bad failed {"message":"no"}; offset:30 interrupted "#
    );
}

#[test]
fn a_failed_turn_keeps_its_error_and_a_dead_one_says_so() {
    let db = Db::new();
    let failed = Meaning::TurnEnded {
        key: TurnKey::Id("a".into()),
        outcome: TurnOutcome::Failed,
        error: Some(json!({"message": "quota"})),
        silent: true,
    };
    db.append(0, 10, vec![ReadLine { meaning: Some(failed), ..line(0, json!({"type": "task_complete"})) }]);
    assert_eq!(db.fact().error, Some(json!({"message": "quota"})));
    let died = Meaning::TurnDied(TurnKey::Id("b".into()));
    db.append(10, 20, vec![ReadLine { meaning: Some(died), ..line(10, json!({"type": "task_started"})) }]);
    let fact = db.fact();
    assert_eq!((fact.outcome, fact.event_id), (TurnOutcome::Failed, None));
    assert!(fact.error.unwrap()["message"].as_str().unwrap().contains("stopped"));
}

#[test]
fn an_error_fails_the_silent_end_after_it_even_when_they_are_read_apart() {
    let check = |payloads: &[Value], expect: TurnOutcome| {
        let db = Db::new();
        for (at, payload) in payloads.iter().enumerate() {
            let (from, to) = (at as u64 * 10, at as u64 * 10 + 10);
            let mut read = line(from, payload.clone());
            if payload["type"] == "task_complete" {
                read.meaning = Some(Meaning::TurnEnded {
                    key: TurnKey::Offset(from),
                    outcome: TurnOutcome::Completed,
                    error: None,
                    silent: payload["last_agent_message"].is_null(),
                });
            }
            db.append(from, to, vec![read]).unwrap();
        }
        assert_eq!(db.fact().outcome, expect, "{payloads:?}");
    };
    let start = json!({"type": "task_started"});
    let error = json!({"type": "error", "message": "no quota"});
    let silent_end = json!({"type": "task_complete"});
    let end = json!({"type": "task_complete", "last_agent_message": "done"});
    check(&[start.clone(), error.clone(), silent_end.clone()], TurnOutcome::Failed);
    check(&[start.clone(), error.clone(), end.clone()], TurnOutcome::Completed);
    check(&[error.clone(), start, silent_end.clone()], TurnOutcome::Completed);
    check(&[error, end, silent_end], TurnOutcome::Completed);
}

#[test]
fn json_deeper_than_sqlite_follows_still_counts() {
    let db = Db::new();
    let deep = format!("{{\"type\":\"task_complete\",\"x\":{}{}}}", "[".repeat(2000), "]".repeat(2000));
    let mut read = end(0, "turn-1", TurnOutcome::Completed);
    read.event.payload = deep;
    assert_eq!(db.append(0, 10, vec![read]).unwrap().new_facts, 1);
    assert_eq!(db.value::<String>("SELECT subtype || payload_json FROM codex_events"), "task_complete{}");
}

#[test]
fn the_newest_events_tell_what_a_session_does() {
    let db = Db::new();
    let told = || codex_events::told(&db.conn, "session-1").unwrap();
    assert_eq!(told(), codex_events::Told::default());
    let check = |offset: u64, subtype: Option<&str>, activity: Activity| {
        let payload = subtype.map_or(json!({}), |subtype| json!({"type": subtype}));
        db.append(offset, offset + 1, vec![line(offset, payload)]).unwrap();
        let told = told();
        assert_eq!((told.activity, told.last_subtype.as_deref()), (activity, subtype), "{subtype:?}");
        assert_eq!(told.state_event_at.is_some(), activity != Activity::Unknown);
    };
    check(0, None, Activity::Unknown);
    check(1, Some("task_started"), Activity::Busy);
    check(2, Some("token_count"), Activity::Busy);
    check(3, Some("turn_aborted"), Activity::Idle);
    check(4, Some("user_message"), Activity::Busy);
    check(5, Some("task_complete"), Activity::Idle);
    check(6, None, Activity::Idle);
}

/// The state of delivery 1 after `read` arrived, when it was pushed by `transport` and is `state`.
fn check_receipt(transport: &str, state: &str, read: ReadLine, expect: &str) {
    let db = Db::new();
    db.execute(&format!(
        "INSERT INTO deliveries (source, target_session_id, transport, state, fence, client_message_id, correlation_id, claimed_at, started_at, sent_at, settled_at, error)
         VALUES ('nudge', 'session-1', '{transport}', '{state}', 1, 'message-1', 'dispatch-1', 'now', 'now',
                 IIF('{state}' = 'sent', 'now', NULL), IIF('{state}' = 'failed', 'now', NULL), IIF('{state}' = 'failed', 'no', NULL))"
    ));
    let appended = db.append(0, 10, vec![read.clone()]).unwrap();
    let receipts = usize::from(expect == "observed");
    assert_eq!(appended.receipts, receipts, "{transport} {state} {read:?}");
    assert_eq!(db.value::<String>("SELECT state FROM deliveries"), expect, "{transport} {state} {read:?}");
    assert_eq!(
        db.value::<Option<i64>>("SELECT receipt_event_id FROM deliveries"),
        (receipts == 1).then_some(1)
    );
}

#[test]
fn an_arrived_text_proves_the_delivery_that_sent_it() {
    let exact = || arrived(0, Some("message-1"), None);
    let header = || arrived(0, Some("made-by-the-terminal"), Some(("dispatch-1", 1)));
    for state in ["started", "sent", "unknown"] {
        check_receipt("app_server", state, exact(), "observed");
        check_receipt("tmux", state, header(), "observed");
        check_receipt("codex_queue", state, header(), "observed");
        check_receipt("app_server", state, header(), state);
        check_receipt("tmux", state, arrived(0, None, Some(("dispatch-1", 2))), state);
        check_receipt("tmux", state, arrived(0, None, Some(("of-another-database", 1))), state);
        check_receipt("tmux", state, arrived(0, None, None), state);
    }
    check_receipt("app_server", "failed", exact(), "failed");
}

#[test]
fn of_texts_with_one_correlation_id_each_proves_its_own_delivery() {
    let db = Db::new();
    for _ in 0..2 {
        db.execute(
            "INSERT INTO deliveries (source, target_session_id, transport, state, fence, correlation_id, claimed_at, started_at, sent_at)
             VALUES ('nudge', 'session-1', 'tmux', 'sent', 1, 'c', 'now', 'now', 'now')",
        );
    }
    let states = "SELECT group_concat(state, ' ') FROM (SELECT state FROM deliveries ORDER BY id)";
    let arrives = || arrived(0, None, Some(("c", 2)));
    db.append(0, 10, vec![arrives(), arrives()]);
    assert_eq!(db.value::<String>(states), "sent observed");
    db.append(10, 20, vec![arrived(10, None, Some(("c", 1)))]);
    assert_eq!(db.value::<String>(states), "observed observed");
}

/// Steps of SQLite's virtual machine that `work` takes.
fn steps(db: &Db, work: impl Fn(&Connection)) -> usize {
    let steps = Arc::new(AtomicUsize::new(0));
    let counter = steps.clone();
    let count = move || {
        counter.fetch_add(1, Ordering::Relaxed);
        false
    };
    db.conn.progress_handler(1, Some(count)).unwrap();
    work(&db.conn);
    db.conn.progress_handler(0, None::<fn() -> bool>).unwrap();
    steps.load(Ordering::Relaxed)
}

#[test]
fn what_every_cycle_asks_takes_no_longer_with_a_long_history() {
    let db = Db::new();
    let ask = |conn: &Connection| {
        codex_events::told(conn, "session-1").unwrap();
        codex_events::newest_of(conn, "session-1", "task_complete").unwrap().unwrap();
        turn_facts::latest(conn, "session-1").unwrap().unwrap();
        GetCursor("session-1".into()).run(conn).unwrap();
    };
    let grow = |events: u64| {
        let offset = db.cursor().offset;
        let ends =
            (offset..offset + events).map(|at| end(at, &format!("offset:{at}"), TurnOutcome::Completed));
        db.append(offset, offset + events, ends.collect()).unwrap();
    };
    grow(10);
    let short = steps(&db, ask);
    grow(2000);
    let long = steps(&db, ask);
    assert!(long <= short, "{short} steps became {long}");
}
