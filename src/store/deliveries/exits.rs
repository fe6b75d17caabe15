//! Every row of the table in `docs/deliveries.md`, on a real database.

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan};
use serde_json::json;

use super::*;
use crate::domain::{DeliveryState, FailureKind, Settlement, TurnKey, TurnOutcome};
use crate::store::Query;
use crate::store::bindings::BoundTask;
use crate::store::receipts::{self, Arrival};
use crate::store::testing::TestDb;
use crate::store::turn_facts::{self, NewFact};

/// A worker with a rollout, whom one fact's notification or a nudge is on its way to.
struct Desk {
    db: TestDb,
    bound: BoundTask,
    delivery: ClaimedDelivery,
    states: Vec<String>,
}

impl Desk {
    fn fact() -> Self {
        Self::new(Source::Notification)
    }

    fn nudge() -> Self {
        Self::new(Source::Nudge)
    }

    fn new(source: Source) -> Self {
        let mut db = TestDb::new();
        let bound = db.pair("t1");
        db.conn.execute("UPDATE sessions SET codex_session_path = '/r'", []).unwrap();
        let notification_id = (source == Source::Notification).then(|| db.deliver(&bound, "go on"));
        db.conn
            .execute("UPDATE routed_notifications SET state = 'pending', side_effect_started = 1", [])
            .unwrap();
        let delivery = claim(&db.conn, &new_delivery(source, notification_id, &bound)).unwrap();
        Self { db, bound, delivery, states: vec!["claimed".to_owned()] }
    }

    fn in_mailbox() -> Self {
        let mut desk = Self::nudge();
        desk.db.conn.execute("DELETE FROM deliveries", []).unwrap();
        let notification_id = desk.db.deliver(&desk.bound, "go on");
        let new = new_delivery(Source::Notification, Some(notification_id), &desk.bound);
        put_in_mailbox(&desk.db.conn, &new).unwrap();
        desk.delivery.id = desk.db.conn.last_insert_rowid();
        desk.states = vec!["sent".to_owned()];
        desk
    }

    /// Notes the state after a step.
    fn then(mut self) -> Self {
        let state = find(&self.db.conn, self.delivery.id).unwrap().unwrap().state;
        self.states.push(state.to_string());
        self
    }

    fn make(self, step: &Move) -> Self {
        let ClaimedDelivery { id, fence, .. } = self.delivery;
        assert!(make_move(&self.db.conn, id, fence, step).unwrap(), "{step:?}");
        self.then()
    }

    fn started(self) -> Self {
        self.make(&Move::Start(TransportKind::Tmux))
    }

    fn sent(self) -> Self {
        self.started().make(&Move::Sent)
    }

    fn unknown(self) -> Self {
        self.started().make(&Move::Unknown { error: "no answer".into(), pane_class: None })
    }

    fn fails(self) -> Self {
        self.make(&Move::Failed { error: "no way in".into(), pane_class: Some("blocked:trust".into()) })
    }

    fn claim_runs_out(self) -> Self {
        abandon(&self.db.conn, self.item()).unwrap();
        self.then()
    }

    fn nudger_is_gone(mut self) -> Self {
        let claimed_before = Timestamp::now() + 1.minute();
        assert!(self.overdue().abandoned_nudges);
        assert_eq!(self.db.write(AbandonNudges { claimed_before }).unwrap(), 1);
        assert!(!self.overdue().abandoned_nudges);
        self.then()
    }

    fn overdue(&self) -> Overdue {
        self.db.read(OverdueDeliveries { before: Timestamp::now() + 1.minute() })
    }

    fn doubted(mut self) -> Self {
        let [unseen] = self.overdue().unseen.try_into().unwrap();
        let doubt = DoubtDelivery { unseen, error: "not seen".into(), pane_class: Some("idle".into()) };
        assert!(self.db.write(doubt.clone()).unwrap());
        assert!(!self.db.write(doubt).unwrap(), "doubted once");
        self.then()
    }

    fn arrives(self) -> Self {
        let event =
            "INSERT INTO codex_events (session_id, type, timestamp, byte_offset, payload_json, ingested_at)
             VALUES (?1, 'event_msg', '2026-01-01T00:00:00.000Z', 0, '{}', 'now')";
        self.db.conn.execute(event, [&self.bound.worker.id]).unwrap();
        let event_id = self.db.conn.last_insert_rowid();
        let arrival =
            Arrival { client_message_id: Some(self.delivery.client_message_id.clone()), header: None };
        let proven = receipts::observe(&self.db.conn, &self.bound.worker.id, &arrival, event_id).unwrap();
        assert_eq!(proven, Some(self.delivery.id));
        self.then()
    }

