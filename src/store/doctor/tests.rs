//! The report: its shape, and that it names what is wrong.

use serde_json::json;

use super::*;
use crate::store::{Change, open};

/// The report of the database in `directory` after `change`.
fn report_after(directory: &Path, change: &str) -> DbReport {
    let path = directory.join("workerctl.db");
    let conn = open::writer(&path).unwrap();
    conn.execute_batch(change).unwrap();
    Doctor { path, extent: Extent::Bounded }.run(&conn).unwrap()
}

#[test]
fn a_new_database_is_healthy_and_its_report_has_the_documented_shape() {
    let directory = tempfile::tempdir().unwrap();
    let report = report_after(directory.path(), "");
    let mut shown = serde_json::to_value(&report).unwrap();
    let size = shown.as_object_mut().unwrap().remove("size").unwrap();
    assert_eq!(
        shown,
        json!({
            "checks": [
                { "name": "foreign_keys", "ok": true, "value": 1 },
                { "name": "journal_mode_wal", "ok": true, "value": "wal" },
                { "name": "busy_timeout", "ok": true, "value": 5000 },
                { "name": "schema_version", "ok": true, "value": 22 },
                { "name": "user_version", "ok": true, "value": 22 },
                { "name": "required_tables", "ok": true, "missing": [] },
                { "name": "required_indexes", "ok": true, "missing": [] },
                { "name": "required_triggers", "ok": true, "missing": [] },
                { "name": "foreign_key_check", "ok": true, "violations": [] },
            ],
            "full_text": { "events": 0, "indexed": 0, "ok": true },
            "integrity": { "ok": true, "problems": [] },
            "ok": true,
            "path": directory.path().join("workerctl.db"),
            "schema_version": 22,
            "undecided": { "dead_letters": 0, "unknown_deliveries": 0 },
            "user_version": 22,
            "whole_file": { "checked": true, "last": null },
        })
    );
    assert!(size["database_bytes"].as_i64() > Some(100_000), "{size}");
    let back: DbReport = serde_json::from_value(serde_json::to_value(&report).unwrap()).unwrap();
    assert_eq!(back, report);
}

#[test]
fn a_reader_connection_reports_the_same_settings() {
    let directory = tempfile::tempdir().unwrap();
    let from_writer = report_after(directory.path(), "");
    let path = from_writer.path.clone();
    let reader = open::reader_pool(&path, 1).get().unwrap();
    let doctor = Doctor { path, extent: Extent::Bounded };
    assert_eq!(doctor.run(&reader).unwrap().checks, from_writer.checks);
}

#[test]
fn what_others_wrote_since_a_connection_looked_last_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let path = report_after(directory.path(), "").path;
    let (writer, reader) = (open::writer(&path).unwrap(), open::reader_pool(&path, 1).get().unwrap());
    for event in 0..20 {
        let sql = "INSERT INTO telemetry_events_fts (event_id, event_type, summary) VALUES (?1, 'x', ?1 || ' was seen')";
        writer.execute(sql, [event]).unwrap();
        let doctor = Doctor { path: path.clone(), extent: Extent::Bounded };
        assert_eq!(doctor.run(&reader).unwrap().integrity.problems, [""; 0], "after event {event}");
    }
}

#[test]
fn every_part_agent_conveyor_requires_is_required_here() {
    let fixture: Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/contract/schema_22.json")).unwrap();
    let mut new = Connection::open_in_memory().unwrap();
    schema::prepare(&mut new).unwrap();
    for (kind, key) in [("table", "tables"), ("index", "indexes"), ("trigger", "triggers")] {
        let ours = names(&new, kind).unwrap();
        for required in fixture["doctor_required"][key].as_array().unwrap() {
            assert!(ours.iter().any(|name| Some(name.as_str()) == required.as_str()), "{required}");
        }
    }
}

#[test]
fn what_is_missing_or_broken_is_named() {
    fn check(change: &str, failing: &str, expected: Value) {
        let directory = tempfile::tempdir().unwrap();
        let report = report_after(directory.path(), change);
        assert!(!report.ok, "{change}");
        let bad: Vec<Value> =
            report.checks.iter().filter(|check| !check.ok).map(|check| json!(check)).collect();
        let [bad] = bad.as_slice() else { panic!("{change}: {bad:?}") };
        assert_eq!(bad["name"], failing);
        assert_eq!(bad.get("missing").or(bad.get("violations")).or(bad.get("value")), Some(&expected));
    }
    check("DROP INDEX one_active_run_per_task", "required_indexes", json!(["one_active_run_per_task"]));
    check("DROP INDEX deliveries_state", "required_indexes", json!(["deliveries_state"]));
    check("DROP TRIGGER events_no_delete", "required_triggers", json!(["events_no_delete"]));
    check("DROP TABLE telemetry_events_fts", "required_tables", json!(["telemetry_events_fts"]));
    check("DROP TABLE dispatcher_heartbeats", "required_tables", json!(["dispatcher_heartbeats"]));
    check("DELETE FROM schema_migrations", "schema_version", json!(0));
    check("PRAGMA user_version = 21", "user_version", json!(21));
    check("PRAGMA foreign_keys = OFF", "foreign_keys", json!(0));
    check(
        "PRAGMA foreign_keys = OFF;
         INSERT INTO worker_handoffs (task_id, summary, next_steps_json, payload_json, created_at)
         VALUES ('nothing', 's', '[]', '{}', 't');
         PRAGMA foreign_keys = ON",
        "foreign_key_check",
        json!([{ "table": "worker_handoffs", "rowid": 1, "parent": "tasks" }]),
    );
}

