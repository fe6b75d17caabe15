//! The rules of Dispatch, on a real database.

mod commands;
mod facts;
mod loops;
mod nudges;
mod pushes;
mod races;
mod session_facts;

use serde_json::{Value, json};

use super::*;
use crate::domain::TurnOutcome;
use crate::domain::command::QueuedCommand;
use crate::store::bindings::BoundTask;
use crate::store::commands::Command;
use crate::store::testing::TestDb;

/// A task with a bound pair. Nobody can be pushed to.
struct Desk {
    db: TestDb,
    bound: BoundTask,
}

impl Desk {
    fn new() -> Self {
        let mut db = TestDb::new();
        let bound = db.pair("a");
        Self { db, bound }
    }

    /// One whose sessions are reached by a push.
    fn pushing() -> Self {
        let desk = Self::new();
        desk.db.conn.execute("UPDATE sessions SET tmux_session = name", []).unwrap();
        desk
    }

    fn pass_with(&mut self, change: impl FnOnce(&mut PassOptions)) -> Vec<Step> {
        let mut options = PassOptions {
            dispatcher_id: "d-1".into(),
            limit: 10,
            filter: None,
            lease_seconds: 60,
            back_off: false,
        };
        change(&mut options);
        self.db.write(Pass(options)).unwrap()
    }

    fn pass(&mut self) -> Vec<Step> {
        self.pass_with(|_| {})
    }

    /// The one push that a pass hands out.
    fn push(&mut self) -> Push {
        let [step] = self.pass().try_into().unwrap();
        push_of(step)
    }

    /// The states that the finished items of a pass are reported in.
    fn reported(&mut self) -> Vec<String> {
        let steps = self.pass();
        steps.iter().map(|step| report(step)["state"].as_str().unwrap().to_owned()).collect()
    }

    fn begin(&mut self, push: &Push) -> bool {
        let (delivery_id, fence) = (push.delivery.id, push.delivery.fence);
        self.db.write(BeginPush { delivery_id, fence, transport: TransportKind::Tmux }).unwrap()
    }

    fn finish(&mut self, push: &Push, outcome: PushOutcome) -> Entry {
        self.db.write(FinishPush { push: push.clone(), outcome }).unwrap()
    }

    /// A worker's turn ended.
    fn fact(&self, turn: &str, outcome: TurnOutcome) {
        self.db.fact(&self.bound, turn, outcome);
    }

    fn enqueue(&mut self, command: QueuedCommand, message: &str) -> Command {
        self.db.enqueue(command, "a", message)
    }

    fn run(&self, sql: &str) {
        self.db.conn.execute(sql, []).unwrap();
    }

    /// Every claim has run out.
    fn expire_claims(&self) {
        for table in ["commands", "routed_notifications"] {
            self.run(&format!(
                "UPDATE {table} SET claim_expires_at = '2020-01-01T00:00:00.000Z' WHERE claim_expires_at IS NOT NULL"
            ));
        }
    }

    /// As [`TestDb::ledger`].
    fn ledger(&self) -> String {
        self.db.ledger()
    }
}

fn push_of(step: Step) -> Push {
    match step {
        Step::Push(push) => *push,
        Step::Done(report) => panic!("not a push: {report:?}"),
    }
}

fn report(step: &Step) -> &Entry {
    match step {
        Step::Done(report) => report,
        Step::Push(push) => panic!("not finished: {push:?}"),
    }
}

fn sent() -> PushOutcome {
    PushOutcome::Sent { result: json!({"pane": "%1"}) }
}

fn not_sent(begun: bool) -> PushOutcome {
    PushOutcome::NotSent { error: "the pane is gone".into(), pane_class: None, begun }
}

fn unknown() -> PushOutcome {
    PushOutcome::Unknown { error: "no answer".into(), pane_class: Some("working".into()) }
}