    fn taken(self) -> Self {
        taken_from_mailbox(&self.db.conn, self.item(), &json!({"consumed_by": "t1-w"})).unwrap();
        self.then()
    }

    fn settle(&self, settlement: Settlement) -> SettleDelivery {
        SettleDelivery { id: self.delivery.id, settlement, reason: "looked".into(), by_thread: None }
    }

    fn settled(mut self, settlement: Settlement) -> Self {
        let settle = self.settle(settlement);
        let settled = self.db.write(settle).unwrap();
        assert_eq!((settled.settled_by.as_str(), settled.delivery.state), ("operator", settlement.state()));
        self.then()
    }

    fn try_move(&self, step: &Move) {
        make_move(&self.db.conn, self.delivery.id, self.delivery.fence, step).unwrap();
    }

    /// The notification that is delivered.
    fn item(&self) -> i64 {
        find(&self.db.conn, self.delivery.id).unwrap().unwrap().notification_id.unwrap()
    }

    fn notification(&self) -> String {
        self.db.texts("SELECT state || ' ' || delivery_mode || ' ' || side_effect_completed FROM routed_notifications").concat()
    }
}

fn new_delivery<'a>(source: Source, notification_id: Option<i64>, bound: &'a BoundTask) -> NewDelivery<'a> {
    NewDelivery {
        source,
        notification_id,
        command_id: None,
        attempt_id: None,
        target_session_id: &bound.worker.id,
        correlation_id: "dispatch-1",
        body: "go on",
    }
}

/// For each row of the table what it says of the move, and deliveries that made it as their last.
fn rows() -> Vec<(&'static str, Vec<Desk>)> {
    vec![
        ("a way into the session is open", vec![Desk::fact().started()]),
        ("no way in is open", vec![Desk::fact().fails()]),
        ("whoever held it is gone", vec![Desk::fact().claim_runs_out(), Desk::nudge().nudger_is_gone()]),
        ("the transport took the text", vec![Desk::fact().sent()]),
        ("before the transport has answered", vec![Desk::fact().started().arrives()]),
        ("the transport refused", vec![Desk::fact().started().fails()]),
        ("the transport did not answer", vec![Desk::fact().unknown()]),
        (
            "in the middle of the push",
            vec![Desk::fact().started().claim_runs_out(), Desk::nudge().started().nudger_is_gone()],
        ),
        ("the target's rollout shows the text", vec![Desk::fact().sent().arrives()]),
        ("the reader took the item", vec![Desk::in_mailbox().taken()]),
        ("was not seen within", vec![Desk::fact().sent().doubted(), Desk::nudge().sent().doubted()]),
        ("after all", vec![Desk::fact().unknown().arrives(), Desk::fact().sent().doubted().arrives()]),
        ("--as delivered", vec![Desk::fact().unknown().settled(Settlement::Delivered)]),
        ("--as failed", vec![Desk::fact().unknown().settled(Settlement::Failed)]),
    ]
}

#[test]
fn the_documented_moves_are_the_ones_there_are() {
    let docs = include_str!("../../../docs/deliveries.md");
    let mut documented: Vec<[String; 3]> = docs.lines().filter_map(documented_move).collect();
    for (when, desks) in rows() {
        let row = documented.iter().position(|[.., said]| said.contains(when));
        let [from, to, _] = documented.remove(row.unwrap_or_else(|| panic!("{when:?} is not documented")));
        for desk in desks {
            assert_eq!(desk.states[desk.states.len() - 2..], [from.as_str(), to.as_str()], "{when}");
        }
    }
    assert_eq!(documented, [[""; 3]; 0], "documented, and made by nothing here");
}

/// `from`, `to` and `when` of a row such as ``| `sent` | `observed` | when |``.
fn documented_move(line: &str) -> Option<[String; 3]> {
    let mut cells = line.strip_prefix('|')?.split('|').map(|cell| cell.trim().trim_matches('`'));
    let state = |cell: &str| cell.parse::<DeliveryState>().ok().map(|state| state.to_string());
    Some([state(cells.next()?)?, state(cells.next()?)?, cells.next()?.to_owned()])
}

