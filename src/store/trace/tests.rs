//! Tests of the chain from cause to effect.

use super::*;
use crate::domain::command::QueuedCommand;
use crate::domain::{Failure, TurnOutcome};
use crate::store::testing::TestDb;

/// A completion that was told, looked at and decided on; the command of that decision, and its delivery.
fn database() -> TestDb {
    let mut db = TestDb::new();
    let pair = db.pair("t1");
    db.fact(&pair, "turn-1", TurnOutcome::Completed);
    let told = db.deliver(&pair, "it is done");
    let command = db.enqueue(QueuedCommand::NudgeWorker, "t1", "go on").id;
    let sent = db.deliver(&pair, "go on");
    db.conn
        .execute_batch(&format!(
            "INSERT INTO codex_events (id, session_id, timestamp, type, payload_json, byte_offset, ingested_at)
                 VALUES (41, '{worker}', '2026-05-11T06:00:00.000Z', 'event_msg', '{{}}', 0, 'now');
             UPDATE turn_facts SET event_id = 41;
             INSERT INTO manager_cycles (id, task_id, started_at, state) VALUES (51, '{task}', 'now', 'succeeded');
             UPDATE routed_notifications SET source_event_id = 41, consumed_manager_cycle_id = 51,
                 correlation_id = 'c-1' WHERE id = {told};
             INSERT INTO manager_decisions (id, task_id, manager_cycle_id, decision, reason, created_at, payload_json)
                 VALUES (61, '{task}', 51, 'nudge', 'r', 'now', '{{}}');
             UPDATE commands SET payload_json = json_set(payload_json, '$.manager_decision_id', 61),
                 correlation_id = 'c-2' WHERE id = '{command}';
             UPDATE routed_notifications SET command_id = '{command}' WHERE id = {sent};
             INSERT INTO deliveries (id, notification_id, source, target_session_id, transport, state, fence, claimed_at,
                 started_at, sent_at)
                 VALUES (71, {sent}, 'notification', '{worker}', 'tmux', 'sent', 1, 'now', 'now', 'now')",
            worker = pair.worker.id,
            task = pair.task.id
        ))
        .unwrap();
    db
}

fn outline(nodes: &[Node]) -> String {
    let tell = |node: &Node| {
        let mark = if node.asked { "*" } else { "" };
        let inner = outline(&node.effects);
        let inner = if inner.is_empty() { inner } else { format!("({inner})") };
        format!("{}{mark}{inner}", node.object.kind)
    };
    nodes.iter().map(tell).collect::<Vec<_>>().join(" ")
}

fn trace(db: &TestDb, id: &str) -> Result<String, Failure> {
    match (Trace { id: id.to_owned() }).run(&db.conn) {
        Ok(nodes) => Ok(outline(&nodes)),
        Err(StoreError::Refused(failure)) => Err(failure),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_chain_is_the_same_from_each_of_its_objects() {
    let db = database();
    let whole = "fact(notification(cycle(decision(command(notification(delivery))))))";
    let command = db.texts("SELECT id FROM commands").remove(0);
    for id in [
        "fact:1",
        "turn-1",
        "notification:1",
        "c-1",
        "cycle-51",
        "decision#61",
        "61",
        &command,
        "c-2",
        &format!("command:{command}"),
        "notification/2",
        "delivery:71",
        "71",
    ] {
        let found = trace(&db, id).unwrap();
        assert_eq!(found.replace('*', ""), whole, "{id}");
        assert!(found.contains('*'), "{id} is not marked in {found}");
    }
}

#[test]
fn an_id_that_names_nothing_or_too_much_says_what_to_try() {
    let db = database();
    let check = |id: &str, expect: &str, hint: &str| {
        let failure = trace(&db, id).unwrap_err();
        assert!(failure.message.contains(expect), "{failure}");
        assert!(failure.hints.iter().any(|given| given.contains(hint)), "{:?}", failure.hints);
    };
    check("1", "1 is the number of more than one object: fact, notification", "conveyor trace fact:1");
    check("999", "nothing on record has the number 999", "replay");
    check("delivery:9", "delivery 9 does not exist", "conveyor deliveries");
    check("command-nope", "nothing on record has the id \"command-nope\"", "conveyor commands");
    check("", "nothing on record has the id \"\"", "replay");
}

#[test]
fn two_facts_that_one_look_took_share_what_came_of_it() {
    let db = database();
    db.conn
        .execute("UPDATE routed_notifications SET consumed_manager_cycle_id = 51 WHERE id = 2", [])
        .unwrap();
    let found = trace(&db, "decision:61").unwrap();
    assert_eq!(found.matches("decision").count(), 1, "{found}");
}
