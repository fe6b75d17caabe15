//! Steps of dispatchers: passes, and the pushes they hand out.

use serde_json::json;

use super::ledger::Ledger;
use super::rules::Cause;
use super::stage::{Effect, Flight, FlightState, Made, Stage};
use super::thread::Letter;
use crate::domain::command::QueuedCommand;
use crate::domain::transport::TransportKind;
use crate::domain::{DeliveryState, OriginHeader, Settlement};
use crate::store::commands::{Enqueue, QueueOptions};
use crate::store::dispatch::{BeginPush, ClaimNudge, FinishPush, Pass, PassOptions, PushOutcome, Step};

impl Stage {
    pub(super) fn pass(&mut self, limit: usize, back_off: bool) -> Cause {
        let options = PassOptions {
            dispatcher_id: format!("d{}", self.now.0),
            limit,
            filter: None,
            lease_seconds: 600,
            back_off,
        };
        for step in self.make(Pass(options)).heard().unwrap_or_default() {
            if let Step::Push(push) = step {
                self.process().flights.push(Flight { push: *push, state: FlightState::Claimed });
            }
        }
        Cause::Passed
    }

    pub(super) fn nudge(&mut self, who: usize) -> Cause {
        let session = &self.sessions[who];
        if !session.pushable {
            return Cause::Nothing;
        }
        let claim = ClaimNudge { session: session.id.clone(), from_thread: None, text: "go on".into() };
        if let Some(push) = self.make(claim).heard() {
            self.process().flights.push(Flight { push, state: FlightState::Claimed });
        }
        Cause::Claimed
    }

    pub(super) fn enqueue(&mut self, task: usize, to_manager: bool, shared_id: bool, attempts: i64) -> Cause {
        let command = if to_manager { QueuedCommand::NotifyManager } else { QueuedCommand::NudgeWorker };
        let correlation_id = shared_id.then(|| "shared".to_owned());
        let enqueue = Enqueue {
            command,
            task: format!("t{task}"),
            message: "go on".into(),
            iteration: None,
            options: QueueOptions { correlation_id, ..QueueOptions::default() },
        };
        if let Some(enqueued) = self.make(enqueue).durable() {
            let sql = "UPDATE commands SET max_attempts = ?2 WHERE id = ?1";
            self.process().conn.execute(sql, (enqueued.command.id, attempts)).unwrap();
        }
        Cause::Nothing
    }

    fn flight(&mut self, id: i64) -> Option<&mut Flight> {
        self.process().flights.iter_mut().find(|flight| flight.push.delivery.id == id)
    }

    /// Records that the push is about to happen. Only the holder of the claim may.
    pub(super) fn begin(&mut self, before: &Ledger, id: i64, transport: TransportKind) -> Cause {
        let Some(flight) = self.flight(id).filter(|flight| flight.state == FlightState::Claimed) else {
            return Cause::Nothing;
        };
        let begin = BeginPush { delivery_id: id, fence: flight.push.delivery.fence, transport };
        let Made::Heard(has_begun) = self.make(begin) else { return Cause::Begun(id) };
        assert_eq!(has_begun, before.deliveries[&id].state == DeliveryState::Claimed, "delivery {id}");
        assert!(!has_begun || !self.lost_claims.contains(&id), "delivery {id} began without its claim");
        if let Some(flight) = self.flight(id) {
            flight.state = if has_begun { FlightState::Begun } else { FlightState::Refused };
        }
        Cause::Begun(id)
    }

    /// The text leaves. Whoever else has sent it must have been found not to have.
    pub(super) fn act(&mut self, before: &Ledger, id: i64) -> Cause {
        let Some(flight) = self.flight(id).filter(|flight| flight.state == FlightState::Begun) else {
            return Cause::Nothing;
        };
        flight.state = FlightState::Acted;
        let push = flight.push.clone();
        let subject = before.subject(id);
        for earlier in self.effects.iter().filter(|effect| effect.subject == subject) {
            let settled = self.settled.get(&earlier.delivery);
            assert_eq!(settled, Some(&Settlement::Failed), "delivery {id} repeats {earlier:?}");
        }
        let is_rpc = before.deliveries[&id].transport.as_deref() == Some(TransportKind::AppServer.as_str());
        let mark = format!("go on {}", self.effects.len());
        let letter = Letter {
            header: OriginHeader {
                kind: push.signal,
                from: push.from,
                correlation_id: push.correlation_id,
                delivery: id,
            },
            client_id: if is_rpc { push.delivery.client_message_id } else { format!("of Codex: {mark}") },
            mark,
        };
        let target = self.session_of(&push.target_session_id);
        self.effects.push(Effect { delivery: id, subject, target, letter, arrived: false });
        Cause::Nothing
    }

    /// The deliveries whose texts left and have not arrived.
    pub(super) fn on_the_way(&self) -> Vec<i64> {
        self.effects.iter().filter(|effect| !effect.arrived).map(|effect| effect.delivery).collect()
    }

    /// The text of a delivery arrives in the thread where its target is; gives the target.
    pub(super) fn arrives(&mut self, delivery: i64, half: bool) -> Option<usize> {
        let is_it = |effect: &&mut Effect| effect.delivery == delivery && !effect.arrived;
        let effect = self.effects.iter_mut().find(is_it)?;
        effect.arrived = true;
        let (target, letter) = (effect.target, effect.letter.clone());
        self.thread(target).receives(letter, half);
        Some(target)
    }

    /// Records how the push went. Whoever lost its claim changes nothing.
    pub(super) fn finish(&mut self, before: &Ledger, id: i64, is_certain: bool) -> Cause {
        let Some(flight) = self.flight(id) else { return Cause::Nothing };
        let error = "no answer".to_owned();
        let outcome = match (flight.state, is_certain) {
            (FlightState::Acted, true) => PushOutcome::Sent { result: json!({}) },
            (FlightState::Begun | FlightState::Acted, false) => {
                PushOutcome::Unknown { error, pane_class: None }
            }
            (state, _) => {
                PushOutcome::NotSent { error, pane_class: None, begun: state == FlightState::Begun }
            }
        };
        let push = flight.push.clone();
        self.process().flights.retain(|flight| flight.push.delivery.id != id);
        self.make(FinishPush { push, outcome });
        if self.lost_claims.contains(&id) {
            assert_eq!(self.ledger(), *before, "delivery {id} was finished without its claim");
        }
        Cause::Finished(id)
    }
}
