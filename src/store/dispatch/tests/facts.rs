//! Facts about turns: announced once, to whoever is bound, until one push was begun.

use super::*;

#[test]
fn a_turn_is_announced_once_by_the_signal_of_its_outcome() {
    fn check(outcome: TurnOutcome, signal: &str) {
        let mut desk = Desk::new();
        desk.fact("t-1", outcome);
        desk.fact("t-1", outcome);
        let steps = desk.pass();
        let [step] = steps.as_slice() else { panic!("not one: {steps:?}") };
        assert_eq!(
            (&report(step)["signal_type"], &report(step)["state"]),
            (&json!(signal), &json!("pull_required"))
        );
        assert!(desk.pass().is_empty());
        assert_eq!(desk.ledger(), " /  / delivered / sent");
    }
    check(TurnOutcome::Completed, "worker_task_complete");
    check(TurnOutcome::Interrupted, "worker_turn_interrupted");
    check(TurnOutcome::Failed, "worker_turn_failed");
}

#[test]
fn a_turn_that_another_program_announced_is_suppressed() {
    let mut desk = Desk::new();
    desk.fact("t-1", TurnOutcome::Completed);
    desk.pass();
    // As when the mark was lost, or the row came from agent-conveyor.
    desk.run("UPDATE turn_facts SET routed_at = NULL");
    assert_eq!(desk.reported(), ["suppressed"]);
    assert_eq!(desk.ledger(), " /  / delivered / sent");
}

#[test]
fn a_fact_waits_for_a_binding() {
    let mut desk = Desk::new();
    desk.fact("t-1", TurnOutcome::Completed);
    desk.run("UPDATE bindings SET state = 'ended'");
    assert!(desk.pass().is_empty());
    desk.run("UPDATE bindings SET state = 'ending'");
    assert_eq!(desk.reported(), ["pull_required"]);
}

#[test]
fn a_push_is_made_again_only_when_nothing_was_sent() {
    fn check(begin: bool, outcome: PushOutcome, ledger: &str, again: bool) {
        let mut desk = Desk::pushing();
        desk.fact("t-1", TurnOutcome::Completed);
        let push = desk.push();
        if begin {
            assert!(desk.begin(&push));
        }
        desk.finish(&push, outcome.clone());
        assert_eq!(desk.ledger(), ledger, "{outcome:?}");
        let steps = desk.pass();
        assert_eq!(steps.len(), usize::from(again), "{outcome:?}: {steps:?}");
        if let Some(Step::Push(second)) = steps.first() {
            assert_eq!(second.entry["recovered"], true);
            assert_eq!(second.delivery.fence, push.delivery.fence + 1);
            assert_eq!(second.correlation_id, push.correlation_id);
        }
    }
    check(false, not_sent(false), " /  / pending / failed", true);
    check(true, not_sent(true), " /  / pending / failed", true);
    check(true, unknown(), " /  / failed / unknown", false);
    check(true, sent(), " /  / delivered / sent", false);
}

#[test]
fn a_dead_dispatchers_claim_is_taken_over_only_when_its_push_had_not_begun() {
    fn check(begun: bool, ledger: &str) {
        let mut desk = Desk::pushing();
        desk.fact("t-1", TurnOutcome::Completed);
        let lost = desk.push();
        if begun {
            assert!(desk.begin(&lost));
        }
        assert!(desk.pass().is_empty(), "the claim holds");
        assert!(!desk.db.read(IsAnythingDue), "the claim holds");
        desk.expire_claims();
        assert!(desk.db.read(IsAnythingDue));
        desk.pass();
        assert_eq!(desk.ledger(), ledger);
        assert!(!desk.begin(&lost));
        desk.finish(&lost, sent());
        assert_eq!(desk.ledger(), ledger, "by its former claimant");
        assert!(desk.pass().is_empty());
    }
    check(false, " /  / pending / failed claimed");
    check(true, " /  / failed / unknown");
}

#[test]
fn a_watching_dispatcher_lets_a_failed_push_rest() {
    let mut desk = Desk::pushing();
    desk.fact("t-1", TurnOutcome::Completed);
    let push = desk.push();
    desk.finish(&push, not_sent(false));
    assert!(!desk.db.read(IsAnythingDue));
    assert!(desk.pass_with(|options| options.back_off = true).is_empty());
    desk.run("UPDATE deliveries SET settled_at = '2020-01-01T00:00:00.000Z'");
    assert!(desk.db.read(IsAnythingDue));
    assert_eq!(desk.pass_with(|options| options.back_off = true).len(), 1);
}

#[test]
fn facts_that_rest_do_not_hold_up_those_that_do_not() {
    let mut desk = Desk::pushing();
    for turn in ["t-1", "t-2", "t-3"] {
        desk.fact(turn, TurnOutcome::Completed);
    }
    let steps = desk.pass();
    for step in steps {
        desk.finish(&push_of(step), not_sent(false));
    }
    desk.run("UPDATE deliveries SET settled_at = '2020-01-01T00:00:00.000Z' WHERE id = 3");
    let steps = desk.pass_with(|options| (options.limit, options.back_off) = (1, true));
    assert!(matches!(steps.as_slice(), [Step::Push(push)] if push.delivery.id > 3), "{steps:?}");
}

#[test]
fn a_session_that_lost_its_terminal_gets_the_fact_in_its_mailbox() {
    let mut desk = Desk::pushing();
    desk.fact("t-1", TurnOutcome::Completed);
    let push = desk.push();
    desk.finish(&push, not_sent(false));
    desk.run("UPDATE sessions SET tmux_session = NULL");
    assert_eq!(desk.reported(), ["pull_required"]);
    assert_eq!(desk.ledger(), " /  / delivered / failed sent");
}

#[test]
fn nothing_is_pushed_to_a_manager_that_is_gone() {
    let mut desk = Desk::pushing();
    desk.fact("t-1", TurnOutcome::Completed);
    let push = desk.push();
    desk.finish(&push, not_sent(false));
    desk.run("UPDATE sessions SET state = 'gone' WHERE role = 'manager'");
    desk.fact("t-2", TurnOutcome::Completed);
    assert_eq!(desk.reported(), ["pull_required", "pull_required"]);
    assert_eq!(desk.ledger(), " /  / delivered delivered / failed sent sent");
}

#[test]
fn a_preview_tells_what_the_pass_will_do_and_changes_nothing() {
    let mut desk = Desk::new();
    let command = desk.enqueue(QueuedCommand::NudgeWorker, "go on");
    desk.fact("t-1", TurnOutcome::Completed);
    let options = PassOptions {
        dispatcher_id: "d-1".into(),
        limit: 10,
        filter: None,
        lease_seconds: 60,
        back_off: false,
    };
    let plans = desk.db.read(PreviewPass(options));
    assert_eq!(desk.ledger(), "pending /  /  / ");
    let made: Vec<Entry> = desk.pass().iter().map(|step| report(step).clone()).collect();
    assert_eq!((&plans[0]["command_id"], &plans[0]["state"]), (&json!(command.id), &json!("planned")));
    assert_eq!(plans[1]["dedupe_key"], made[1]["dedupe_key"]);
    assert_eq!((plans.len(), made.len()), (2, 2));
}
