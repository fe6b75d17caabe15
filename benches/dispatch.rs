//! Commands queued by many at once, and delivered: everything durable.

use std::thread;
use std::time::{Duration, Instant};

use conveyor::domain::QueuedCommand;
use conveyor::store::Store;
use conveyor::store::commands::{Enqueue, QueueOptions};
use rusqlite::Connection;

use crate::Options;
use crate::support::limits;
use crate::support::report::{Goal, Row};
use crate::support::supervisor::{StateRoot, Supervisor};

const GOAL_PER_SECOND: f64 = 5000.0;

/// How many wait for their command to be durable at the same time.
const AT_ONCE: u32 = 64;

pub(crate) fn measure(options: &Options) -> Vec<Row> {
    let supervisor = Supervisor::start(StateRoot::new(&options.directory()));
    drop(supervisor.bind_pair("t"));
    let root = supervisor.stop();
    let commit_ms = limits::commit(root.path(), options.samples).median_ms();
    let begun = Instant::now();
    actix::System::new().block_on(enqueue(&root, options.deliveries));
    let enqueued = f64::from(options.deliveries) / begun.elapsed().as_secs_f64();
    let dispatched = dispatch(root, options.deliveries);
    let limit = |row: Row| row.limit("SQLite commits of one row each", 1e3 / commit_ms, "/s");
    vec![
        limit(Row::new(format!("commands queued, {AT_ONCE} at once"), enqueued, "/s")),
        limit(
            Row::new("commands delivered to a mailbox", dispatched, "/s")
                .goal(Goal::AtLeast(GOAL_PER_SECOND)),
        ),
    ]
}

async fn enqueue(root: &StateRoot, commands: u32) {
    let store = Store::open(&root.database(), 1).unwrap();
    let one_of_them = |_| {
        let store = store.clone();
        async move {
            for _ in 0..commands / AT_ONCE {
                store.write(command()).await.unwrap();
            }
        }
    };
    futures_util::future::join_all((0..AT_ONCE).map(one_of_them)).await;
    store.close().await;
}

fn command() -> Enqueue {
    Enqueue {
        command: QueuedCommand::NudgeWorker,
        task: "t".to_owned(),
        message: "go on with the next step".to_owned(),
        iteration: None,
        options: QueueOptions::default(),
    }
}

/// Deliveries a second, from the first that can be seen to the last.
fn dispatch(root: StateRoot, commands: u32) -> f64 {
    let commands = i64::from(commands / AT_ONCE * AT_ONCE);
    let database = Connection::open(root.database()).unwrap();
    let delivered = || -> i64 {
        let sql = "SELECT count(*) FROM deliveries WHERE transport = 'mailbox' AND state = 'sent'";
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let _supervisor = Supervisor::start(root);
    let first = wait_for(&delivered, 1);
    let begun = Instant::now();
    wait_for(&delivered, commands);
    (commands - first) as f64 / begun.elapsed().as_secs_f64()
}

fn wait_for(delivered: &dyn Fn() -> i64, number: i64) -> i64 {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let now = delivered();
        if now >= number {
            return now;
        }
        assert!(Instant::now() < deadline, "{now} of {number} delivered");
        thread::sleep(Duration::from_millis(2));
    }
}