#[test]
fn an_index_that_later_versions_added_is_not_required() {
    let directory = tempfile::tempdir().unwrap();
    assert!(report_after(directory.path(), "DROP INDEX routed_notifications_consumed_cycle").ok);
}

#[test]
fn telemetry_that_cannot_be_found_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let report = report_after(
        directory.path(),
        "INSERT INTO telemetry_events
             (id, timestamp, actor, event_type, severity, summary, correlation_json, attributes_json)
         VALUES ('e', 't', 'system', 'x', 'info', 's', '{}', '{}')",
    );
    assert_eq!(report.full_text, FullText { events: 1, indexed: 0, ok: false });
    assert!(!report.ok);
}

#[test]
fn damaged_pages_are_reported_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("workerctl.db");
    let insert = "INSERT INTO tasks (id, name, goal, state, created_at, updated_at)
                  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                  SELECT 'task-' || i, 't' || i, hex(zeroblob(200)), 'done', 't', 't' FROM n";
    report_after(directory.path(), insert);
    let root: i64 = open::writer(&path)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'tasks'", [], |row| row.get(0))
        .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let page = usize::try_from(root).unwrap();
    bytes[(page - 1) * 4096..page * 4096].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();

    let report = report_after(directory.path(), "");
    assert!(!report.ok && !report.integrity.ok, "{report:?}");
    assert!(!report.integrity.problems.is_empty());
    assert!(std::fs::read(&path).unwrap() == bytes, "the damaged file was changed");
}

#[test]
fn a_large_file_is_looked_at_in_part_until_all_of_it_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("workerctl.db");
    let mut conn = open::writer(&path).unwrap();
    // An event from long ago that cannot be found, and much after it.
    conn.execute_batch(
        "INSERT INTO telemetry_events (id, timestamp, actor, event_type, severity, summary, correlation_json, attributes_json)
         VALUES ('lost', 't', 'system', 'x', 'info', 's', '{}', '{}');
         INSERT INTO telemetry_events (id, timestamp, actor, event_type, severity, summary, correlation_json, attributes_json)
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
         SELECT i, 't', 'system', 'x', 'info', hex(zeroblob(50000)), '{}', '{}' FROM n;
         INSERT INTO telemetry_events_fts (event_id, event_type, summary) SELECT id, 'x', '' FROM telemetry_events WHERE id <> 'lost'",
    )
    .unwrap();
    let look = |conn: &Connection, extent| Doctor { path: path.clone(), extent }.run(conn).unwrap();
    let part = look(&conn, Extent::Bounded);
    assert!(part.ok && !part.whole_file.checked, "{part:?}");
    assert!(part.whole_file.hint.as_ref().unwrap().contains("--full"));

    let whole = look(&conn, Extent::Whole { tell: |_| () });
    assert_eq!((whole.ok, whole.whole_file.checked), (false, true));
    assert_eq!((whole.full_text.events, whole.full_text.indexed), (101, 100));

    let tx = conn.transaction().unwrap();
    let found = RecordFileCheck { ok: false, took_ms: 7, database_bytes: whole.size.database_bytes };
    found.run(&tx).unwrap();
    tx.commit().unwrap();
    let later = look(&conn, Extent::Bounded);
    let last = later.whole_file.last.as_ref().unwrap();
    assert_eq!((later.ok, last.ok, last.took_ms), (false, false, 7));
}

#[test]
fn what_is_seen_of_the_sessions_counts_too() {
    let directory = tempfile::tempdir().unwrap();
    let live = LiveReport { manager_liveness_warnings: vec![], ok: false, results: vec![] };
    let report = report_after(directory.path(), "").with_live(live);
    assert!(!report.ok);
    assert_eq!(report.checks.last().map(|check| check.name.as_str()), Some("live_reconcile"));
    let back: DbReport = serde_json::from_value(serde_json::to_value(&report).unwrap()).unwrap();
    assert_eq!(back, report);
}
