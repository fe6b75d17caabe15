//! Several dispatchers at once, each with a connection of its own.

use std::sync::Barrier;

use rusqlite::{Connection, TransactionBehavior};

use super::*;

const DISPATCHERS: usize = 4;
const ITEMS: usize = 40;

fn in_transaction<C: Change>(conn: &mut Connection, change: C) -> C::Out {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let out = change.run(&tx).unwrap();
    tx.commit().unwrap();
    out
}

/// Passes until nothing is left, making every push; gives how many items it had.
fn dispatch(conn: &mut Connection, dispatcher_id: String) -> usize {
    let mut had = 0;
    loop {
        let options = PassOptions {
            dispatcher_id: dispatcher_id.clone(),
            limit: 3,
            filter: None,
            lease_seconds: 60,
            back_off: false,
        };
        let steps = in_transaction(conn, Pass(options));
        if steps.is_empty() {
            return had;
        }
        had += steps.len();
        for step in steps {
            let Step::Push(push) = step else { continue };
            let (delivery_id, fence) = (push.delivery.id, push.delivery.fence);
            let begin = BeginPush { delivery_id, fence, transport: TransportKind::Tmux };
            assert!(in_transaction(conn, begin), "somebody else took {push:?}");
            in_transaction(conn, FinishPush { push: *push, outcome: sent() });
        }
    }
}

#[test]
fn racing_dispatchers_deliver_everything_once() {
    for mut desk in [Desk::new(), Desk::pushing()] {
        for item in 0..ITEMS {
            desk.enqueue(QueuedCommand::NudgeWorker, "go on");
            desk.fact(&format!("t-{item}"), TurnOutcome::Completed);
        }
        let start = Barrier::new(DISPATCHERS);
        let race = &|mut conn: Connection, number: usize| {
            start.wait();
            dispatch(&mut conn, format!("d-{number}"))
        };
        let connections: Vec<Connection> = (0..DISPATCHERS).map(|_| desk.db.connect()).collect();
        let had: usize = std::thread::scope(|scope| {
            let numbered = connections.into_iter().zip(1..);
            let racers: Vec<_> =
                numbered.map(|(conn, number)| scope.spawn(move || race(conn, number))).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!(had, 2 * ITEMS);
        let count = |sql: &str| desk.db.number(sql) as usize;
        assert_eq!(count("SELECT count(*) FROM routed_notifications WHERE state = 'delivered'"), 2 * ITEMS);
        assert_eq!(count("SELECT count(*) FROM deliveries"), 2 * ITEMS);
        assert_eq!(count("SELECT count(*) FROM deliveries WHERE state = 'sent'"), 2 * ITEMS);
        assert_eq!(count("SELECT count(*) FROM command_attempts WHERE state = 'succeeded'"), ITEMS);
    }
}
