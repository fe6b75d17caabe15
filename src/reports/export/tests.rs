//! What is in a bundle, and what is not.

use serde_json::Value;

use super::*;
use crate::domain::transcript::CaptureMode;
use crate::store::testing::TestDb;
use crate::store::transcripts::RecordCapture;

fn database() -> TestDb {
    let mut db = TestDb::new();
    let pair = db.pair("t1");
    let other = db.pair("t2");
    db.deliver(&pair, "the message");
    db.deliver(&other, "of another");
    for (session, text) in
        [(&pair.worker, "a shown line"), (&pair.worker, "a shown line\nand one"), (&pair.manager, "managing")]
    {
        let record = RecordCapture {
            task: pair.task.clone(),
            session: session.clone(),
            pane_id: "%1".into(),
            history_lines: 200,
            mode: CaptureMode::Segment,
            text: text.into(),
        };
        db.write(record).unwrap();
    }
    db.conn
        .execute(
            "INSERT INTO manager_cycles (task_id, started_at, state, status_json) VALUES (?1, '2026-01-01T00:00:00.000Z', 'succeeded', ?2)",
            (&pair.task.id, r#"{"manager_context": {"worker_receipt": {"last_agent_message": "said this"}}}"#),
        )
        .unwrap();
    db
}

fn read(db: &TestDb, texts: Texts) -> Bundle {
    db.read(ReadBundle { task: "t1".into(), texts, now: Timestamp::now() })
}

fn member<'a>(bundle: &'a Bundle, name: &str) -> &'a str {
    &bundle.members.iter().find(|member| member.name == name).unwrap().text
}

fn json_of(bundle: &Bundle, name: &str) -> Value {
    serde_json::from_str(member(bundle, name)).unwrap()
}

const DOCUMENTED: [&str; 15] = [
    "acceptance-criteria.json",
    "agent-observations.json",
    "audit.json",
    "manager-cycle-spans.json",
    "manager-cycles.json",
    "manager-decisions.json",
    "mutation-audit.json",
    "prompts.json",
    "replay.json",
    "task-status.json",
    "telemetry-events.json",
    "telemetry-report.md",
    "telemetry-summary.json",
    "terminal-captures.json",
    "transcript-captures.json",
];

#[test]
fn a_bundle_has_every_file_and_no_text_that_nobody_asked_for() {
    let db = database();
    let bundle = read(&db, Texts::default());
    let manifest = manifest(&bundle, Texts::default(), &vec!["h".to_owned(); bundle.members.len()]);
    assert_eq!(manifest["files"], json!(DOCUMENTED));
    assert_eq!(manifest["audit_lists"], json!(AUDIT_LISTS));
    assert_eq!(manifest["sha256"].as_object().unwrap().len(), DOCUMENTED.len() + AUDIT_LISTS.len());
    for member in &bundle.members {
        for text in ["the message", "of another", "a shown line", "managing", "said this", "session-token-"] {
            assert!(!member.text.contains(text), "{text} in {}", member.name);
        }
    }
    let notification = &json_of(&bundle, "routed-notifications.json")[0];
    assert_eq!(notification["payload"]["message_byte_count"], "the message".len());
    assert_eq!(json_of(&bundle, "terminal-captures.json").as_array().unwrap().len(), 3);
    assert_eq!(json_of(&bundle, "task-status.json")["worker"]["name"], "t1-w");
    assert!(member(&bundle, "telemetry-report.md").starts_with("# Telemetry of task t1\n"));
}

#[test]
fn texts_are_there_for_who_asks() {
    let db = database();
    let transcripts = read(&db, Texts { transcripts: true, ..Texts::default() });
    assert!(member(&transcripts, "transcript-segments.json").contains("and one"));
    assert!(!member(&transcripts, "audit.json").contains("the message"));
    assert!(transcripts.members.iter().all(|member| !member.name.starts_with("transcripts/")));

    let full = read(&db, Texts { full_transcripts: true, ..Texts::default() });
    let worker = member(&full, "transcripts/worker.txt");
    assert!(
        worker.ends_with("\nand one\n") && worker.starts_with("--- 20") && !worker.contains("managing"),
        "{worker}"
    );
    assert!(member(&full, "replay-full-transcript.json").contains("a shown line"));
    assert!(!member(&full, "replay.json").contains("a shown line"));

    let content = read(&db, Texts { content: true, ..Texts::default() });
    for (name, text) in [
        ("audit.json", "the message"),
        ("terminal-captures.json", "a shown line"),
        ("manager-cycles.json", "said this"),
    ] {
        assert!(member(&content, name).contains(text), "{name}");
    }
    assert!(!member(&content, "task-status.json").contains("session-token-"));
}

#[test]
fn a_task_that_was_never_bound_can_be_exported_and_an_unknown_one_not() {
    let mut db = TestDb::new();
    db.task("t1");
    let bundle = read(&db, Texts { full_transcripts: true, ..Texts::default() });
    assert_eq!(
        (json_of(&bundle, "task-status.json")["binding"].clone(), member(&bundle, "transcripts/worker.txt")),
        (Value::Null, "")
    );
    let unknown = ReadBundle { task: "t2".into(), texts: Texts::default(), now: Timestamp::now() };
    assert!(unknown.run(&db.conn).is_err());
}
