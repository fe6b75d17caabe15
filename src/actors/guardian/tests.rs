//! Children that panic, and a guardian that stops.

use super::*;
use crate::actors::testing::{FakePane, PATIENCE, eventually, paths, store, until};
use crate::domain::TurnOutcome;
use crate::domain::command::QueuedCommand;
use crate::store::bindings::BoundTask;
use crate::store::dispatch::{Pass, PassOptions, Push, Step};
use crate::store::sessions::GetLinkedSession;
use crate::store::testing::TestDb;

/// Makes the dispatcher, or a tailer, panic.
#[derive(Message)]
#[rtype(result = "()")]
struct Break;

impl Handler<Break> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: Break, _: &mut Context<Self>) {
        panic!("on purpose");
    }
}

impl Handler<Break> for Guardian {
    type Result = ();

    fn handle(&mut self, broken: Break, ctx: &mut Context<Self>) {
        self.dispatcher(ctx).do_send(broken);
    }
}

impl Handler<Break> for Tailer {
    type Result = ();

    fn handle(&mut self, _: Break, _: &mut Context<Self>) {
        panic!("on purpose");
    }
}

/// Makes the tailers that are there panic; gives how many there were.
#[derive(Message)]
#[rtype(result = "usize")]
struct BreakTailers;

impl Handler<BreakTailers> for Guardian {
    type Result = usize;

    fn handle(&mut self, _: BreakTailers, _: &mut Context<Self>) -> usize {
        let living = self.tailers.values().filter(|(_, tailer)| tailer.connected());
        living.inspect(|(_, tailer)| tailer.do_send(Break)).count()
    }
}

/// A pair whose worker is in a pane.
struct Desk {
    db: TestDb,
    bound: BoundTask,
    store: Store,
    pane: FakePane,
}

impl Desk {
    fn new() -> Self {
        let mut db = TestDb::new();
        let bound = db.pair("a");
        db.conn.execute("UPDATE sessions SET tmux_session = name WHERE role = 'worker'", []).unwrap();
        Self { store: store(&db), db, bound, pane: FakePane::default() }
    }

    fn guardian(&self, dispatches_as: Option<&str>) -> Guardian {
        let terminal = self.pane.terminal();
        let mut guardian =
            Guardian::new(self.store.clone(), paths(&self.db), dispatches_as.map(str::to_owned));
        guardian.terminals = Rc::new(move |_| terminal.clone());
        guardian
    }

    /// Waits until a push is on record as begun.
    async fn has_begun(&self) {
        until(&self.db, "a push to begin", |db| db.ledger().contains("started")).await;
    }

    async fn claim(&mut self) -> Push {
        self.db.enqueue(QueuedCommand::NudgeWorker, "a", "go on");
        let options = PassOptions {
            dispatcher_id: "d-1".into(),
            limit: 1,
            filter: None,
            lease_seconds: 60,
            back_off: false,
        };
        match self.store.write(Pass(options)).await.unwrap().pop() {
            Some(Step::Push(push)) => *push,
            other => panic!("not a push: {other:?}"),
        }
    }
}

#[actix::test]
async fn a_dispatcher_that_panicked_is_rebuilt_and_goes_on() {
    let desk = Desk::new();
    let guardian = desk.guardian(Some("d-1")).start();
    for turn in ["t-1", "t-2", "t-3"] {
        guardian.send(Break).await.unwrap();
        desk.db.fact(&desk.bound, turn, TurnOutcome::Completed);
        let delivered =
            format!("SELECT count(*) FROM turn_facts WHERE turn_key = '{turn}' AND routed_at IS NOT NULL");
        until(&desk.db, turn, |db| db.number(&delivered) == 1).await;
    }
}

#[actix::test]
async fn a_tailer_that_keeps_panicking_rests_longer_and_longer_and_comes_back() {
    let desk = Desk::new();
    desk.db
        .conn
        .execute("UPDATE sessions SET codex_session_path = '/no/rollout' WHERE role = 'worker'", [])
        .unwrap();
    let bound = desk.store.read(BoundSessions).await.unwrap();
    let guardian = desk.guardian(Some("d-1")).start();
    let (began, deadline) = (Instant::now(), Instant::now() + PATIENCE);
    let mut panics = 0;
    while panics < 5 {
        assert!(Instant::now() < deadline, "it did not come back after {panics} panics");
        guardian.send(Follow { bound: bound.clone(), unread: Vec::new() }).await.unwrap();
        panics += guardian.send(BreakTailers).await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(20 + 40 + 80 + 160), "{:?}", began.elapsed());
}

/// Counts the sweeps, and has every look followed by another one at once.
struct Restless {
    store: Store,
    sweeps: Rc<std::cell::Cell<u32>>,
}

impl Actor for Restless {
    type Context = Context<Self>;
}

impl Handler<Follow> for Restless {
    type Result = ();

    fn handle(&mut self, follow: Follow, _: &mut Context<Self>) {
        self.sweeps.set(self.sweeps.get() + u32::from(!follow.unread.is_empty()));
        self.store.signals().raise(Topic::Sessions);
    }
}

