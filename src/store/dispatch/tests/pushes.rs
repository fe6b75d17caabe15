//! What is left behind by each end of a push. The evidence may be faster than the transport's
//! answer, and outweighs it.

use super::*;
use crate::store::receipts::{self, Arrival};

impl Desk {
    /// The target's rollout shows the pushed text.
    fn arrives(&self, push: &Push) {
        let arrived =
            "INSERT INTO codex_events (session_id, type, timestamp, byte_offset, payload_json, ingested_at)
             VALUES (?1, 'event_msg', 'now', 0, '{}', 'now')";
        self.db.conn.execute(arrived, [&push.target_session_id]).unwrap();
        let event_id = self.db.conn.last_insert_rowid();
        let client_message_id = Some(push.delivery.client_message_id.clone());
        let arrival = Arrival { client_message_id, header: None };
        let observed = receipts::observe(&self.db.conn, &push.target_session_id, &arrival, event_id).unwrap();
        assert_eq!(observed, Some(push.delivery.id));
    }
}

#[test]
fn each_end_of_a_push_is_recorded_on_all_of_its_rows() {
    fn check(begin: bool, outcome: PushOutcome, reported: &str, ledger: &str, effects: (i64, i64)) {
        let mut desk = Desk::pushing();
        desk.enqueue(QueuedCommand::NudgeWorker, "go on");
        let push = desk.push();
        assert_eq!(push.text, "go on");
        if begin {
            assert!(desk.begin(&push));
        }
        assert_eq!(desk.finish(&push, outcome)["state"], reported);
        assert_eq!(desk.ledger(), ledger);
        for table in ["command_attempts", "routed_notifications"] {
            let started = desk.db.number(&format!("SELECT side_effect_started FROM {table}"));
            let completed = desk.db.number(&format!("SELECT side_effect_completed FROM {table}"));
            assert_eq!((started, completed), effects, "{table}");
        }
        desk.expire_claims();
        assert!(desk.pass().is_empty(), "it is over");
    }
    check(true, sent(), "delivered", "succeeded / succeeded / delivered / sent", (1, 1));
    check(true, unknown(), "unknown", "failed / failed / failed / unknown", (1, 0));
    check(true, not_sent(true), "failed", "failed / failed / failed / failed", (1, 0));
    check(false, not_sent(false), "failed", "failed / failed / failed / failed", (0, 0));
}

#[test]
fn what_was_seen_to_arrive_is_delivered_whatever_the_transport_says() {
    fn check(end: impl Fn(&mut Desk, &Push)) {
        let mut desk = Desk::pushing();
        desk.enqueue(QueuedCommand::NudgeWorker, "go on");
        desk.fact("t-1", TurnOutcome::Completed);
        let pushes: Vec<Push> = desk.pass().into_iter().map(push_of).collect();
        for push in &pushes {
            assert!(desk.begin(push));
            desk.arrives(push);
        }
        pushes.iter().for_each(|push| end(&mut desk, push));
        desk.pass();
        assert_eq!(desk.ledger(), "succeeded / succeeded / delivered delivered / observed observed");
        assert_eq!(desk.db.texts("SELECT error FROM routed_notifications WHERE error IS NOT NULL"), [""; 0]);
        desk.expire_claims();
        assert!(desk.pass().is_empty());
    }
    for outcome in [sent(), unknown(), not_sent(true)] {
        check(|desk, push| assert_eq!(desk.finish(push, outcome.clone())["state"], "delivered"));
    }
    // The dispatcher died before it heard of it.
    check(|desk, _| desk.expire_claims());
    // It was only slow.
    check(|desk, push| {
        desk.expire_claims();
        desk.pass();
        desk.finish(push, sent());
    });
}

#[test]
fn an_end_is_told_once() {
    let mut desk = Desk::pushing();
    desk.enqueue(QueuedCommand::NudgeWorker, "go on");
    let push = desk.push();
    desk.begin(&push);
    desk.arrives(&push);
    desk.expire_claims();
    desk.pass();
    desk.finish(&push, sent());
    let told = "SELECT count(*) FROM telemetry_events WHERE event_type = 'dispatch_command_succeeded'";
    assert_eq!(desk.db.number(told), 1);
}

#[test]
fn a_claim_holds_as_long_as_it_is_renewed_and_not_by_whoever_lost_it() {
    fn check(prepare: impl Fn(&mut Desk)) {
        let mut desk = Desk::pushing();
        prepare(&mut desk);
        let push = desk.push();
        let renew = |desk: &mut Desk| {
            let (delivery_id, fence) = (push.delivery.id, push.delivery.fence);
            desk.db.write(RenewClaim { delivery_id, fence, lease_seconds: 60 }).unwrap()
        };
        for begin in [false, true] {
            if begin {
                assert!(desk.begin(&push));
            }
            desk.expire_claims();
            assert!(renew(&mut desk));
            assert!(desk.pass().is_empty(), "the claim holds");
        }
        desk.expire_claims();
        desk.pass();
        assert!(!renew(&mut desk));
    }
    check(|desk| drop(desk.enqueue(QueuedCommand::NudgeWorker, "go on")));
    check(|desk| desk.fact("t-1", TurnOutcome::Completed));
}
