//! The rules that hold after every step, whatever came before it.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Delivery, Lease, Ledger, Note};
use super::stage::Stage;
use crate::domain::{DeliveryState, Settlement};
use crate::store::Query;
use crate::store::deliveries::ListDeliveries;
use crate::store::notifications::ReadInbox;
use crate::store::receipts::Arrival;
use DeliveryState::{Claimed, Failed, Observed, Sent, Started, Unknown};

/// What a step may have changed, and by what right.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    /// Nothing that deliveries are made of.
    Nothing,
    /// Lines of a rollout were stored; these texts arrived in this session.
    Stored { session_id: String, arrivals: Vec<Arrival> },
    /// A pass was made.
    Passed,
    /// A direct nudge was claimed.
    Claimed,
    /// The holder of this claim began its push.
    Begun(i64),
    /// The holder of this claim said how its push went.
    Finished(i64),
    /// What was long overdue was given up.
    Overdue,
    /// A person settled this delivery.
    Settled(i64, Settlement),
    /// This item was handed out, or nothing was.
    Leased(Option<i64>),
    /// These items were taken.
    Taken(BTreeSet<i64>),
}

/// Holds what changed to `cause`, and what is now to the rules.
pub(super) fn hold(stage: &mut Stage, before: &Ledger, cause: &Cause) {
    let after = stage.ledger();
    let change = Change { before, after: &after, cause };
    change.nothing_vanishes();
    change.facts_are_made_by_reading_and_routed_by_passes();
    change.deliveries_move_by_evidence();
    change.items_are_taken_once();
    stage.lost_claims.extend(change.lost_claims());
    change.moves().for_each(|made| *stage.tally.moves.entry(made).or_default() += 1);
    facts_are_what_was_stored(stage, &after);
    facts_are_announced_once(&after);
    receipts_are_true(stage, &after);
    what_failed_was_not_sent(stage, &after);
    notifications_agree_with_their_deliveries(&after);
    unknowns_are_shown(stage, &after);
    inboxes_hold_what_waits(stage, &after);
}

struct Change<'a> {
    before: &'a Ledger,
    after: &'a Ledger,
    cause: &'a Cause,
}

