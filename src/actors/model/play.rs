//! Makes the steps, and holds everything to the rules after each change.

use proptest::sample::Index;

use super::ledger::Ledger;
use super::rules::{self, Cause};
use super::stage::{FlightState, Stage, pick};
use super::step::{Fate, Move, PROCESSES, Step};
use super::thread::Deed;
use crate::domain::transport::TransportKind;
use crate::domain::{DeliveryState, TurnOutcome};

impl Stage {
    /// Makes a step, of one change or several. One that cannot be made now is none.
    pub(super) fn play(&mut self, Move { step, process, fate }: Move) {
        self.now = (process, fate);
        match step {
            Step::Burst { who, turns } => (0..turns).for_each(|_| self.makes_a_turn(who)),
            Step::Ingest { who } => self.ingest(who),
            Step::Follow { who } => self.follow(who),
            Step::Register { who, pushable } => self.register_again(who, pushable),
            Step::Push { flight, transport, is_seen } => self.push_any(flight, transport, is_seen),
            step => self.change(|stage, before| stage.play_one(before, step)),
        }
        self.now.1 = Fate::Lives;
    }

    /// Makes a change and holds what came of it to the rules.
    pub(super) fn change(&mut self, play: impl FnOnce(&mut Self, &Ledger) -> Cause) {
        self.tally.changes += 1;
        let before = self.ledger();
        let cause = play(self, &before);
        rules::hold(self, &before, &cause);
    }

    fn play_one(&mut self, before: &Ledger, step: Step) -> Cause {
        match step {
            Step::Does { who, deed, half } => self.thread(who).does(deed, half),
            Step::Clears { who } => self.clears(who),
            Step::Resumes { who, thread } => self.resumes(who, thread),
            Step::Rebind { task, worker, manager } => self.rebind(task, worker, manager),
            Step::Read { who } => self.read(who),
            Step::Restart => self.restart(self.now.0),
            step => return self.play_for(before, &step).unwrap_or(Cause::Nothing),
        }
        Cause::Nothing
    }

    /// Steps that have to find somebody or something first. `None` when there is none.
    fn play_for(&mut self, before: &Ledger, step: &Step) -> Option<Cause> {
        Some(match *step {
            Step::Store { reader } => {
                let who = pick(&self.readers_with_batches(), reader)?;
                self.store(who)
            }
            Step::Pass { limit, back_off } => self.pass(limit, back_off),
            Step::Begin { flight, transport } => {
                let id = self.take_over(flight, |state| state == FlightState::Claimed)?;
                self.begin(before, id, transport)
            }
            Step::Act { flight } => {
                let id = self.take_over(flight, |state| state == FlightState::Begun)?;
                self.act(before, id)
            }
            Step::Finish { flight, is_certain } => {
                let id = self.take_over(flight, |_| true)?;
                self.finish(before, id, is_certain)
            }
            Step::Arrives { effect, half } => {
                self.arrives(pick(&self.on_the_way(), effect)?, half);
                Cause::Nothing
            }
            Step::Nudge { who } => self.nudge(who),
            Step::Enqueue { task, to_manager, shared_id, attempts } => {
                self.enqueue(task, to_manager, shared_id, attempts)
            }
            Step::Lease { inbox } => self.lease(pick(&self.inboxes(before), inbox)?),
            Step::Take { inbox } => self.take(pick(&self.inboxes(before), inbox)?),
            Step::Cycle { inbox } => self.cycle(before, pick(&self.inboxes(before), inbox)?),
            Step::Acknowledge { hold, with_token } => {
                let hold = pick(&self.holds, hold)?;
                self.acknowledge(before, hold, with_token)
            }
            Step::ClaimsRunOut => self.claims_run_out(),
            Step::LeasesRunOut => self.leases_run_out(),
            Step::LookForOverdue => self.look_for_overdue(),
            Step::Settle { delivery, settlement } => {
                let is_unknown = |id: &&i64| before.deliveries[*id].state == DeliveryState::Unknown;
                let unknown: Vec<i64> = before.deliveries.keys().filter(is_unknown).copied().collect();
                self.settle(pick(&unknown, delivery)?, settlement)
            }
            _ => return None,
        })
    }

    /// Makes the process that has a flight in such a state the present one.
    fn take_over(&mut self, flight: Index, is_wanted: impl Fn(FlightState) -> bool) -> Option<i64> {
        let flights: Vec<(usize, i64)> = (0..PROCESSES)
            .flat_map(|process| self.processes[process].flights.iter().map(move |flight| (process, flight)))
            .filter(|(_, flight)| is_wanted(flight.state))
            .map(|(process, flight)| (process, flight.push.delivery.id))
            .collect();
        let (process, id) = pick(&flights, flight)?;
        self.now.0 = process;
        Some(id)
    }

    fn readers_with_batches(&self) -> Vec<usize> {
        let readers = self.processes[self.now.0].readers.iter();
        readers.filter(|(_, reader)| reader.batch.is_some()).map(|(who, _)| *who).collect()
    }

    /// The sessions in whose inboxes something waits.
    fn inboxes(&self, ledger: &Ledger) -> Vec<usize> {
        let has_items = |who: &usize| {
            let id = &self.sessions[*who].id;
            ledger
                .notes
                .values()
                .any(|note| note.target == *id && note.state == "delivered" && note.consumed.is_none())
        };
        (0..self.sessions.len()).filter(has_items).collect()
    }

    fn makes_a_turn(&mut self, who: usize) {
        let thread = self.thread(who);
        thread.does(Deed::Start, false);
        thread.does(Deed::End(TurnOutcome::Completed), false);
    }

    fn push_any(&mut self, flight: Index, transport: TransportKind, is_seen: bool) {
        if let Some(id) = self.take_over(flight, |state| state == FlightState::Claimed) {
            self.push(id, transport, is_seen);
        }
    }

    /// The whole of a push, which arrives, and may be seen to, before the transport has answered.
    pub(super) fn push(&mut self, id: i64, transport: TransportKind, is_seen: bool) {
        self.change(|stage, before| stage.begin(before, id, transport));
        self.change(|stage, before| stage.act(before, id));
        if let Some(target) = self.arrives(id, false)
            && is_seen
        {
            self.follow(target);
            self.ingest(target);
        }
        self.change(|stage, before| stage.finish(before, id, true));
    }
}
