//! Direct nudges and interrupts: what is recorded, and that texts are not.

use super::*;
use crate::domain::Failure;

const SECRET: &str = "the secret text";

impl Desk {
    fn claim_nudge(&mut self, from_thread: Option<&str>) -> Push {
        let from_thread = from_thread.map(str::to_owned);
        self.db.write(ClaimNudge { session: "a-w".into(), from_thread, text: SECRET.into() }).unwrap()
    }

    /// The audit events and the telemetry of direct acts, as `type success`.
    fn told(&self) -> String {
        let audit =
            "SELECT type || ' ' || (payload_json ->> '$.success') FROM events WHERE type LIKE 'session_%'";
        let telemetry =
            "SELECT event_type || ' ' || severity FROM telemetry_events WHERE event_type LIKE 'session_%'";
        [self.db.texts(audit), self.db.texts(telemetry)].concat().join(", ")
    }
}

#[test]
fn a_nudge_is_recorded_by_its_length_with_its_end() {
    fn check(outcome: PushOutcome, reported: &str, delivery: &str, told: &str) {
        let mut desk = Desk::pushing();
        let push = desk.claim_nudge(None);
        assert!(desk.begin(&push));
        assert_eq!(desk.finish(&push, outcome)["state"], reported);
        assert_eq!(desk.db.texts("SELECT source || ' ' || state FROM deliveries"), [delivery]);
        assert_eq!(desk.told(), told);
        assert_eq!(
            desk.db
                .number("SELECT payload_json ->> '$.text_length' FROM events WHERE type = 'session_nudged'"),
            SECRET.len() as i64
        );
        for rows in
            ["SELECT payload_json FROM events", "SELECT attributes_json || summary FROM telemetry_events"]
        {
            assert!(!desk.db.texts(rows).concat().contains(SECRET), "{rows}");
        }
    }
    check(sent(), "delivered", "nudge sent", "session_nudged 1, session_nudge_succeeded info");
    check(not_sent(true), "failed", "nudge failed", "session_nudged 0, session_nudge_failed error");
    check(unknown(), "unknown", "nudge unknown", "session_nudged 0, session_nudge_failed error");
}

#[test]
fn a_nudge_tells_from_whom_it_comes() {
    let mut desk = Desk::pushing();
    desk.run("UPDATE sessions SET codex_session_id = 'thread-m' WHERE name = 'a-m'");
    assert_eq!(desk.claim_nudge(Some("thread-m")).from, "a-m");
    assert_eq!(desk.claim_nudge(Some("thread-of-nobody")).from, "operator");
    assert_eq!(desk.claim_nudge(None).from, "operator");
}

#[test]
fn a_nudge_of_nobody_claims_nothing() {
    let mut desk = Desk::new();
    let refused =
        desk.db.refusal(ClaimNudge { session: "a-x".into(), from_thread: None, text: SECRET.into() });
    assert!(refused.message.contains("a-x"), "{refused}");
    assert_eq!(desk.ledger(), " /  /  / ");
}

#[test]
fn what_was_refused_or_only_tried_is_told_as_such() {
    let mut desk = Desk::new();
    let refuse = |failure| RefuseNudge { session: "a-w".into(), text_length: 3, failure };
    desk.db.write(refuse(None)).unwrap();
    desk.db.write(refuse(Some(Failure::refused("no")))).unwrap();
    let interrupt = |outcome| FinishInterrupt {
        command_id: None,
        session: "a-w".into(),
        key: "Escape".into(),
        followup_length: 0,
        outcome,
    };
    desk.db.write(interrupt(Ok(false))).unwrap();
    desk.db.write(interrupt(Err(Failure::refused("no")))).unwrap();
    assert_eq!(
        desk.told(),
        "session_nudged 1, session_nudged 0, session_interrupted 1, session_interrupted 0, \
         session_nudge_succeeded info, session_nudge_failed error, session_interrupt_succeeded info, session_interrupt_failed error"
    );
    assert_eq!(
        desk.db.texts("SELECT DISTINCT task_id FROM events WHERE type LIKE 'session_%'"),
        [desk.bound.task.id]
    );
}

#[test]
fn an_interrupt_is_on_record_before_it_is_made_and_settled_after() {
    fn check(outcome: Result<bool, Failure>, state: &str, told: &str) {
        let mut desk = Desk::new();
        let session_id = desk.bound.worker.id.clone();
        let begun = desk.db.write(BeginInterrupt { session_id, key: None }).unwrap();
        let commands = "SELECT type || ' ' || state FROM commands";
        assert_eq!(desk.db.texts(commands), ["interrupt_session attempted"]);
        let finish = FinishInterrupt {
            command_id: Some(begun.clone()),
            session: "a-w".into(),
            key: "Escape".into(),
            followup_length: 0,
            outcome,
        };
        desk.db.write(finish).unwrap();
        assert_eq!(desk.db.texts(commands), [format!("interrupt_session {state}")]);
        assert_eq!(desk.told(), told);
        let caused = "SELECT command_id FROM events WHERE type = 'session_interrupted'";
        assert_eq!(desk.db.texts(caused), [begun]);
    }
    check(Ok(false), "succeeded", "session_interrupted 1, session_interrupt_succeeded info");
    check(
        Err(Failure::unknown("no answer")),
        "failed",
        "session_interrupted 0, session_interrupt_failed error",
    );
}
