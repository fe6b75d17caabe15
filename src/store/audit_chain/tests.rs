//! Tests of the hash chain.

use serde_json::Map;

use super::*;
use crate::domain::command::QueuedCommand;
use crate::domain::transcript::CaptureMode;
use crate::domain::{Decision, FailureKind};
use crate::store::bindings::BoundTask;
use crate::store::captures::{self, NewCapture};
use crate::store::decisions::RecordDecision;
use crate::store::deliveries::{self, NewDelivery, Source};
use crate::store::testing::TestDb;
use crate::store::transcripts::PruneTranscript;
use crate::store::{Change, Query};

/// A database whose changes are sealed as the writer does it, and a connection that knows nothing of it.
struct Desk {
    db: TestDb,
    seal: Seal,
    pair: BoundTask,
}

impl Desk {
    fn new() -> Self {
        let mut db = TestDb::new();
        let seal = Seal::watch(&db.conn).unwrap();
        let pair = db.pair("t1");
        db.deliver(&pair, "go on");
        seal.append(&db.conn).unwrap();
        let mut desk = Self { db, seal, pair };
        desk.write(decide("it stopped"));
        desk
    }

    fn write<C: Change<Out: std::fmt::Debug>>(&mut self, change: C) {
        self.db.write(change).unwrap();
        self.seal.append(&self.db.conn).unwrap();
    }

    /// Writes as anybody with the file can.
    fn behind_the_back(&self, sql: &str) {
        rusqlite::Connection::open(self.db.path()).unwrap().execute_batch(sql).unwrap();
    }

    fn verdict(&self) -> Verdict {
        VerifyChain::default().run(&self.db.conn).unwrap()
    }

    /// `trouble table row columns` of each finding.
    fn findings(&self) -> Vec<String> {
        let tell = |finding: Finding| {
            let Finding { trouble, table, row, columns, .. } = finding;
            format!("{trouble} {table} {row} {}", columns.join(",")).trim_end().to_owned()
        };
        self.verdict().findings.into_iter().map(tell).collect()
    }
}

fn decide(reason: &str) -> RecordDecision {
    RecordDecision {
        task: "t1".into(),
        decision: Decision::Nudge,
        reason: reason.into(),
        cycle_id: None,
        payload: Map::new(),
    }
}

#[test]
fn a_record_that_nobody_touched_is_whole() {
    let desk = Desk::new();
    let verdict = desk.verdict();
    assert_eq!((verdict.ok, &*verdict.findings, &*verdict.outside), (true, &[][..], &[][..]));
    // The task, its event, the message, the decision and its event.
    assert_eq!((verdict.links, verdict.head.as_ref().unwrap().link), (5, 5));
    let noted = VerifyChain { head: verdict.head.clone() };
    assert!(noted.run(&desk.db.conn).unwrap().ok);
}

#[test]
fn a_row_that_was_altered_is_named_with_what_differs() {
    let check = |sql: &str, expect: &[&str]| {
        let desk = Desk::new();
        desk.behind_the_back(sql);
        assert_eq!(desk.findings(), expect, "{sql}");
    };
    check("UPDATE manager_decisions SET reason = 'all is well'", &["altered manager_decisions 1 reason"]);
    check(
        "UPDATE routed_notifications SET payload_json = '{}', signal_type = 'x'",
        &["altered routed_notifications 1 signal_type,payload_json"],
    );
    check(
        "DROP TRIGGER events_no_update; UPDATE events SET actor = 'nobody' WHERE id = 2",
        &["altered events 2 actor"],
    );
    check("DROP TRIGGER events_no_delete; DELETE FROM events WHERE id = 1", &["deleted events 1"]);
    check("DELETE FROM manager_decisions", &["deleted manager_decisions 1"]);
    // A state that is still on its way is no record yet.
    check("UPDATE routed_notifications SET state = 'failed'", &[]);
}

#[test]
fn a_chain_that_was_altered_is_broken_where_it_was() {
    let check = |sql: &str, expect: &[&str]| {
        let desk = Desk::new();
        desk.behind_the_back(sql);
        assert_eq!(desk.findings(), expect, "{sql}");
    };
    check("UPDATE audit_chain SET at = 'then' WHERE id = 2", &["chain_broken audit_chain 2"]);
    check("DELETE FROM audit_chain WHERE id = 3", &["chain_broken audit_chain 4"]);
}