/// Every step that is made of a delivery, whoever makes it, from every state: the ones that change it
/// are documented.
#[test]
fn no_step_leads_elsewhere_than_documented() {
    let documented: BTreeSet<(String, String)> = include_str!("../../../docs/deliveries.md")
        .lines()
        .filter_map(documented_move)
        .map(|[from, to, _]| (from, to))
        .collect();
    let states: [fn() -> Desk; 7] = [
        Desk::fact,
        || Desk::fact().started(),
        || Desk::fact().sent(),
        || Desk::fact().sent().arrives(),
        || Desk::fact().fails(),
        || Desk::fact().unknown(),
        Desk::in_mailbox,
    ];
    let steps: [fn(&mut Desk); 10] = [
        |desk| desk.try_move(&Move::Start(TransportKind::Tmux)),
        |desk| desk.try_move(&Move::Sent),
        |desk| desk.try_move(&Move::Failed { error: "x".into(), pane_class: None }),
        |desk| desk.try_move(&Move::Unknown { error: "x".into(), pane_class: None }),
        |desk| abandon(&desk.db.conn, desk.item()).unwrap(),
        |desk| {
            let claimed_before = Timestamp::now() + 1.minute();
            desk.db.write(AbandonNudges { claimed_before }).unwrap();
        },
        |desk| {
            for unseen in desk.overdue().unseen {
                desk.db.write(DoubtDelivery { unseen, error: "x".into(), pane_class: None }).unwrap();
            }
        },
        |desk| taken_from_mailbox(&desk.db.conn, desk.item(), &json!({})).unwrap(),
        |desk| drop(desk.db.write(desk.settle(Settlement::Delivered))),
        |desk| drop(desk.db.write(desk.settle(Settlement::Failed))),
    ];
    for state in states {
        for (number, step) in steps.into_iter().enumerate() {
            let mut desk = state();
            let from = desk.states[desk.states.len() - 1].clone();
            step(&mut desk);
            let to = desk.then().states.pop().unwrap();
            let is_documented = from == to || documented.contains(&(from.clone(), to.clone()));
            assert!(is_documented, "step {number} leads from {from} to {to}");
        }
    }
}

#[test]
fn final_states_are_left_by_nothing() {
    for mut desk in [Desk::fact().fails(), Desk::fact().sent().arrives()] {
        let ClaimedDelivery { id, fence, .. } = desk.delivery;
        let unknown = Move::Unknown { error: "x".into(), pane_class: None };
        for step in [Move::Start(TransportKind::Tmux), unknown, Move::Sent] {
            assert!(!make_move(&desk.db.conn, id, fence, &step).unwrap(), "{step:?} after {:?}", desk.states);
        }
        let settle = desk.settle(Settlement::Delivered);
        assert_eq!(desk.db.refusal(settle).kind, FailureKind::Refused);
    }
}

#[test]
fn only_an_unknown_delivery_is_settled_and_the_refusal_says_why() {
    for mut desk in [Desk::fact(), Desk::fact().started(), Desk::fact().sent()] {
        let settle = desk.settle(Settlement::Failed);
        let refusal = desk.db.refusal(settle);
        assert!(refusal.message.contains(&desk.states[desk.states.len() - 1]), "{refusal:?}");
        assert_eq!(refusal.hints.len(), 1);
    }
    let mut desk = Desk::fact();
    let settle = SettleDelivery { id: 999, ..desk.settle(Settlement::Failed) };
    assert_eq!(desk.db.refusal(settle).kind, FailureKind::NotFound);
}

#[test]
fn the_contract_follows_what_is_found_out_later() {
    fn check(desk: Desk, expect: &str) {
        assert_eq!(desk.notification(), expect, "{:?}", desk.states);
    }
    let given_up = || {
        let desk = Desk::fact().unknown();
        desk.db.conn.execute("UPDATE routed_notifications SET state = 'failed', error = 'x'", []).unwrap();
        desk
    };
    check(given_up().arrives(), "delivered push 1");
    check(given_up().settled(Settlement::Delivered), "delivered push 1");
    check(given_up().settled(Settlement::Failed), "pending pull_required 0");
    let taken = given_up();
    taken.db.conn.execute("UPDATE routed_notifications SET consumed_at = 'now'", []).unwrap();
    check(taken.settled(Settlement::Failed), "delivered pull_required 0");
    let delivered = Desk::fact().sent();
    delivered.db.conn.execute("UPDATE routed_notifications SET state = 'delivered'", []).unwrap();
    check(delivered.doubted(), "delivered pull_required 0");
}

#[test]
fn a_settled_delivery_keeps_its_times_and_says_who_decided_and_why() {
    let desk = Desk::fact().unknown().settled(Settlement::Delivered);
    let delivery = find(&desk.db.conn, desk.delivery.id).unwrap().unwrap();
    let details = delivery.receipt.unwrap().details.unwrap();
    assert_eq!(details, json!({"settled_by": "operator", "reason": "looked"}));

    let desk = Desk::fact().sent().doubted().settled(Settlement::Failed);
    let delivery = find(&desk.db.conn, desk.delivery.id).unwrap().unwrap();
    assert!(delivery.sent_at.is_some() && delivery.settled_at.is_some() && delivery.receipt.is_none());
    assert!(delivery.error.unwrap().contains("operator settled it as failed: looked"));
    assert_eq!(
        desk.db.texts("SELECT payload_json ->> '$.reason' FROM events WHERE type = 'delivery_settled'"),
        ["looked"]
    );
    assert_eq!(
        desk.db.texts("SELECT event_type FROM telemetry_events ORDER BY rowid"),
        ["delivery_doubted", "delivery_settled"]
    );
}