impl Change<'_> {
    fn nothing_vanishes(&self) {
        fn kept<K: Ord + std::fmt::Debug, V>(before: &BTreeMap<K, V>, after: &BTreeMap<K, V>) {
            let gone: Vec<&K> = before.keys().filter(|key| !after.contains_key(key)).collect();
            assert!(gone.is_empty(), "gone: {gone:?}");
        }
        kept(&self.before.facts, &self.after.facts);
        kept(&self.before.notes, &self.after.notes);
        kept(&self.before.deliveries, &self.after.deliveries);
        kept(&self.before.leases, &self.after.leases);
        kept(&self.before.commands, &self.after.commands);
    }

    fn facts_are_made_by_reading_and_routed_by_passes(&self) {
        for (id, fact) in &self.after.facts {
            match (self.before.facts.get(id), self.cause) {
                (Some(before), _) if before == fact => {}
                (Some(before), Cause::Passed) => {
                    assert!(!before.routed && fact.routed, "{before:?} became {fact:?}");
                }
                (None, Cause::Stored { .. }) => assert!(!fact.routed, "{fact:?}"),
                (before, cause) => panic!("{before:?} became {fact:?} by {cause:?}"),
            }
        }
    }

    fn deliveries_move_by_evidence(&self) {
        for (id, delivery) in &self.after.deliveries {
            let before = self.before.deliveries.get(id);
            let from = before.map(|before| before.state);
            let may = from == Some(delivery.state) || self.may_move(*id, before, delivery);
            assert!(may, "delivery {id} went from {from:?} to {delivery:?} by {:?}", self.cause);
        }
    }

    fn may_move(&self, id: i64, before: Option<&Delivery>, after: &Delivery) -> bool {
        let Some(before) = before else {
            return match self.cause {
                Cause::Passed => matches!(after.state, Claimed | Sent),
                Cause::Claimed => after.state == Claimed,
                _ => false,
            };
        };
        let is_nudge = after.note.is_none();
        match (before.state, after.state, self.cause) {
            (Claimed, Started, Cause::Begun(begun)) => *begun == id,
            (Claimed | Started, Sent | Failed | Unknown, Cause::Finished(finished)) => *finished == id,
            (Claimed, Failed, Cause::Passed) | (Started, Unknown, Cause::Passed) => {
                self.before.is_expired(before)
            }
            (Claimed, Failed, Cause::Overdue) | (Started, Unknown, Cause::Overdue) => is_nudge,
            (Sent, Unknown, Cause::Overdue) => after.transport.as_deref() != Some("mailbox"),
            (Started | Sent | Unknown, Observed, Cause::Stored { session_id, arrivals }) => {
                after.target == *session_id && arrivals.iter().any(|arrival| proves(arrival, id, after))
            }
            (Sent, Observed, Cause::Taken(items)) => after.note.is_some_and(|note| items.contains(&note)),
            (Unknown, Observed, Cause::Settled(settled, Settlement::Delivered)) => *settled == id,
            (Unknown, Failed, Cause::Settled(settled, Settlement::Failed)) => *settled == id,
            _ => false,
        }
    }

    fn items_are_taken_once(&self) {
        for (id, note) in &self.after.notes {
            let consumed = self.before.notes.get(id).and_then(|before| before.consumed.as_ref());
            let is_taken = matches!(self.cause, Cause::Taken(items) if items.contains(id));
            assert!(
                consumed == note.consumed.as_ref() || (consumed.is_none() && is_taken),
                "{note:?} by {:?}",
                self.cause
            );
        }
        for (id, lease) in &self.after.leases {
            let before = self.before.leases.get(id).map_or(0, |before| before.fence);
            let is_handed_out = matches!(self.cause, Cause::Leased(Some(item)) if item == id);
            assert_eq!(lease.fence, before + i64::from(is_handed_out), "{lease:?} by {:?}", self.cause);
        }
    }

    /// The states that deliveries left and entered.
    fn moves(&self) -> impl Iterator<Item = (Option<DeliveryState>, DeliveryState)> {
        let states = |(id, after): (&i64, &Delivery)| {
            (self.before.deliveries.get(id).map(|before| before.state), after.state)
        };
        self.after.deliveries.iter().map(states).filter(|(from, to)| *from != Some(*to))
    }

    /// The claims that somebody other than their holder ended.
    fn lost_claims(&self) -> Vec<i64> {
        let ended = |(id, before): (&i64, &Delivery)| {
            let is_over = matches!(self.after.deliveries[id].state, Failed | Unknown);
            (matches!(before.state, Claimed | Started) && is_over).then_some(*id)
        };
        match self.cause {
            Cause::Passed | Cause::Overdue => self.before.deliveries.iter().filter_map(ended).collect(),
            _ => Vec::new(),
        }
    }
}

/// Whether an arrived text can be the one that a delivery sent.
fn proves(arrival: &Arrival, id: i64, delivery: &Delivery) -> bool {
    let is_typed = matches!(delivery.transport.as_deref(), Some("tmux" | "codex_queue"));
    arrival.client_message_id.is_some() && arrival.client_message_id == delivery.client_id
        || is_typed && arrival.header.as_ref().is_some_and(|header| header.delivery == id)
}

/// No fact is lost, none is invented, none is there twice.
fn facts_are_what_was_stored(stage: &Stage, ledger: &Ledger) {
    for (number, thread) in stage.threads.iter().enumerate() {
        let stored = stage.stored.get(&number).copied().unwrap_or_default();
        let mut expect: Vec<(String, String)> =
            thread.ends_before(stored).map(|end| (end.key.to_string(), end.outcome.to_string())).collect();
        let facts = ledger.facts.values().filter(|fact| fact.thread_id == thread.id);
        let mut found: Vec<(String, String)> =
            facts.map(|fact| (fact.key.clone(), fact.outcome.clone())).collect();
        expect.sort();
        found.sort();
        assert_eq!(found, expect, "facts of {} read up to {stored}", thread.id);
    }
}