#[test]
fn a_chain_that_was_cut_off_is_found_by_who_noted_its_head() {
    let desk = Desk::new();
    let head = desk.verdict().head;
    desk.behind_the_back(
        "DELETE FROM manager_decisions; DELETE FROM audit_chain WHERE table_name = 'manager_decisions'
         OR id > (SELECT MIN(id) FROM audit_chain WHERE table_name = 'manager_decisions')",
    );
    assert!(desk.verdict().ok || !desk.findings().is_empty());
    let verdict = VerifyChain { head }.run(&desk.db.conn).unwrap();
    assert!(verdict.findings.iter().any(|finding| finding.trouble == Trouble::HeadMissing));
}

#[test]
fn rows_of_other_programs_are_told_apart_from_forged_ones() {
    let desk = Desk::new();
    desk.behind_the_back(&format!(
        "INSERT INTO manager_decisions (task_id, decision, reason, created_at, payload_json)
         VALUES ('{}', 'stop', 'r', '2999-01-01T00:00:00Z', '{{}}')",
        desk.pair.task.id
    ));
    let verdict = desk.verdict();
    assert!(verdict.ok);
    let [outside] = verdict.outside.as_slice() else { panic!("{verdict:?}") };
    assert_eq!(
        (outside.table.as_str(), outside.count, outside.before_start),
        ("manager_decisions", 1, false)
    );
    assert_eq!((outside.facet.as_str(), &*outside.rows), ("written", &["2".to_owned()][..]));
}

#[test]
fn what_only_this_program_writes_and_did_not_is_forged() {
    let check = |sql: &str, expect: &[&str]| {
        let desk = Desk::new();
        desk.behind_the_back(sql);
        assert_eq!(desk.findings(), expect, "{sql}");
    };
    check(
        "INSERT INTO turn_facts (session_id, thread_id, turn_key, outcome, recorded_at)
         SELECT id, 't', 'k', 'completed', '2999-01-01T00:00:00.000Z' FROM sessions WHERE role = 'worker'",
        &["slipped_in turn_facts 1"],
    );
    check("DELETE FROM audit_chain_start WHERE table_name = 'events'", &["beginning_missing events"]);
}

#[test]
fn a_delivery_that_was_never_seen_to_arrive_is_not_made_one_that_was() {
    let desk = Desk::new();
    let sent = desk.db.deliver(&desk.pair, "go on");
    let new = NewDelivery {
        source: Source::Notification,
        notification_id: Some(sent),
        command_id: None,
        attempt_id: None,
        target_session_id: &desk.pair.worker.id,
        correlation_id: "dispatch-1",
        body: "go on",
    };
    deliveries::put_in_mailbox(&desk.db.conn, &new).unwrap();
    desk.seal.append(&desk.db.conn).unwrap();
    assert_eq!(desk.findings(), [""; 0]);
    desk.behind_the_back("UPDATE deliveries SET state = 'observed', settled_at = 'now', receipt_json = '{}'");
    let [forged] = desk.findings().try_into().unwrap();
    assert!(forged.starts_with("slipped_in deliveries 1 state,transport"), "{forged}");
}

#[test]
fn what_agent_conveyor_does_to_a_row_of_ours_is_not_forged() {
    let check = |sql: &str, facet: &str| {
        let mut desk = Desk::new();
        let add = "INSERT INTO acceptance_criteria (task_id, criterion, status, source, evidence_json, created_at, updated_at)
             VALUES ((SELECT id FROM tasks), 'tests pass', 'accepted', 'user_requested', '{}', 'now', 'now')";
        desk.db.conn.execute(add, []).unwrap();
        desk.db.enqueue(QueuedCommand::NudgeWorker, "t1", "go on");
        desk.seal.append(&desk.db.conn).unwrap();
        desk.behind_the_back(sql);
        let verdict = desk.verdict();
        assert_eq!(verdict.findings, [], "{sql}");
        assert!(verdict.outside.iter().any(|outside| outside.facet == facet), "{sql}: {verdict:?}");
    };
    check("UPDATE commands SET state = 'succeeded', result_json = '{}'", "settled");
    check("UPDATE routed_notifications SET consumed_at = '2026-01-01T00:00:00Z'", "taken");
    check(
        "UPDATE acceptance_criteria SET status = 'satisfied';
         INSERT INTO events (created_at, actor, task_id, type, payload_json)
         SELECT 'now', 'workerctl', task_id, 'acceptance_criterion_updated',
             json_object('criterion_id', id, 'status', status) FROM acceptance_criteria",
        "standing",
    );
}

