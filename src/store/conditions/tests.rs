//! Conditions on a real database: what counts, from when on, and for whom.

use serde_json::json;

use super::*;
use crate::domain::session_fact::SessionFactKind;
use crate::domain::{TurnKey, TurnOutcome};
use crate::store::codex_events::{self, NewEvent};
use crate::store::session_facts::{self, NewSessionFact};
use crate::store::testing::TestDb;
use crate::store::turn_facts::NewFact;

struct Desk {
    db: TestDb,
    one: BoundTask,
    two: BoundTask,
}

impl Desk {
    fn new() -> Self {
        let mut db = TestDb::new();
        let (one, two) = (db.pair("one"), db.pair("two"));
        Self { db, one, two }
    }

    fn plan(&self, tasks: &[&str], sessions: &[&str], conditions: &[Condition], since: Since) -> WaitPlan {
        self.db.read(PlanWait {
            tasks: tasks.iter().map(|&task| task.to_owned()).collect(),
            sessions: sessions.iter().map(|&session| session.to_owned()).collect(),
            conditions: conditions.to_vec(),
            since,
        })
    }

    /// The sessions to which something has happened, `-` for each target to which nothing has.
    fn met(&self, plan: &WaitPlan) -> String {
        let (met, _) = self.db.read(CheckConditions(plan.clone()));
        let session = |met: Option<Met>| met.map_or("-".to_owned(), |met| met.session);
        met.into_iter().map(session).collect::<Vec<_>>().join(" ")
    }

    fn turn_ends(&self, session: &Session, turn: &str, with_event: bool) {
        let event = NewEvent {
            byte_offset: 0,
            timestamp: None,
            kind: "event_msg".into(),
            subtype: Some("task_complete".into()),
            payload: "{}".into(),
        };
        let event_id =
            with_event.then(|| codex_events::insert(&self.db.conn, &session.id, &event, &now_iso()).unwrap());
        let fact = NewFact {
            session_id: &session.id,
            thread_id: &session.id,
            key: &TurnKey::Id(turn.into()),
            outcome: TurnOutcome::Completed,
            event_id,
            error: None,
        };
        assert!(turn_facts::record(&self.db.conn, &fact).unwrap());
    }

    fn becomes_known(&self, session: &Session, kind: SessionFactKind) {
        let detail = json!({"pid": 7});
        let fact =
            NewSessionFact { session_id: &session.id, kind, dedupe_key: kind.as_str(), detail: &detail };
        assert!(session_facts::record(&self.db.conn, &fact).unwrap());
    }

    fn is_delivered(&self, session: &Session, state: &str) {
        self.db
            .conn
            .execute(
                "INSERT INTO deliveries (source, target_session_id, transport, state, fence, claimed_at, started_at, sent_at, settled_at, error, receipt_json)
                 VALUES ('nudge', ?1, 'tmux', ?2, 1, ?3, ?3, CASE ?2 WHEN 'sent' THEN ?3 END,
                     CASE WHEN ?2 IN ('observed', 'failed') THEN ?3 END, CASE ?2 WHEN 'failed' THEN 'x' END, CASE ?2 WHEN 'observed' THEN '{}' END)",
                (&session.id, state, now_iso()),
            )
            .unwrap();
    }

    /// Everything recorded so far happened long ago.
    fn age(&self) {
        for (table, column) in [
            ("routed_notifications", "delivered_at"),
            ("session_facts", "recorded_at"),
            ("deliveries", "claimed_at"),
            ("turn_facts", "recorded_at"),
            ("codex_events", "ingested_at"),
        ] {
            let sql = format!(
                "UPDATE {table} SET {column} = '2026-01-01T00:00:00.000Z' WHERE {column} IS NOT NULL"
            );
            self.db.conn.execute(&sql, []).unwrap();
        }
    }
}

#[test]
fn turns_count_when_they_end_after_the_wait_began_or_after_an_event() {
    let desk = Desk::new();
    desk.turn_ends(&desk.one.worker, "before", true);
    let cursor =
        desk.db.read(CheckConditions(desk.plan(&["one"], &[], &[Condition::TurnEnd], Since::Usual))).1;
    let usual = desk.plan(&["one"], &[], &[Condition::TurnEnd], Since::Usual);
    let now = desk.plan(&["one"], &[], &[Condition::TurnEnd], Since::Now);
    assert_eq!((desk.met(&usual), desk.met(&now)), ("-".to_owned(), "-".to_owned()));
    desk.turn_ends(&desk.one.manager, "not of a worker", true);
    desk.turn_ends(&desk.two.worker, "of another task", true);
    assert_eq!(desk.met(&usual), "-");

    desk.turn_ends(&desk.one.worker, "between", true);
    // Whoever begins to wait only now names the cursor to hear of it.
    let since = |event: i64| desk.plan(&["one"], &[], &[Condition::TurnEnd], Since::Event(event));
    assert_eq!((desk.met(&usual), desk.met(&now)), ("one-w".to_owned(), "one-w".to_owned()));
    assert_eq!(desk.met(&desk.plan(&["one"], &[], &[Condition::TurnEnd], Since::Usual)), "-");
    assert_eq!(desk.met(&since(cursor)), "one-w");
    let (met, newest) = desk.db.read(CheckConditions(since(cursor)));
    assert_eq!(met[0].as_ref().unwrap().object["turn_id"], "between");
    assert_eq!(desk.met(&since(newest)), "-");
}

