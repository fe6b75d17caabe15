//! The loop gate: what it lets through, and that a blocked pass leaves no effect.

use super::*;
use crate::store::commands::{Enqueue, QueueOptions, RequestedIteration};

/// A loop in its first pass, of three at most; the next needs a proof and a test.
fn desk() -> Desk {
    let desk = Desk::new();
    let policy = json!({
        "kind": "ralph_loop", "current_iteration": 1, "max_iterations": 3,
        "required_before_continue": ["tests", "adversarial_check"],
    });
    let insert = "INSERT INTO runs (id, task_id, name, purpose, status, started_at, metadata_json)
         VALUES ('run-1', ?1, 'loop', 'ralph_loop', 'finished', 'now', ?2)";
    desk.db.conn.execute(insert, [&desk.bound.task.id, &policy.to_string()]).unwrap();
    desk
}

impl Desk {
    fn ask_for(&mut self, iteration: i64) {
        let asked = RequestedIteration { run: "loop".into(), iteration, manager_decision_id: None };
        let enqueue = Enqueue {
            command: QueuedCommand::ContinueIteration,
            task: "a".into(),
            message: "again".into(),
            iteration: Some(asked),
            options: QueueOptions::default(),
        };
        self.db.write(enqueue).unwrap();
    }

    fn evidence(&self, kind: &str, iteration: i64, status: &str, more: Value) {
        let mut evidence =
            entry(json!({"evidence_type": kind, "ralph_loop_run_id": "run-1", "iteration": iteration}));
        evidence.extend(entry(more));
        let insert = "INSERT INTO acceptance_criteria (task_id, criterion, status, source, evidence_json, created_at, updated_at)
             VALUES (?1, ?2, ?3, 'manager_inferred', ?4, 'now', 'now')";
        let criterion = format!("{kind} {iteration}");
        let evidence = Value::Object(evidence).to_string();
        self.db.conn.execute(insert, (&self.bound.task.id, criterion, status, evidence)).unwrap();
    }

    fn proof(&self) {
        let proof = json!({"failure_mode": "it hangs", "check": "killed it", "result": "came back"});
        self.evidence("adversarial_check", 1, "satisfied", proof);
    }
}

#[test]
fn a_pass_is_opened_by_the_evidence_of_the_one_before() {
    fn check(prepare: impl FnOnce(&mut Desk), reason: Option<&str>) {
        let mut desk = desk();
        desk.ask_for(2);
        prepare(&mut desk);
        let steps = desk.pass();
        let report = report(&steps[0]);
        assert_eq!(report["reason"], json!(reason), "{report:?}");
        let expect = match reason {
            None => "succeeded / succeeded / delivered / sent",
            Some(_) => "blocked / blocked /  / ",
        };
        assert_eq!(desk.ledger(), expect, "{report:?}");
    }
    let tests = |desk: &mut Desk| desk.evidence("tests", 1, "satisfied", json!({}));
    check(|_| {}, Some("missing_required_evidence"));
    check(tests, Some("missing_adversarial_check_evidence"));
    check(|desk| desk.proof(), Some("missing_tests_evidence"));
    check(|desk| (tests(desk), desk.proof()).0, None);
    // Of another pass, not accepted, or without its proof.
    check(
        |desk| (desk.evidence("tests", 2, "satisfied", json!({})), desk.proof()).0,
        Some("missing_tests_evidence"),
    );
    check(
        |desk| (desk.evidence("tests", 1, "rejected", json!({})), desk.proof()).0,
        Some("missing_tests_evidence"),
    );
    check(
        |desk| (tests(desk), desk.evidence("adversarial_check", 1, "satisfied", json!({}))).0,
        Some("missing_adversarial_check_evidence"),
    );
    // The policy counts as it is stored now.
    let set = |desk: &mut Desk, field: &str, value: i64| {
        desk.run(&format!("UPDATE runs SET metadata_json = json_set(metadata_json, '$.{field}', {value})"));
    };
    check(|desk| set(desk, "current_iteration", 2), Some("stale_requested_iteration"));
    check(|desk| set(desk, "max_iterations", 1), Some("max_iterations_reached"));
}

#[test]
fn a_request_for_a_pass_too_far_or_of_a_lost_run_sends_nothing() {
    let mut too_far = desk();
    too_far.ask_for(4);
    assert_eq!(too_far.reported(), ["blocked"]);
    assert_eq!(too_far.ledger(), "blocked / blocked /  / ");

    let mut lost = desk();
    lost.ask_for(2);
    lost.run("DELETE FROM runs");
    assert_eq!(lost.reported(), ["failed"]);
    assert_eq!(lost.ledger(), "failed / failed /  / ");
}
