//! Tests of the replay.

use serde_json::json;

use super::*;
use crate::domain::{Decision, TurnOutcome};
use crate::store::codex_events::{self, NewEvent};
use crate::store::decisions::RecordDecision;
use crate::store::dispatch::ClaimNudge;
use crate::store::history::{FindQuiet, ReadHistory};
use crate::store::page::Page;
use crate::store::testing::TestDb;

const DAY: &str = "2026-05-11";

fn options(format: ReplayFormat) -> ReplayOptions {
    ReplayOptions { format, role: ReplayRole::All, limit: None, include_content: false }
}

fn history(db: &TestDb, limit: u32, include_content: bool) -> History {
    let page = Page { limit, ..Page::default() };
    db.read(ReadHistory { task: "t1".into(), page, include_content })
}

fn replay(db: &TestDb, options: &ReplayOptions) -> Replay {
    Replay::of(history(db, 100, options.include_content), options)
}

fn told(replay: &Replay) -> Vec<&str> {
    replay.entries.iter().map(|entry| entry.summary.as_str()).collect()
}

/// A task with a fact in the mailbox, a decision and a turn that failed, on one morning.
fn database() -> TestDb {
    let mut db = TestDb::new();
    let pair = db.pair("t1");
    db.deliver(&pair, "keep going");
    db.fact(&pair, "turn-1", TurnOutcome::Failed);
    db.write(RecordDecision {
        task: "t1".into(),
        decision: Decision::Nudge,
        reason: "it stopped".into(),
        cycle_id: None,
        payload: serde_json::Map::new(),
    })
    .unwrap();
    db.conn
        .execute_batch(&format!(
            "UPDATE bindings SET created_at = '{DAY}T00:00:00.000Z';
             UPDATE turn_facts SET recorded_at = '{DAY}T06:00:00.000Z';
             UPDATE routed_notifications SET created_at = '{DAY}T06:00:01Z';
             UPDATE manager_decisions SET created_at = '{DAY}T06:00:01.500Z';"
        ))
        .unwrap();
    db
}

#[test]
fn a_timeline_tells_each_thing_once_and_in_its_order() {
    let db = database();
    let timeline = replay(&db, &options(ReplayFormat::Timeline));
    assert_eq!(
        told(&timeline),
        [
            "a turn of t1-w fails: it does not say why",
            "tells t1-w: nudge_worker of t1-m, delivered",
            "decision nudge: it stopped",
            "task created: Ship it",
        ]
    );
    assert_eq!((timeline.entry_count, timeline.older_until), (4, None));
    assert_eq!(timeline.entries[0].severity, Severity::Error);
}

#[test]
fn a_direct_nudge_is_told_once() {
    let mut db = database();
    db.write(ClaimNudge { session: "t1-w".into(), from_thread: None, text: "go on".into() }).unwrap();
    let count = || {
        let timeline = replay(&db, &options(ReplayFormat::Timeline));
        timeline.entries.iter().filter(|entry| entry.kind == "delivery").count()
    };
    let with_its_task = count();
    db.conn.execute("UPDATE deliveries SET task_id = NULL WHERE source = 'nudge'", []).unwrap();
    assert_eq!((with_its_task, count()), (1, 1), "found by its task or by its session");
}

#[test]
fn a_record_has_none_of_our_own_rows() {
    let db = database();
    for format in [ReplayFormat::Compact, ReplayFormat::Transcript] {
        let sources = replay(&db, &options(format)).entries.into_iter().map(|entry| entry.source);
        let sources: Vec<String> = sources.collect();
        assert_eq!(sources, ["routed_notifications", "correlation_chains", "manager_decisions"], "{format}");
    }
}