/// A fact that was routed has one notification, another one has none.
fn facts_are_announced_once(ledger: &Ledger) {
    for (id, fact) in &ledger.facts {
        assert_eq!(ledger.notes_of(*id).len(), usize::from(fact.routed), "of {fact:?}");
    }
}

/// Each receipt is a text that the delivery itself brought.
fn receipts_are_true(stage: &Stage, ledger: &Ledger) {
    for (id, delivery) in ledger.deliveries.iter().filter(|(_, delivery)| delivery.state == Observed) {
        let Some(receipt) = &delivery.receipt else { panic!("no receipt: {delivery:?}") };
        let is_pushed = delivery.transport.as_deref() != Some("mailbox");
        if !is_pushed || stage.settled.contains_key(id) {
            continue;
        }
        let brought = |effect: &&super::stage::Effect| receipt.contains(&format!("{}\"", effect.letter.mark));
        let Some(effect) = stage.effects.iter().find(brought) else {
            panic!("delivery {id} is observed by a text that nothing brought: {receipt}")
        };
        assert!(effect.arrived && effect.delivery == *id, "delivery {id} is observed by {effect:?}");
    }
}

/// `failed` says that nothing was sent, unless a person said so.
fn what_failed_was_not_sent(stage: &Stage, ledger: &Ledger) {
    for effect in &stage.effects {
        let state = ledger.deliveries[&effect.delivery].state;
        assert!(state != Failed || stage.settled.contains_key(&effect.delivery), "{effect:?} has failed");
        assert!(state != Claimed, "{effect:?} left without a record");
    }
}

fn notifications_agree_with_their_deliveries(ledger: &Ledger) {
    for (id, note) in &ledger.notes {
        let live = ledger
            .deliveries_of(*id)
            .find(|delivery| delivery.state != Failed)
            .map(|delivery| delivery.state);
        let is_message = note.command_id.is_some();
        let agrees = match note.state.as_str() {
            // `Observed`: the text was faster than the transport's answer.
            "pending" => matches!(live, None | Some(Claimed | Started | Observed)),
            // Taken from the inbox, it counts as delivered though its push was found lost.
            "delivered" => matches!(live, Some(Sent | Observed | Unknown)) || note.consumed.is_some(),
            "failed" => live == Some(Unknown) || is_message && live.is_none(),
            _ => false,
        };
        assert!(agrees, "notification {id} {note:?} has a delivery that is {live:?}");
    }
}

fn unknowns_are_shown(stage: &Stage, ledger: &Ledger) {
    let list = ListDeliveries { state: Some(Unknown), limit: u32::MAX, ..ListDeliveries::default() };
    let shown: BTreeSet<i64> =
        list.run(stage.look()).unwrap().into_iter().map(|delivery| delivery.id).collect();
    let unknown = ledger.deliveries.iter().filter(|(_, delivery)| delivery.state == Unknown);
    assert_eq!(shown, unknown.map(|(id, _)| *id).collect());
}

/// Every item waits for one reader, is in the hands of one, was taken, or is a dead letter.
fn inboxes_hold_what_waits(stage: &Stage, ledger: &Ledger) {
    let is_in_hands = |lease: &Lease| lease.state == "leased" && !lease.expired;
    let is_dead = |lease: &Lease| lease.state != "acknowledged" && lease.hand_outs >= 5;
    for session in &stage.sessions {
        let read = ReadInbox { session_id: session.id.clone(), limit: u32::MAX };
        let shown: BTreeSet<i64> =
            read.run(stage.look()).unwrap().items.into_iter().map(|item| item.id).collect();
        let waits = |(id, note): &(&i64, &Note)| {
            let is_there = note.target == session.id && note.state == "delivered" && note.consumed.is_none();
            is_there && ledger.leases.get(id).is_none_or(|lease| !is_in_hands(lease) && !is_dead(lease))
        };
        let waiting = ledger.notes.iter().filter(waits).map(|(id, _)| *id).collect();
        assert_eq!(shown, waiting, "inbox of {}", session.name);
    }
}
