//! The end of a story: what is still on its way gets there, or is shown as unknown.

use super::ledger::Ledger;
use super::stage::Stage;
use super::step::{Fate, PROCESSES, SESSIONS, TASKS};
use crate::domain::DeliveryState;
use crate::domain::transport::TransportKind;
use crate::store::Query;
use crate::store::mailbox::DeadLetters;

/// No story needs as many passes to come to rest.
const ENOUGH_ROUNDS: usize = 50;

/// Everybody who was at work is dead; one process goes on, and everything it pushes arrives.
pub(super) fn everything_gets_there(stage: &mut Stage) {
    (0..PROCESSES).for_each(|process| stage.restart(process));
    stage.now = (0, Fate::Lives);
    stage.threads.iter_mut().for_each(super::thread::Thread::finish_line);
    bind_all(stage);
    for _ in 0..ENOUGH_ROUNDS {
        let before = stage.ledger();
        go_round(stage);
        if stage.ledger() == before {
            all_is_told(stage, &before);
            mailboxes_are_emptied(stage);
            return database_is_sound(stage);
        }
    }
    panic!("no rest after {ENOUGH_ROUNDS} rounds");
}

/// Binds what is not bound.
fn bind_all(stage: &mut Stage) {
    for task in 0..TASKS {
        for (worker, manager) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            if !is_bound(stage, task) {
                stage.rebind(task, worker, manager);
            }
        }
    }
}

fn is_bound(stage: &Stage, task: usize) -> bool {
    let sql = "SELECT EXISTS (SELECT 1 FROM bindings b JOIN tasks t ON t.id = b.task_id WHERE t.name = ?1 AND b.state = 'active')";
    stage.look().query_row(sql, [format!("t{task}")], |row| row.get(0)).unwrap()
}

fn go_round(stage: &mut Stage) {
    stage.change(|stage, _| stage.claims_run_out());
    for who in 0..SESSIONS {
        stage.follow(who);
        stage.ingest(who);
    }
    stage.change(|stage, _| stage.pass(100, false));
    while let Some(flight) = stage.process().flights.first() {
        let id = flight.push.delivery.id;
        stage.push(id, TransportKind::Tmux, false);
    }
    stage.change(|stage, _| stage.look_for_overdue());
}

/// Every turn was announced, every message was sent, and what is not known to have arrived is shown
/// as unknown.
fn all_is_told(stage: &Stage, ledger: &Ledger) {
    for thread in &stage.threads {
        let facts = ledger.facts.values().filter(|fact| fact.thread_id == thread.id).count();
        assert_eq!(facts, thread.ends.len(), "facts of {}", thread.id);
    }
    let is_worker = |id: &str| stage.threads.iter().any(|thread| thread.id == id && thread.owner < 2);
    for fact in ledger.facts.values().filter(|fact| is_worker(&fact.thread_id)) {
        assert!(fact.routed, "nobody was told of {fact:?}");
    }
    for command in ledger.commands.values() {
        assert!(matches!(command.state.as_str(), "succeeded" | "failed"), "{command:?}");
    }
    for (id, delivery) in &ledger.deliveries {
        let is_at_rest = !matches!(delivery.state, DeliveryState::Claimed | DeliveryState::Started);
        assert!(is_at_rest, "delivery {id} {delivery:?}");
    }
    for effect in stage.effects.iter().filter(|effect| effect.arrived) {
        let state = ledger.deliveries[&effect.delivery].state;
        let was_judged = stage.settled.contains_key(&effect.delivery);
        assert!(state == DeliveryState::Observed || was_judged, "{effect:?} arrived and is {state}");
    }
    for (id, note) in ledger.notes.iter().filter(|(_, note)| note.command_id.is_none()) {
        let unknown = ledger.deliveries_of(*id).any(|delivery| delivery.state == DeliveryState::Unknown);
        assert!(note.state == "delivered" || unknown, "fact's notification {id} {note:?}");
    }
}

/// Each item that waits is had by exactly one reader, or is a dead letter.
fn mailboxes_are_emptied(stage: &mut Stage) {
    stage.change(|stage, _| stage.leases_run_out());
    for who in 0..SESSIONS {
        while {
            let held = stage.taken.len();
            stage.change(|stage, _| stage.take(who));
            stage.taken.len() > held
        } {}
    }
    let letters = DeadLetters { session_id: None, limit: u32::MAX };
    let dead: Vec<i64> = letters.run(stage.look()).unwrap().into_iter().map(|letter| letter.id).collect();
    for (id, note) in stage.ledger().notes {
        let is_settled = note.consumed.is_some() != dead.contains(&id);
        assert!(note.state != "delivered" || is_settled, "item {id} {note:?}");
    }
}

fn database_is_sound(stage: &Stage) {
    let check = |sql: &str| -> Vec<String> {
        let mut statement = stage.look().prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(check("PRAGMA integrity_check"), ["ok"]);
    assert_eq!(check("PRAGMA foreign_key_check"), Vec::<String>::new());
}