#[test]
fn a_turn_that_crashed_after_the_event_counts() {
    let desk = Desk::new();
    desk.turn_ends(&desk.one.worker, "crashed before", false);
    desk.age();
    desk.turn_ends(&desk.two.worker, "tells the time", true);
    desk.db.conn.execute("UPDATE codex_events SET ingested_at = '2026-01-02T00:00:00.000Z'", []).unwrap();
    let plan = desk.plan(&["one"], &[], &[Condition::TurnEnd], Since::Event(1));
    assert_eq!(desk.met(&plan), "-");
    desk.turn_ends(&desk.one.worker, "crashed", false);
    assert_eq!(desk.met(&plan), "one-w");
}

#[test]
fn everything_else_counts_when_it_is_so_unless_it_must_be_new() {
    fn check(condition: Condition, happens: fn(&Desk), session: &str) {
        let desk = Desk::new();
        assert_eq!(desk.met(&desk.plan(&["one"], &[], &[condition], Since::Usual)), "-", "{condition}");
        happens(&desk);
        desk.age();
        assert_eq!(desk.met(&desk.plan(&["one"], &[], &[condition], Since::Usual)), session, "{condition}");
        assert_eq!(desk.met(&desk.plan(&["two"], &[], &[condition], Since::Usual)), "-", "{condition}");
        let now = desk.plan(&["one"], &[], &[condition], Since::Now);
        assert_eq!(desk.met(&now), "-", "{condition} is old");

        let desk = Desk::new();
        let mut now = desk.plan(&["one"], &[], &[condition], Since::Now);
        now.floor.at = Some("2026-01-01T00:00:00.000Z".into());
        happens(&desk);
        assert_eq!(desk.met(&now), session, "{condition} is new");
    }
    check(Condition::Exit, |desk| desk.becomes_known(&desk.one.manager, SessionFactKind::Exited), "one-m");
    check(
        Condition::Approval,
        |desk| desk.becomes_known(&desk.one.worker, SessionFactKind::Waiting),
        "one-w",
    );
    check(Condition::Delivery, |desk| desk.is_delivered(&desk.one.worker, "unknown"), "one-w");
    check(
        Condition::Inbox,
        |desk| {
            desk.db.deliver(&desk.one, "go on");
            // To the manager, whose inbox a task's is.
            desk.db
                .conn
                .execute("UPDATE routed_notifications SET target_session_id = ?1", [&desk.one.manager.id])
                .unwrap();
        },
        "one-m",
    );
}

#[test]
fn a_delivery_counts_when_the_newest_one_is_decided() {
    fn check(states: &[&str], expect: &str) {
        let desk = Desk::new();
        states.iter().for_each(|state| desk.is_delivered(&desk.one.worker, state));
        assert_eq!(
            desk.met(&desk.plan(&[], &["one-w"], &[Condition::Delivery], Since::Usual)),
            expect,
            "{states:?}"
        );
    }
    check(&[], "-");
    check(&["sent"], "-");
    check(&["observed", "sent"], "-");
    check(&["sent", "observed"], "one-w");
    check(&["observed", "failed"], "one-w");
    check(&["started", "unknown"], "one-w");
}

#[test]
fn targets_are_the_ones_named_or_every_bound_task() {
    let mut desk = Desk::new();
    let names = |plan: WaitPlan| plan.targets.into_iter().map(|target| target.name).collect::<Vec<_>>();
    let any = [Condition::Exit, Condition::TurnEnd];
    assert_eq!(names(desk.plan(&[], &[], &any, Since::Usual)), ["one", "two"]);
    assert_eq!(names(desk.plan(&["two"], &["one-w"], &any, Since::Usual)), ["two", "one-w"]);
    desk.turn_ends(&desk.two.worker, "of an earlier wait", true);
    let plan = desk.plan(&[], &[], &any, Since::Usual);
    desk.becomes_known(&desk.two.manager, SessionFactKind::Exited);
    assert_eq!((desk.met(&plan), plan.sessions.len(), plan.bound.len()), ("- two-m".to_owned(), 4, 4));

    let refused = |desk: &Desk, task: &[&str]| {
        let tasks = task.iter().map(|&task| task.to_owned()).collect();
        let plan = PlanWait { tasks, sessions: vec![], conditions: vec![Condition::Exit], since: Since::Now };
        plan.run(&desk.db.conn).unwrap_err().to_string()
    };
    assert!(refused(&desk, &["thre"]).contains("does not exist"));
    desk.db.task("alone");
    assert!(refused(&desk, &["alone"]).contains("alone"));
    desk.db.conn.execute("UPDATE bindings SET state = 'ended'", []).unwrap();
    assert!(refused(&desk, &[]).contains("nothing is bound"));
}