#[actix::test]
async fn rollouts_are_swept_however_often_something_else_wakes() {
    let desk = Desk::new();
    desk.db.conn.execute("UPDATE sessions SET codex_session_path = '/no/rollout'", []).unwrap();
    let sweeps = Rc::default();
    let restless = Restless { store: desk.store.clone(), sweeps: Rc::clone(&sweeps) }.start();
    let follow = follow_bound_sessions(desk.store.clone(), restless.recipient(), Duration::from_millis(50));
    actix::spawn(follow);
    eventually("the third sweep", || sweeps.get() >= 3).await;
}

#[actix::test]
async fn a_session_that_panicked_is_rebuilt_for_the_next_delivery() {
    let mut desk = Desk::new();
    let mut guardian = desk.guardian(None);
    let works = guardian.terminals.clone();
    let broken = std::cell::Cell::new(true);
    guardian.terminals = Rc::new(move |socket| {
        assert!(!broken.replace(false), "on purpose");
        works(socket)
    });
    let guardian = guardian.start();
    let lost = guardian.send(Deliver(desk.claim().await)).await.unwrap().unwrap_err();
    assert!(lost.message.contains("has stopped"), "{lost}");
    assert_eq!(desk.db.ledger(), "attempted / running / pending / claimed", "nothing was begun");
    let report = guardian.send(Deliver(desk.claim().await)).await.unwrap().unwrap();
    assert_eq!(report["state"], "delivered");
}

/// How many sessions and tasks there are actors for.
#[derive(Message)]
#[rtype(result = "(usize, usize)")]
struct Count;

impl Handler<Count> for Guardian {
    type Result = MessageResult<Count>;

    fn handle(&mut self, _: Count, _: &mut Context<Self>) -> Self::Result {
        MessageResult((self.sessions.len(), self.tasks.len()))
    }
}

#[actix::test]
async fn a_session_is_let_go_when_it_is_neither_bound_nor_at_work() {
    let mut desk = Desk::new();
    // A second or so.
    desk.pane.state().lost_enters = 1;
    let guardian = desk.guardian(None).start();
    let nothing_bound = || Follow { bound: Vec::new(), unread: Vec::new() };
    let delivered = guardian.send(Deliver(desk.claim().await));
    guardian.send(nothing_bound()).await.unwrap();
    assert_eq!(guardian.send(Count).await.unwrap(), (1, 0), "it is at work");
    assert_eq!(delivered.await.unwrap().unwrap()["state"], "delivered");
    guardian.send(nothing_bound()).await.unwrap();
    assert_eq!(guardian.send(Count).await.unwrap(), (0, 0));
    let report = guardian.send(Deliver(desk.claim().await)).await.unwrap().unwrap();
    assert_eq!(report["state"], "delivered", "by another one");

    let linked = desk.store.read(GetLinkedSession(desk.bound.worker.id.clone())).await.unwrap();
    guardian.send(Follow { bound: vec![linked], unread: Vec::new() }).await.unwrap();
    assert_eq!(guardian.send(Count).await.unwrap(), (1, 0), "it is bound");
    guardian.send(nothing_bound()).await.unwrap();
    assert_eq!(guardian.send(Count).await.unwrap(), (1, 0), "it is attended for as long as it is active");
}

#[actix::test]
async fn stopping_waits_for_the_end_of_a_push_that_has_begun() {
    let mut desk = Desk::new();
    // A second or so.
    desk.pane.state().lost_enters = 1;
    let guardian = desk.guardian(None).start();
    let delivered = guardian.send(Deliver(desk.claim().await));
    desk.has_begun().await;
    let (report, stopped) = futures_util::future::join(delivered, guardian.send(StopAll)).await;
    stopped.unwrap();
    assert_eq!(report.unwrap().unwrap()["state"], "delivered");
    assert_eq!(desk.db.ledger(), "succeeded / succeeded / delivered / sent");
    assert!(guardian.send(Deliver(desk.claim().await)).await.is_err());
}

#[actix::test]
async fn what_waits_for_its_turn_does_not_begin_when_all_is_stopped() {
    let mut desk = Desk::new();
    // A second or so.
    desk.pane.state().lost_enters = 1;
    let guardian = desk.guardian(None).start();
    let (first, second) = (desk.claim().await, desk.claim().await);
    let first = guardian.send(Deliver(first));
    let second = guardian.send(Deliver(second));
    desk.has_begun().await;
    let (first, second, stopped) = futures_util::future::join3(first, second, guardian.send(StopAll)).await;
    stopped.unwrap();
    assert_eq!(first.unwrap().unwrap()["state"], "delivered");
    second.unwrap().unwrap_err();
    assert_eq!(
        desk.db.ledger(),
        "succeeded attempted / succeeded running / delivered pending / sent claimed",
        "its claim runs out, and it is made again"
    );
}

#[test]
fn restarts_are_limited_for_as_long_as_they_follow_each_other() {
    let mut restarts = Restarts::default();
    let mut now = Instant::now();
    let waits: Vec<u128> =
        std::iter::from_fn(|| restarts.wait_before_next(now)).map(|wait| wait.as_millis()).collect();
    assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1280, 2560]);
    now += QUIET;
    assert_eq!(restarts.wait_before_next(now), Some(FIRST_BACKOFF));
}