#[test]
fn a_command_follows_its_settled_delivery() {
    fn check(settlement: Settlement, expect: &str) {
        let mut desk = Desk::nudge().unknown();
        desk.db.conn.execute_batch(
            "INSERT INTO commands (id, idempotency_key, created_at, updated_at, type, state, payload_json, error)
             VALUES ('c', 'c', 'now', 'now', 'nudge_worker', 'failed', '{}', 'no answer');
             INSERT INTO command_attempts (id, command_id, correlation_id, dispatcher_id, started_at, state, error)
             VALUES (1, 'c', 'x', 'd', 'now', 'failed', 'no answer');
             UPDATE deliveries SET source = 'command', command_id = 'c', attempt_id = 1",
        ).unwrap();
        let settle = desk.settle(settlement);
        assert!(!desk.db.write(settle).unwrap().delivered_again);
        let states = "SELECT c.state || ' ' || a.state || ' ' || COALESCE(c.error, '-') FROM commands c JOIN command_attempts a";
        assert_eq!(desk.db.texts(states), [expect]);
    }
    check(Settlement::Delivered, "succeeded succeeded -");
    check(Settlement::Failed, "failed failed operator settled it as failed: looked");
}

#[test]
fn only_what_could_have_been_seen_is_overdue() {
    fn check(change: &str, expect: usize) {
        let desk = Desk::fact().sent();
        desk.db.conn.execute_batch(change).unwrap();
        assert_eq!(desk.overdue().unseen.len(), expect, "{change}");
    }
    check("", 1);
    check("UPDATE deliveries SET sent_at = '2999-01-01T00:00:00.000Z'", 0);
    check("UPDATE deliveries SET transport = 'mailbox'", 0);
    check("UPDATE bindings SET state = 'ended'", 0);
    check("UPDATE sessions SET state = 'gone'", 0);
    check("UPDATE sessions SET codex_session_path = NULL", 0);
    let in_a_turn =
        "INSERT INTO rollout_cursors (session_id, rollout_path, offset, open_turn_key, updated_at)
         SELECT id, '/r', 1, 'turn', 'now' FROM sessions WHERE role = 'worker'";
    check(in_a_turn, 0);
}

#[test]
fn the_clock_of_a_text_runs_from_the_end_of_the_last_turn() {
    let desk = Desk::fact().sent();
    let fact = NewFact {
        session_id: &desk.bound.worker.id,
        thread_id: "thread",
        key: &TurnKey::Id("turn".into()),
        outcome: TurnOutcome::Completed,
        event_id: None,
        error: None,
    };
    turn_facts::record(&desk.db.conn, &fact).unwrap();
    assert_eq!(desk.overdue().unseen.len(), 1);
    desk.db.conn.execute("UPDATE turn_facts SET recorded_at = '2999-01-01T00:00:00.000Z'", []).unwrap();
    assert_eq!(desk.overdue().unseen.len(), 0);
}

#[test]
fn lists_filter_by_task_session_and_state_newest_first() {
    let desk = Desk::fact().sent();
    claim(&desk.db.conn, &new_delivery(Source::Nudge, None, &desk.bound)).unwrap();
    let list = |change: fn(&mut ListDeliveries)| {
        let mut list = ListDeliveries { limit: 10, ..ListDeliveries::default() };
        change(&mut list);
        let found = desk.db.read(list);
        found.iter().map(|delivery| delivery.signal_type.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list(|_| {}), "nudge nudge_worker");
    assert_eq!(list(|list| list.limit = 1), "nudge");
    assert_eq!(list(|list| list.task = Some("t1".into())), "nudge nudge_worker");
    assert_eq!(list(|list| list.session = Some("t1-w".into())), "nudge nudge_worker");
    assert_eq!(list(|list| list.session = Some("t1-m".into())), "");
    assert_eq!(list(|list| list.state = Some(DeliveryState::Sent)), "nudge_worker");
    let unknown = ListDeliveries { task: Some("t2".into()), limit: 1, ..ListDeliveries::default() };
    assert!(unknown.run(&desk.db.conn).is_err());
}
