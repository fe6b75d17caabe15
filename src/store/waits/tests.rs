//! Waits on a real database: one row a wait, answered with permission only.

use super::*;
use crate::domain::{Asks, FailureKind, RequestKey, Verdict};
use crate::store::bindings::BoundTask;
use crate::store::testing::TestDb;

struct Desk {
    db: TestDb,
    bound: BoundTask,
}

fn request(id: i64, item: &str) -> Wait {
    let key = RequestKey { id: json!(id), item_id: item.into(), started_at_ms: 5, approval_id: None };
    Wait {
        thread_id: Some("thread-1".into()),
        turn_id: Some("turn-1".into()),
        request: Some(key),
        command: Some("rm -r secret".into()),
        cwd: Some("/w".into()),
        ..Wait::new(Asks::Command)
    }
}

fn seen(pane_class: &str) -> Wait {
    Wait { pane_class: Some(pane_class.into()), ..Wait::new(Asks::Screen) }
}

impl Desk {
    fn new() -> Self {
        let mut db = TestDb::new();
        let bound = db.pair("t1");
        db.conn.execute("UPDATE sessions SET codex_session_id = 'thread-of-' || name", []).unwrap();
        Self { db, bound }
    }

    fn permitting() -> Self {
        let desk = Self::new();
        desk.db
            .conn
            .execute(
                "INSERT INTO manager_configs (task_id, supervision_mode, guidelines_json, acceptance_criteria_json,
                     reference_paths_json, permissions_json, created_at, updated_at)
                 VALUES (?1, 'guided', '[]', '[]', '[]', '{\"worker_session\": [\"approve\"]}', 'now', 'now')",
                [&desk.bound.task.id],
            )
            .unwrap();
        desk
    }

    fn waits(&mut self, wait: Wait) -> bool {
        let session_id = self.bound.worker.id.clone();
        self.db.write(RecordWait { session_id, wait }).unwrap()
    }

    fn over(&mut self, over: Over) -> usize {
        let session_id = self.bound.worker.id.clone();
        self.db.write(EndWaits { session_id, over }).unwrap()
    }

    fn listed(&self) -> Vec<Waiting> {
        self.db.read(ListWaits { task: Some("t1".into()) })
    }

    fn begin(&mut self, by_thread: Option<&str>) -> Result<Answering, Failure> {
        let id = self.listed()[0].id;
        let begin = BeginAnswer {
            session: "t1-w".into(),
            id,
            verdict: Verdict::Approve,
            reason: "it is safe".into(),
            by_thread: by_thread.map(str::to_owned),
        };
        self.db.write(begin).unwrap()
    }

    fn commands(&self) -> Vec<String> {
        self.db.texts("SELECT type || ' ' || state FROM commands")
    }
}

#[test]
fn a_request_is_one_wait_however_often_it_is_heard_of() {
    let mut desk = Desk::new();
    assert!(desk.waits(request(0, "call-1")));
    assert!(!desk.waits(request(0, "call-1")));
    // The server was started again and counts from the beginning.
    assert!(!desk.waits(request(7, "call-1")));
    assert!(desk.waits(request(1, "call-2")));
    assert!(!desk.waits(seen("blocked:approval")), "that is what is on record");
    assert_eq!(desk.listed().len(), 2);
    assert_eq!(desk.over(Over::Request(json!(1))), 1);
    assert_eq!(desk.over(Over::Thread("thread-2".into())), 0);
    assert_eq!(desk.over(Over::Thread("thread-1".into())), 1);
    assert_eq!(desk.listed(), []);
    assert_eq!(
        desk.db.number("SELECT count(*) FROM telemetry_events WHERE event_type = 'session_waiting'"),
        2
    );
}

#[test]
fn a_wait_that_is_only_seen_begins_anew_after_it_was_over() {
    let mut desk = Desk::new();
    assert!(desk.waits(seen("blocked:trust")));
    assert!(!desk.waits(seen("blocked:trust")));
    assert_eq!(desk.over(Over::All), 1);
    assert!(desk.waits(seen("blocked:trust")));
    assert_eq!(desk.db.number("SELECT count(*) FROM session_facts"), 2);
}

#[test]
fn a_request_tells_more_of_a_wait_that_was_only_seen() {
    let mut desk = Desk::new();
    assert!(desk.waits(Wait::new(Asks::Approval)));
    assert!(!desk.waits(request(0, "call-1")), "one wait");
    assert!(!desk.waits(request(0, "call-1")));
    let [waiting] = desk.listed().try_into().unwrap();
    assert_eq!((waiting.wait.asks, waiting.answerable), (Asks::Command, true));
    assert!(desk.waits(request(1, "call-2")), "another");
}

