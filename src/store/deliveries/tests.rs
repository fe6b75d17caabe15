//! Every move from every state, on a real database.

use serde_json::json;

use super::*;
use crate::domain::{OriginHeader, Role};
use crate::store::receipts::{self, Arrival};
use crate::store::testing::TestDb;

/// A mailbox item of a manager, and the session it is for.
struct Desk {
    db: TestDb,
    notification_id: i64,
    target_session_id: String,
}

/// What can happen to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Start,
    Sent,
    Failed,
    Unknown,
    /// Its text was seen to arrive.
    Arrived,
    /// Its claim ran out.
    Abandoned,
    /// Its reader took it.
    Taken,
}

use Event::{Abandoned, Arrived, Failed, Sent, Start, Taken, Unknown};

const EVENTS: [Event; 7] = [Start, Sent, Failed, Unknown, Arrived, Abandoned, Taken];

impl Desk {
    fn new() -> Self {
        let mut db = TestDb::new();
        let bound = db.pair("a");
        let insert = "INSERT INTO routed_notifications (task_id, binding_id, correlation_id, source_session_id, target_session_id,
                 signal_type, dedupe_key, created_at, state, payload_json)
             VALUES (?1, ?2, 'c-1', ?3, ?4, 'nudge_worker', 'k', 'now', 'pending', '{}')";
        let row = (&bound.task.id, &bound.binding.id, &bound.manager.id, &bound.worker.id);
        db.conn.execute(insert, row).unwrap();
        Self { notification_id: db.conn.last_insert_rowid(), target_session_id: bound.worker.id, db }
    }

    fn delivery(&self) -> NewDelivery<'_> {
        NewDelivery {
            source: Source::Notification,
            notification_id: Some(self.notification_id),
            command_id: None,
            attempt_id: None,
            target_session_id: &self.target_session_id,
            correlation_id: "c-1",
            body: "go on",
        }
    }

    /// A delivery after `events`.
    fn after(&self, events: &[Event]) -> ClaimedDelivery {
        let claimed = claim(&self.db.conn, &self.delivery()).unwrap();
        for event in events {
            assert!(self.happens(&claimed, *event), "{event:?} in {}", self.state(&claimed));
        }
        claimed
    }

    fn state(&self, delivery: &ClaimedDelivery) -> String {
        state(&self.db.conn, delivery.id, delivery.fence).unwrap().unwrap()
    }

    /// Whether it made a difference.
    fn happens(&self, delivery: &ClaimedDelivery, event: Event) -> bool {
        let row = "SELECT state || COALESCE(sent_at, '') FROM deliveries ORDER BY id";
        let before = self.db.texts(row);
        let told = match event {
            Start => Some(self.make(delivery, &Move::Start(TransportKind::Tmux))),
            Sent => Some(self.make(delivery, &Move::Sent)),
            Failed => Some(self.make(delivery, &Move::Failed { error: "gone".into(), pane_class: None })),
            Unknown => Some(self.make(delivery, &Move::Unknown { error: "silent".into(), pane_class: None })),
            Arrived => Some(self.arrive(delivery)),
            Abandoned => abandon(&self.db.conn, self.notification_id).map(|()| None).unwrap(),
            Taken => taken_from_mailbox(&self.db.conn, self.notification_id, &json!({"by": "a-w"}))
                .map(|()| None)
                .unwrap(),
        };
        let changed = self.db.texts(row) != before;
        assert_eq!(told.unwrap_or(changed), changed, "{event:?}");
        changed
    }

    fn make(&self, delivery: &ClaimedDelivery, step: &Move) -> bool {
        make_move(&self.db.conn, delivery.id, delivery.fence, step).unwrap()
    }

    fn arrive(&self, delivery: &ClaimedDelivery) -> bool {
        let event =
            "INSERT INTO codex_events (session_id, type, timestamp, byte_offset, payload_json, ingested_at)
             VALUES (?1, 'event_msg', 'now', 0, '{}', 'now')";
        self.db.conn.execute(event, [&self.target_session_id]).unwrap();
        let client_message_id = Some(delivery.client_message_id.clone());
        let arrival = Arrival { client_message_id, header: None };
        let event_id = self.db.conn.last_insert_rowid();
        receipts::observe(&self.db.conn, &self.target_session_id, &arrival, event_id).unwrap().is_some()
    }
}