#[test]
fn a_text_that_was_pruned_is_told_apart_from_one_that_was_altered() {
    let mut desk = Desk::new();
    for text in ["one", "two", "three"] {
        let capture = NewCapture {
            task: &desk.pair.task,
            session: &desk.pair.worker,
            pane_id: "%1",
            command_id: None,
            source: "test",
            history_lines: 1,
            mode: CaptureMode::Segment,
            text,
        };
        captures::record(&desk.db.conn, &capture).unwrap();
        desk.seal.append(&desk.db.conn).unwrap();
    }
    assert_eq!((desk.verdict().ok, desk.verdict().pruned), (true, 0));

    desk.write(PruneTranscript { task: "t1".into(), keep_latest: 2, dry_run: false });
    let verdict = desk.verdict();
    assert_eq!((verdict.ok, verdict.pruned, &*verdict.outside), (true, 1, &[][..]));

    desk.behind_the_back("UPDATE terminal_captures SET content = NULL WHERE id = 2");
    let verdict = desk.verdict();
    let [outside] = verdict.outside.as_slice() else { panic!("{verdict:?}") };
    assert_eq!((verdict.ok, outside.facet.as_str(), &*outside.rows), (true, "text", &["2".to_owned()][..]));

    desk.behind_the_back("UPDATE terminal_captures SET content = 'forged' WHERE id <> 2");
    assert_eq!(
        desk.findings(),
        ["altered terminal_captures 1 content", "altered terminal_captures 3 content"]
    );
}

#[test]
fn what_was_there_before_the_chain_is_counted() {
    let desk = Desk::new();
    let insert = |id: i64| {
        desk.behind_the_back(&format!(
            "INSERT INTO manager_decisions (id, task_id, decision, reason, created_at, payload_json)
             VALUES ({id}, '{}', 'stop', 'r', '2020-01-01T00:00:0{id}Z', '{{}}')",
            desk.pair.task.id
        ));
    };
    insert(7);
    insert(8);
    desk.behind_the_back("UPDATE audit_chain_start SET row_count = 2 WHERE table_name = 'manager_decisions'");
    let verdict = desk.verdict();
    assert_eq!((verdict.ok, verdict.outside[0].before_start), (true, true));
    desk.behind_the_back("DELETE FROM manager_decisions WHERE id = 8");
    assert_eq!(desk.findings(), ["missing manager_decisions 1 of 2 rows"]);
}

#[test]
fn our_own_changes_are_sealed_again_and_undone_ones_are_not() {
    let mut desk = Desk::new();
    let links = desk.verdict().links;
    let refused = desk.db.refusal(decide(" "));
    assert_eq!(refused.kind, FailureKind::Usage);
    desk.seal.append(&desk.db.conn).unwrap();
    assert_eq!(desk.verdict().links, links);

    desk.db
        .conn
        .execute("UPDATE routed_notifications SET consumed_at = '2026-01-01T00:00:00.000Z'", [])
        .unwrap();
    desk.db.conn.execute("DELETE FROM manager_decisions", []).unwrap();
    desk.seal.append(&desk.db.conn).unwrap();
    assert_eq!((desk.verdict().links, desk.findings()), (links + 2, vec![]));
    desk.behind_the_back("UPDATE routed_notifications SET consumed_at = NULL");
    assert_eq!(desk.findings(), ["altered routed_notifications 1 consumed_at"]);
    desk.write(decide("again"));
    assert_eq!(desk.findings().len(), 1, "what comes later does not heal it");
}

#[test]
fn every_covered_column_is_there() {
    let db = TestDb::new();
    for table in super::tables::TABLES {
        for facet in table.facets {
            let sql = format!(
                "SELECT id, {}, {} FROM {} WHERE {}",
                table.begun,
                facet.columns.join(", "),
                table.name,
                facet.when
            );
            db.conn.prepare(&sql).unwrap();
        }
        let started = format!("SELECT COUNT(*) FROM audit_chain_start WHERE table_name = '{}'", table.name);
        assert_eq!(db.number(&started), 1, "{}", table.name);
    }
}
