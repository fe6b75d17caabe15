//! Waits in a supervisor and without one.

use std::pin::pin;

use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::actors::paths::Paths;
use crate::actors::runtime::{Mode, Runtime};
use crate::actors::testing::{PATIENCE, still_waits};
use crate::domain::{FailureKind, TurnKey, TurnOutcome};
use crate::store::bindings::BoundTask;
use crate::store::testing::TestDb;
use crate::store::turn_facts::{self, NewFact};

/// Long enough that a test which needs it to end has failed.
const FOREVER: Seconds = Seconds::whole(3600);

struct Desk {
    db: TestDb,
    one: BoundTask,
    two: BoundTask,
    runtime: Runtime,
}

impl Desk {
    fn new(mode: Mode) -> Self {
        let mut db = TestDb::new();
        let (one, two) = (db.pair("one"), db.pair("two"));
        let paths = Paths::of(db.path().parent().unwrap(), Some(db.path().to_owned()));
        let runtime = Runtime::start(paths, mode).unwrap();
        Self { db, one, two, runtime }
    }

    async fn wait(&self, change: impl FnOnce(&mut WaitArgs)) -> Result<WaitReply, Failure> {
        let mut args = WaitArgs {
            conditions: vec![Condition::TurnEnd],
            task: Vec::new(),
            session: Vec::new(),
            any: false,
            all: false,
            timeout: FOREVER,
            since: None,
        };
        change(&mut args);
        args.serve(self.runtime.hub(), &Caller::default()).await
    }

    /// As another process would record it.
    fn turn_ends(&self, pair: &BoundTask, turn: &str) {
        let fact = NewFact {
            session_id: &pair.worker.id,
            thread_id: &pair.worker.id,
            key: &TurnKey::Id(turn.into()),
            outcome: TurnOutcome::Completed,
            event_id: None,
            error: None,
        };
        turn_facts::record(&self.db.conn, &fact).unwrap();
    }
}

fn both() -> [Mode; 2] {
    [Mode::Embedded, Mode::Supervisor { dispatcher_id: "test".into() }]
}

#[actix::test]
async fn a_wait_ends_with_what_happened_first_and_to_whom() {
    for mode in both() {
        let desk = Desk::new(mode);
        desk.turn_ends(&desk.one, "before");
        let mut waiter = pin!(desk.wait(|_| {}));
        still_waits(&desk.runtime.hub().store, &mut waiter).await;
        desk.turn_ends(&desk.two, "now");
        let reply = waiter.await.unwrap();
        assert_eq!((reply.reason.as_str(), reply.timed_out), ("turn-end", false));
        let [met] = reply.conditions.as_slice() else { panic!("{reply:?}") };
        assert_eq!((met.session.as_str(), met.task.as_deref()), ("two-w", Some("two")));
        assert_eq!((&met.object["turn_id"], &met.object["outcome"]), (&json!("now"), &json!("completed")));
        assert_eq!(reply.waiting_for, ["one"]);
    }
}

#[actix::test]
async fn a_wait_for_all_remembers_what_is_not_so_any_more() {
    for mode in both() {
        let desk = Desk::new(mode);
        desk.db.deliver(&desk.one, "go on");
        let for_inboxes = |args: &mut WaitArgs| {
            args.conditions = vec![Condition::Inbox];
            args.session = vec!["one-w".into(), "two-w".into()];
            args.all = true;
        };
        let mut waiter = pin!(desk.wait(for_inboxes));
        still_waits(&desk.runtime.hub().store, &mut waiter).await;
        desk.db.conn.execute("UPDATE routed_notifications SET consumed_at = 'now'", []).unwrap();
        desk.db.deliver(&desk.two, "go on");
        let reply = waiter.await.unwrap();
        assert_eq!((reply.conditions.len(), reply.waiting_for.len()), (2, 0));
        assert_eq!(reply.conditions[1].object["signal_type"], "nudge_worker");
    }
}

#[actix::test]
async fn a_wait_whose_time_is_over_says_for_whom_and_gives_a_cursor() {
    let desk = Desk::new(Mode::Embedded);
    let at_once = |args: &mut WaitArgs| args.timeout = Seconds::whole(0);
    let reply = desk.wait(at_once).await.unwrap();
    assert_eq!((reply.reason.as_str(), reply.timed_out, reply.cursor), ("timeout", true, 0));
    assert_eq!(reply.waiting_for, ["one", "two"]);
    // It ends between the wait that gave the cursor and the one that uses it.
    desk.turn_ends(&desk.one, "between");
    let since = |args: &mut WaitArgs| args.since = Some("0".into());
    assert_eq!(desk.wait(since).await.unwrap().conditions[0].object["turn_id"], "between");
    assert!(desk.wait(at_once).await.unwrap().timed_out);
}

#[actix::test]
async fn what_nobody_else_reads_is_read_by_the_wait() {
    let desk = Desk::new(Mode::Embedded);
    let rollout = desk.db.path().with_file_name("w.jsonl");
    let line = |payload: serde_json::Value| format!("{}\n", json!({"type": "event_msg", "payload": payload}));
    let meta = json!({"type": "session_meta", "payload": {"id": "thread-1"}});
    std::fs::write(&rollout, format!("{meta}\n{}", line(json!({"type": "task_started", "turn_id": "a"}))))
        .unwrap();
    desk.db
        .conn
        .execute(
            "UPDATE sessions SET codex_session_path = ?1, codex_session_id = 'thread-1' WHERE name = 'one-w'",
            [rollout.to_str()],
        )
        .unwrap();
    let mut waiter = pin!(desk.wait(|args| args.task = vec!["one".into()]));
    still_waits(&desk.runtime.hub().store, &mut waiter).await;
    let end = line(json!({"type": "turn_aborted", "turn_id": "a"}));
    let mut file = std::fs::OpenOptions::new().append(true).open(&rollout).unwrap();
    std::io::Write::write_all(&mut file, end.as_bytes()).unwrap();
    let reply = timeout(PATIENCE, waiter).await.unwrap().unwrap();
    assert_eq!(reply.conditions[0].object["outcome"], "interrupted");
    assert_eq!(reply.cursor, reply.conditions[0].object["event_id"]);
}

#[actix::test]
async fn what_cannot_be_waited_for_is_refused() {
    let desk = Desk::new(Mode::Embedded);
    let refused = desk.wait(|args| args.task = vec!["thre".into()]).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::NotFound);
    let usage = desk.wait(|args| args.since = Some("yesterday".into())).await.unwrap_err();
    assert_eq!(usage.kind, FailureKind::Usage);
}

#[test]
fn since_is_now_or_an_event() {
    fn check(text: &str, expect: Option<Since>) {
        assert_eq!(parse_since(text).ok(), expect, "{text}");
    }
    check("now", Some(Since::Now));
    check("0", Some(Since::Event(0)));
    check("17", Some(Since::Event(17)));
    check("-1", None);
    check("then", None);
    check("", None);
}
