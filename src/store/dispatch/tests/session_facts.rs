//! Facts about sessions beside their turns: told to the manager of a worker, once, while they are so.

use super::*;
use crate::domain::session_fact::SessionFactKind;
use crate::store::session_facts::{self, NewSessionFact};

impl Desk {
    /// It carries what must not be shown.
    fn becomes_known(&self, session_id: &str, kind: SessionFactKind) {
        let detail = json!({"command": "rm -r x", "pid": 7});
        let fact = NewSessionFact { session_id, kind, dedupe_key: "k", detail: &detail };
        session_facts::record(&self.db.conn, &fact).unwrap();
    }
}

#[test]
fn a_manager_is_told_once_of_what_its_worker_is_in() {
    fn check(kind: SessionFactKind, signal: &str) {
        let mut desk = Desk::new();
        desk.becomes_known(&desk.bound.worker.id, kind);
        assert!(desk.db.read(IsAnythingDue));
        let planned = desk.db.read(PreviewPass(PassOptions {
            dispatcher_id: "d-1".into(),
            limit: 10,
            filter: None,
            lease_seconds: 60,
            back_off: false,
        }));
        assert_eq!(planned[0]["signal_type"], signal);
        let steps = desk.pass();
        let [step] = steps.as_slice() else { panic!("not one: {steps:?}") };
        assert_eq!(
            (&report(step)["signal_type"], &report(step)["state"]),
            (&json!(signal), &json!("pull_required"))
        );
        assert_eq!(report(step)["dedupe_key"], planned[0]["dedupe_key"]);
        assert_eq!(report(step)["source_event_id"], json!(null));
        assert!(desk.pass().is_empty());
        assert_eq!(desk.ledger(), " /  / delivered / sent");

        let payload = desk.db.jsons("SELECT payload_json FROM routed_notifications").remove(0);
        assert_eq!((&payload["session_fact"]["kind"], &payload["signal"]), (&json!(kind), &json!(signal)));
        assert!(payload["message"].as_str().unwrap().contains("a-w"), "{payload}");
        assert!(!payload.to_string().contains("rm -r x"), "{payload}");
    }
    check(SessionFactKind::Exited, "session_exited");
    check(SessionFactKind::Waiting, "session_waiting");
    check(SessionFactKind::Unreadable, "session_unreadable");
}

#[test]
fn nobody_is_told_of_what_is_not_so_any_more_or_concerns_no_manager() {
    fn check(role: &str, kind: SessionFactKind, change: &str) {
        let mut desk = Desk::new();
        let session = if role == "manager" { &desk.bound.manager } else { &desk.bound.worker };
        desk.becomes_known(&session.id, kind);
        desk.run(change);
        assert!(!desk.db.read(IsAnythingDue), "{role} {kind} {change}");
        assert!(desk.pass().is_empty(), "{role} {kind} {change}");
    }
    let nothing = "UPDATE sessions SET cwd = cwd";
    check("manager", SessionFactKind::Exited, nothing);
    check("manager", SessionFactKind::Waiting, nothing);
    check("worker", SessionFactKind::TerminalExited, nothing);
    check("worker", SessionFactKind::IdleWithMail, nothing);
    check("worker", SessionFactKind::Waiting, "UPDATE session_facts SET cleared_at = 'now'");
    check("worker", SessionFactKind::Exited, "UPDATE session_facts SET routed_at = 'now'");
    check("worker", SessionFactKind::Exited, "UPDATE bindings SET state = 'ended'");
}

/// The notifications and their states.
fn left(desk: &Desk) -> Vec<String> {
    desk.db.texts("SELECT signal_type || ' ' || state FROM routed_notifications ORDER BY id")
}

#[test]
fn what_was_not_told_when_a_binding_ends_is_pushed_later_or_waits_in_the_mailbox() {
    fn check(manager: &str, state: &str) -> Desk {
        let desk = Desk::pushing();
        desk.fact("a", TurnOutcome::Completed);
        desk.becomes_known(&desk.bound.worker.id, SessionFactKind::Exited);
        desk.run(manager);
        route_before_end(&desk.db.conn, &desk.bound.binding.id, "reconcile").unwrap();
        desk.run("UPDATE bindings SET state = 'invalid'");
        let expected = [format!("worker_task_complete {state}"), format!("session_exited {state}")];
        assert_eq!(left(&desk), expected, "{manager}");
        desk
    }
    let mut desk = check("UPDATE sessions SET cwd = cwd", "pending");
    assert!(desk.pass().iter().all(|step| matches!(step, Step::Push(_))));
    check("UPDATE sessions SET tmux_session = NULL", "delivered");
    let mut desk = check("UPDATE sessions SET state = 'gone'", "delivered");
    assert!(desk.pass().is_empty());
}