#[test]
fn from_each_state_only_its_own_moves_lead_on() {
    fn check(path: &[Event], state: &str, moves: &[(Event, &str)]) {
        for event in EVENTS {
            let desk = Desk::new();
            let delivery = desk.after(path);
            assert_eq!(desk.state(&delivery), state);
            let expect = moves.iter().find(|(legal, _)| *legal == event);
            assert_eq!(desk.happens(&delivery, event), expect.is_some(), "{event:?} in {state}");
            assert_eq!(desk.state(&delivery), expect.map_or(state, |(_, next)| next), "{event:?} in {state}");
        }
    }
    check(&[], "claimed", &[(Start, "started"), (Failed, "failed"), (Abandoned, "failed")]);
    check(
        &[Start],
        "started",
        &[
            (Sent, "sent"),
            (Failed, "failed"),
            (Unknown, "unknown"),
            (Arrived, "observed"),
            (Abandoned, "unknown"),
        ],
    );
    check(&[Start, Sent], "sent", &[(Unknown, "unknown"), (Arrived, "observed")]);
    // Settled by the evidence alone.
    check(&[Start, Unknown], "unknown", &[(Arrived, "observed")]);
    // The transport's answer may come after the evidence; it only adds the time.
    check(&[Start, Arrived], "observed", &[(Sent, "observed")]);
    check(&[Start, Sent, Arrived], "observed", &[]);
    check(&[Failed], "failed", &[]);
    check(&[Start, Failed], "failed", &[]);
}

#[test]
fn who_names_another_fence_moves_nothing() {
    for path in [&[][..], &[Start], &[Start, Sent], &[Start, Arrived]] {
        let desk = Desk::new();
        let delivery = desk.after(path);
        let stranger = ClaimedDelivery { fence: delivery.fence + 1, ..delivery.clone() };
        for event in [Start, Sent, Failed, Unknown] {
            assert!(!desk.happens(&stranger, event), "{event:?} after {path:?}");
        }
        assert_eq!(state(&desk.db.conn, stranger.id, stranger.fence).unwrap(), None);
    }
}

#[test]
fn a_notification_is_claimed_again_only_after_a_failure_under_a_higher_fence() {
    fn check(path: &[Event], again: bool) {
        let desk = Desk::new();
        let first = desk.after(path);
        match claim(&desk.db.conn, &desk.delivery()) {
            Ok(second) => {
                assert!(again, "{path:?}");
                assert_eq!(second.fence, first.fence + 1);
                assert_ne!(second.client_message_id, first.client_message_id);
            }
            Err(error) => assert!(!again, "{path:?}: {error}"),
        }
    }
    check(&[], false);
    check(&[Start], false);
    check(&[Start, Sent], false);
    check(&[Start, Unknown], false);
    check(&[Start, Arrived], false);
    check(&[Failed], true);
    check(&[Start, Failed], true);
}

#[test]
fn an_item_in_a_mailbox_is_sent_and_its_reader_is_the_evidence() {
    let desk = Desk::new();
    put_in_mailbox(&desk.db.conn, &desk.delivery()).unwrap();
    let item = ClaimedDelivery { id: 1, fence: 1, client_message_id: String::new() };
    assert_eq!(desk.state(&item), "sent");
    for event in [Start, Sent, Failed, Abandoned] {
        assert!(!desk.happens(&item, event), "{event:?}");
    }
    assert!(desk.happens(&item, Taken));
    assert_eq!(desk.state(&item), "observed");
    assert_eq!(desk.db.jsons("SELECT receipt_json FROM deliveries"), [json!({"by": "a-w"})]);
    assert!(!desk.happens(&item, Taken), "it is taken once");
}

#[test]
fn evidence_counts_only_in_the_session_it_was_sent_to() {
    let desk = Desk::new();
    let delivery = desk.after(&[Start, Sent]);
    let other = desk.db.session("other", Role::Worker);
    let arrival = Arrival { client_message_id: Some(delivery.client_message_id.clone()), header: None };
    assert_eq!(receipts::observe(&desk.db.conn, &other.id, &arrival, 1).unwrap(), None);
    assert_eq!(desk.state(&delivery), "sent");
}

#[test]
fn a_typed_text_is_proven_by_its_header_and_a_text_with_an_id_is_not() {
    fn check(transport: TransportKind, proven: bool) {
        let desk = Desk::new();
        let delivery = desk.after(&[]);
        assert!(desk.make(&delivery, &Move::Start(transport)));
        desk.arrive(&ClaimedDelivery { client_message_id: "another".into(), ..delivery.clone() });
        let header = OriginHeader {
            kind: "nudge".into(),
            from: "m".into(),
            correlation_id: "c-1".into(),
            delivery: delivery.id,
        };
        let arrival = Arrival { client_message_id: None, header: Some(header) };
        let observed = receipts::observe(&desk.db.conn, &desk.target_session_id, &arrival, 1).unwrap();
        assert_eq!(observed.is_some(), proven, "{transport}");
    }
    check(TransportKind::Tmux, true);
    check(TransportKind::CodexQueue, true);
    check(TransportKind::AppServer, false);
}

#[test]
fn only_the_size_and_hash_of_a_text_are_kept() {
    let desk = Desk::new();
    desk.after(&[]);
    let kept = desk.db.texts("SELECT body_bytes || ' ' || body_sha256 FROM deliveries");
    // Of "go on", as `sha256sum` gives it.
    assert_eq!(kept, ["5 b5013eb1c1b2db1f7eb99e0b780ab6c69f2d4e61657bb173f45f91a777fb8d50"]);
}
