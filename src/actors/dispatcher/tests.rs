//! The dispatcher with a stand-in for the sessions it delivers to.

use std::collections::HashMap;

use tokio::sync::{mpsc, watch};

use super::*;
use crate::actors::guardian::ChildId;
use crate::actors::testing::{PATIENCE, mourned, paths, store, until};
use crate::domain::TurnOutcome;
use crate::domain::command::QueuedCommand;
use crate::store::dispatch::{BeginPush, FinishPush, Push, PushOutcome};
use crate::store::testing::TestDb;

/// Sends everything, some of it only when it may.
struct Post {
    store: Store,
    /// By text: waits until this is true.
    gates: HashMap<&'static str, watch::Receiver<bool>>,
    /// The texts, as they are sent.
    sent: mpsc::UnboundedSender<String>,
}

impl Actor for Post {
    type Context = Context<Self>;
}

impl Handler<Deliver> for Post {
    type Result = ResponseFuture<Result<Entry, Failure>>;

    fn handle(&mut self, Deliver(push): Deliver, _: &mut Context<Self>) -> Self::Result {
        let (store, sent) = (self.store.clone(), self.sent.clone());
        let gate = self.gates.get(push.text.as_str()).cloned();
        Box::pin(async move {
            if let Some(mut gate) = gate {
                let _ = gate.wait_for(|open| *open).await;
            }
            let _ = sent.send(push.text.clone());
            send(&store, push).await
        })
    }
}

async fn send(store: &Store, push: Push) -> Result<Entry, Failure> {
    let (delivery_id, fence) = (push.delivery.id, push.delivery.fence);
    let begin = BeginPush { delivery_id, fence, transport: crate::domain::transport::TransportKind::Tmux };
    assert!(store.write(begin).await?, "the claim was lost");
    Ok(store.write(FinishPush { push, outcome: PushOutcome::Sent { result: serde_json::json!({}) } }).await?)
}

/// Two pairs, reached by a push, and the dispatcher.
struct Desk {
    db: TestDb,
    dispatcher: Addr<Dispatcher>,
    sent: mpsc::UnboundedReceiver<String>,
}

impl Desk {
    fn new(watches_as: Option<&str>, gates: HashMap<&'static str, watch::Receiver<bool>>) -> Self {
        let mut db = TestDb::new();
        db.pair("a");
        db.pair("b");
        db.conn.execute("UPDATE sessions SET tmux_session = name", []).unwrap();
        let store = store(&db);
        let (tell, sent) = mpsc::unbounded_channel();
        let post = Post { store: store.clone(), gates, sent: tell }.start();
        let (obituary, _) = mourned(ChildId::Dispatcher);
        let watches_as = watches_as.map(str::to_owned);
        let dispatcher = Dispatcher::new(obituary, store, paths(&db), post.recipient(), watches_as).start();
        Self { db, dispatcher, sent }
    }

    fn nudge(&mut self, task: &str, text: &str) -> String {
        self.db.enqueue(QueuedCommand::NudgeWorker, task, text).id
    }

    async fn sends(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.sent.recv()).await.unwrap().unwrap()
    }
}

fn pass(lease_seconds: i64, dry_run: bool) -> MakePass {
    let dispatcher_id = "d-1".into();
    MakePass {
        options: PassOptions { dispatcher_id, limit: 10, filter: None, lease_seconds, back_off: false },
        dry_run,
    }
}

#[actix::test]
async fn reports_come_in_the_order_of_the_items_whatever_ends_first() {
    let (open, gate) = watch::channel(false);
    let mut desk = Desk::new(None, HashMap::from([("one", gate)]));
    let ids = [desk.nudge("a", "one"), desk.nudge("b", "two"), desk.nudge("b", "three")];
    let made = desk.dispatcher.send(pass(60, false));
    let opened_last = async {
        assert_eq!([desk.sends().await, desk.sends().await], ["two", "three"]);
        open.send(true).unwrap();
    };
    let (reports, ()) = futures_util::future::join(made, opened_last).await;
    let reports = reports.unwrap().unwrap();
    assert_eq!(reports.iter().map(|report| report["command_id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
}

#[actix::test]
async fn a_slow_session_does_not_hold_up_the_others() {
    let (open, gate) = watch::channel(false);
    let mut desk = Desk::new(Some("d-1"), HashMap::from([("slow", gate)]));
    desk.nudge("a", "slow");
    until(&desk.db, "the claim", |db| db.ledger() == "attempted / running / pending / claimed").await;
    for text in ["one", "two"] {
        desk.nudge("b", text);
        assert_eq!(desk.sends().await, text);
    }
    open.send(true).unwrap();
    assert_eq!(desk.sends().await, "slow");
    until(&desk.db, "the end", |db| {
        db.number("SELECT count(*) FROM commands WHERE state = 'succeeded'") == 3
    })
    .await;
}

#[actix::test]
async fn a_push_that_outlasts_its_lease_keeps_its_claim() {
    let (open, gate) = watch::channel(false);
    let mut desk = Desk::new(None, HashMap::from([("slow", gate)]));
    desk.nudge("a", "slow");
    let made = desk.dispatcher.send(pass(1, false));
    let outlast = async {
        until(&desk.db, "the claim", |db| db.ledger() == "attempted / running / pending / claimed").await;
        let expires = |db: &TestDb| db.texts("SELECT claim_expires_at FROM commands").pop();
        let first = expires(&desk.db);
        until(&desk.db, "a renewed claim", |db| expires(db) > first).await;
        open.send(true).unwrap();
    };
    let (reports, ()) = futures_util::future::join(made, outlast).await;
    assert_eq!(reports.unwrap().unwrap()[0]["state"], "delivered");
}

#[actix::test]
async fn a_dry_run_changes_nothing_and_sends_nothing() {
    let mut desk = Desk::new(None, HashMap::new());
    desk.nudge("a", "one");
    let plans = desk.dispatcher.send(pass(60, true)).await.unwrap().unwrap();
    assert_eq!(plans[0]["state"], "planned");
    assert_eq!(desk.db.ledger(), "pending /  /  / ");
    assert!(desk.sent.try_recv().is_err());
}

#[actix::test]
async fn a_watching_dispatcher_beats_and_takes_up_what_is_there() {
    let desk = Desk::new(Some("d-1"), HashMap::new());
    let pair = crate::store::bindings::bound_task(&desk.db.conn, "a").unwrap();
    desk.db.fact(&pair, "t-1", TurnOutcome::Completed);
    until(&desk.db, "the fact", |db| db.ledger() == " /  / delivered / sent").await;
    let pid = desk.db.number("SELECT pid FROM dispatcher_heartbeats WHERE dispatcher_id = 'd-1'");
    assert_eq!(pid, i64::from(std::process::id()));
}