#[test]
fn messages_are_shown_only_when_they_were_asked_for() {
    let db = database();
    let mut options = options(ReplayFormat::Timeline);
    let message = |options: &ReplayOptions| replay(&db, options).entries[1].details.clone();
    assert_eq!(message(&options)["message_redacted"], true);
    assert_eq!(message(&options).get("message"), None);
    options.include_content = true;
    assert_eq!(message(&options)["message"], "keep going");

    options.format = ReplayFormat::FullTranscript;
    assert!(options.check().is_ok());
    options.include_content = false;
    assert!(options.check().is_err());
}

#[test]
fn a_role_or_a_limit_leaves_entries_out_and_says_where_to_go_on() {
    let db = database();
    let cut = |role, limit| {
        let options = ReplayOptions { role, limit, ..options(ReplayFormat::Timeline) };
        let replay = replay(&db, &options);
        (replay.entry_count, replay.older_until)
    };
    assert_eq!(cut(ReplayRole::Manager, None), (1, None));
    assert_eq!(cut(ReplayRole::Reviewer, None), (0, None));
    let (count, until) = cut(ReplayRole::All, Some(2));
    assert_eq!((count, until.as_deref()), (2, Some("2026-05-11T06:00:01.500Z")));
}

#[test]
fn pages_follow_each_other_without_a_gap() {
    let db = database();
    let newest = |until: &Option<String>| {
        let until = until.as_deref().and_then(parse_iso);
        let page = Page { limit: 1, since: None, until };
        let history = db.read(ReadHistory { task: "t1".into(), page, include_content: false });
        let options = ReplayOptions { limit: Some(1), ..options(ReplayFormat::Timeline) };
        let replay = Replay::of(history, &options);
        (replay.entries.first().map(|entry| entry.summary.clone()), replay.older_until)
    };
    let mut summaries = Vec::new();
    let mut until = None;
    for _ in 0..9 {
        let (summary, next) = newest(&until);
        summaries.extend(summary);
        until = next;
        if until.is_none() {
            break;
        }
    }
    summaries.reverse();
    assert_eq!(summaries, told(&replay(&db, &options(ReplayFormat::Timeline))));
}

#[test]
fn the_workers_silence_is_told_with_what_it_was_at() {
    let mut db = TestDb::new();
    let pair = db.pair("t1");
    db.conn
        .execute_batch(&format!(
            "UPDATE bindings SET created_at = '{DAY}T00:00:00.000Z';
             DROP TRIGGER events_no_update;
             UPDATE events SET created_at = '{DAY}T01:00:00.000Z';"
        ))
        .unwrap();
    let happens = |subtype: &str, at: &str| {
        let event = NewEvent {
            byte_offset: 0,
            timestamp: Some(format!("{DAY}T{at}.000Z")),
            kind: "event_msg".into(),
            subtype: Some(subtype.into()),
            payload: json!({ "type": subtype }).to_string(),
        };
        codex_events::insert(&db.conn, &pair.worker.id, &event, "now").unwrap();
    };
    let silences = |until: &str| {
        let mut timeline = replay(&db, &options(ReplayFormat::Timeline));
        let gaps = gaps(&timeline, &format!("{DAY}T{until}.000Z"));
        let task_id = timeline.task.id.clone();
        let found = db.read(FindQuiet { task_id, gaps: gaps.clone() });
        tell_silence(&mut timeline, &gaps, &found);
        let silences = timeline.entries.into_iter().filter(|entry| entry.kind == "silence");
        silences.map(|entry| format!("{} {}", &entry.timestamp[11..19], entry.summary)).collect::<Vec<_>>()
    };
    assert_eq!(silences("01:30:00"), [""; 0], "it has not begun yet");
    happens("task_started", "01:00:00");
    happens("agent_message", "01:02:00");
    assert_eq!(silences("01:06:00"), [""; 0], "not for long");
    assert_eq!(silences("01:30:00"), ["01:02:00 t1-w is silent for 28m00s in the middle of its turn"]);
    happens("task_complete", "01:10:00");
    assert_eq!(silences("02:30:00"), ["01:10:00 t1-w is idle for 1h20m"]);
}
