//! Stand-ins for the actors around the one under test.

mod pane;

use std::time::Duration;

use actix::prelude::*;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::guardian::{ChildDown, ChildId, Obituary};
use super::paths::Paths;
use crate::store::tasks::ListTasks;
use crate::store::testing::TestDb;
use crate::store::{Store, Topic};

pub(super) use pane::{FakePane, no_answer, pane};

/// Long enough for a loaded machine; only a failing test waits this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Hears of dead children.
struct Mourner(mpsc::UnboundedSender<ChildDown>);

impl Actor for Mourner {
    type Context = Context<Self>;
}

impl Handler<ChildDown> for Mourner {
    type Result = ();

    fn handle(&mut self, down: ChildDown, _: &mut Context<Self>) {
        // A test that is not interested has dropped its end.
        let _ = self.0.send(down);
    }
}

/// The obituary of a child, and where it is heard of.
pub(super) fn mourned(id: ChildId) -> (Obituary, mpsc::UnboundedReceiver<ChildDown>) {
    let (tell, heard) = mpsc::unbounded_channel();
    (Obituary::new(id, Mourner(tell).start().recipient()), heard)
}

/// A store on the test's database.
pub(super) fn store(db: &TestDb) -> Store {
    Store::open(db.path(), 1).unwrap()
}

/// The paths of a runtime on the test's database.
pub(super) fn paths(db: &TestDb) -> Paths {
    Paths::of(db.path().parent().unwrap(), None)
}

/// Looks that stand in line behind one of somebody else's until it has surely been taken.
const LOOKS: usize = 20;

/// Lets a `waiter` that nobody has polled begin to watch for arrivals in an inbox, and look; holds that it
/// goes on waiting.
pub(super) async fn still_waits<T>(store: &Store, waiter: &mut (impl Future<Output = T> + Unpin)) {
    let before = store.signals().watchers(Topic::Inbox);
    let has_looked = async {
        eventually("its watching", || store.signals().watchers(Topic::Inbox) > before).await;
        for _ in 0..LOOKS {
            store.read(ListTasks { active_only: false }).await.unwrap();
        }
    };
    tokio::select! {
        _ = waiter => panic!("it waits for nothing"),
        () = has_looked => {}
    }
}

/// Waits until `condition` holds.
pub(super) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until `condition` holds of the database.
pub(super) async fn until(db: &TestDb, what: &str, condition: impl Fn(&TestDb) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition(db) {
        assert!(Instant::now() < deadline, "waited in vain for {what}: {}", db.ledger());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