#[test]
fn a_list_says_who_waits_for_what_and_whether_it_can_be_answered() {
    let mut desk = Desk::new();
    desk.waits(request(0, "call-1"));
    let [waiting] = desk.listed().try_into().unwrap();
    assert_eq!(
        (&*waiting.session, waiting.role, waiting.task.as_deref()),
        ("t1-w", Role::Worker, Some("t1"))
    );
    assert!(waiting.answerable);
    assert_eq!(waiting.wait.command.as_deref(), Some("rm -r secret"));
    desk.over(Over::All);
    desk.waits(seen("blocked:approval"));
    assert!(!desk.listed()[0].answerable);
    desk.db.task("t2");
    assert_eq!(desk.db.read(ListWaits { task: Some("t2".into()) }), []);
    assert_eq!(desk.db.read(ListWaits { task: None }).len(), 1);
    assert!(ListWaits { task: Some("t3".into()) }.run(&desk.db.conn).is_err());
}

#[test]
fn an_answer_is_on_record_before_it_is_given_and_ends_the_wait() {
    let mut desk = Desk::permitting();
    desk.waits(request(0, "call-1"));
    let answering = desk.begin(Some("thread-of-t1-m")).unwrap();
    assert_eq!(
        (answering.by.as_str(), desk.commands()),
        ("t1-m", vec!["approve_request attempted".to_owned()])
    );
    assert_eq!(desk.listed().len(), 1);
    desk.db.write(FinishAnswer { answering, failure: None }).unwrap();
    assert_eq!((desk.commands(), desk.listed()), (vec!["approve_request succeeded".to_owned()], vec![]));
    let event = "SELECT actor || ' ' || (payload_json ->> '$.reason') FROM events WHERE type = 'session_request_approved'";
    assert_eq!(desk.db.texts(event), ["t1-m it is safe"]);
    assert!(!desk.db.texts("SELECT payload_json FROM events").concat().contains("rm -r secret"));
}

#[test]
fn an_answer_that_may_not_have_arrived_leaves_the_wait_open() {
    let mut desk = Desk::permitting();
    desk.waits(request(0, "call-1"));
    let answering = desk.begin(None).unwrap();
    assert_eq!(answering.by, "operator");
    desk.db.write(FinishAnswer { answering, failure: Some(Failure::unknown("no answer")) }).unwrap();
    assert_eq!((desk.commands(), desk.listed().len()), (vec!["approve_request failed".to_owned()], 1));
    assert_eq!(desk.db.number("SELECT count(*) FROM events WHERE type = 'session_request_not_approved'"), 1);
}

#[test]
fn what_may_not_be_answered_is_refused_on_record() {
    fn check(mut desk: Desk, wait: Wait, by_thread: Option<&str>, says: &str) {
        desk.waits(wait);
        let refusal = desk.begin(by_thread).unwrap_err();
        assert_eq!(refusal.kind, FailureKind::Refused);
        assert!(refusal.message.contains(says) && !refusal.hints.is_empty(), "{refusal:?}");
        assert_eq!((desk.commands(), desk.listed().len()), (vec!["approve_request failed".to_owned()], 1));
    }
    check(Desk::new(), request(0, "call-1"), None, "does not permit");
    check(Desk::permitting(), seen("blocked:approval"), None, "more than yes or no");
    check(
        Desk::permitting(),
        Wait { asks: Asks::Answer, ..request(0, "call-1") },
        None,
        "more than yes or no",
    );
    check(Desk::permitting(), request(0, "call-1"), Some("thread-of-t1-w"), "its own request");
}

#[test]
fn a_wait_that_is_over_cannot_be_answered() {
    let mut desk = Desk::permitting();
    desk.waits(request(0, "call-1"));
    let begin = BeginAnswer {
        session: "t1-w".into(),
        id: desk.listed()[0].id,
        verdict: Verdict::Deny,
        reason: "no".into(),
        by_thread: None,
    };
    let of_another = BeginAnswer { session: "t1-m".into(), ..begin.clone() };
    assert_eq!(desk.db.refusal(of_another).kind, FailureKind::NotFound);
    desk.over(Over::All);
    let gone = desk.db.refusal(begin);
    assert_eq!(gone.kind, FailureKind::NotFound);
    assert!(gone.hints[0].contains("conveyor approvals"), "{gone:?}");
}
