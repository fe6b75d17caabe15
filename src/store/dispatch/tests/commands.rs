//! Queued commands: claimed once, refused before any effect, recovered from dead claimants.

use super::*;

#[test]
fn a_claim_that_ran_out_is_repeated_only_when_nothing_was_sent_and_attempts_are_left() {
    fn check(max_attempts: i64, begun: bool, reported: &str, ledger: &str) {
        let mut desk = Desk::pushing();
        desk.enqueue(QueuedCommand::NudgeWorker, "go on");
        desk.db.conn.execute("UPDATE commands SET max_attempts = ?1", [max_attempts]).unwrap();
        let lost = desk.push();
        if begun {
            assert!(desk.begin(&lost));
        }
        assert!(desk.pass().is_empty(), "the claim holds");
        desk.expire_claims();
        let steps = desk.pass();
        assert_eq!(report(&steps[0])["state"], reported);
        assert_eq!(report(&steps[0])["side_effect_started"], begun);
        assert_eq!(desk.ledger(), ledger);

        // Whoever lost the claim can neither begin nor end it any more.
        assert!(!desk.begin(&lost));
        desk.finish(&lost, sent());
        desk.finish(&lost, not_sent(false));
        assert_eq!(desk.ledger(), ledger);
    }
    check(1, false, "failed", "failed / abandoned / failed / failed");
    check(1, true, "failed", "failed / failed / failed / unknown");
    check(2, true, "failed", "failed / failed / failed / unknown");
    check(2, false, "requeued", "attempted / abandoned running / failed pending / failed claimed");
}

#[test]
fn the_second_attempt_at_a_command_succeeds_beside_the_first() {
    let mut desk = Desk::pushing();
    let command = desk.enqueue(QueuedCommand::NotifyManager, "look");
    desk.run("UPDATE commands SET max_attempts = 2");
    let first = desk.push();
    desk.expire_claims();
    let steps = desk.pass();
    let [_, Step::Push(second)] = steps.as_slice() else { panic!("not claimed again: {steps:?}") };
    assert!(second.delivery.id > first.delivery.id);
    assert!(desk.begin(second));
    let report = desk.finish(second, sent());
    assert_eq!((&report["state"], &report["command_id"]), (&json!("delivered"), &json!(command.id)));
    assert_eq!(desk.ledger(), "succeeded / abandoned succeeded / failed delivered / failed sent");
}

#[test]
fn a_command_for_a_mailbox_is_one_row_and_no_effect() {
    let mut desk = Desk::new();
    desk.enqueue(QueuedCommand::NudgeWorker, "go on");
    assert_eq!(desk.reported(), ["pull_required"]);
    assert_eq!(desk.ledger(), "succeeded / succeeded / delivered / sent");
    let effects = "SELECT side_effect_started + side_effect_completed FROM command_attempts";
    assert_eq!(desk.db.number(effects), 0);
    assert!(desk.pass().is_empty());
}

#[test]
fn nothing_is_due_while_a_command_is_pushed() {
    let mut desk = Desk::pushing();
    desk.enqueue(QueuedCommand::NudgeWorker, "go on");
    assert!(desk.db.read(IsAnythingDue));
    let push = desk.push();
    assert!(desk.begin(&push) && !desk.db.read(IsAnythingDue));
}

#[test]
fn a_command_for_who_is_gone_waits_in_the_mailbox() {
    let mut desk = Desk::pushing();
    desk.run("UPDATE sessions SET state = 'gone' WHERE role = 'worker'");
    desk.enqueue(QueuedCommand::NudgeWorker, "go on");
    assert_eq!(desk.reported(), ["pull_required"]);
    assert_eq!(desk.ledger(), "succeeded / succeeded / delivered / sent");
}

#[test]
fn what_may_not_be_delivered_fails_before_any_effect() {
    fn check(spoil: impl FnOnce(&Desk), error: &str) {
        let mut desk = Desk::pushing();
        desk.enqueue(QueuedCommand::NudgeWorker, "go on");
        spoil(&desk);
        let steps = desk.pass();
        assert!(report(&steps[0])["error"].as_str().unwrap().contains(error), "{steps:?}");
        assert_eq!(desk.ledger(), "failed / failed /  / ");
        let effects = "SELECT side_effect_started + side_effect_completed FROM command_attempts";
        assert_eq!(desk.db.number(effects), 0);
    }
    check(|desk| desk.run("UPDATE bindings SET state = 'ended'"), "no active binding");
    check(|desk| desk.run("UPDATE commands SET payload_json = '{\"message\": \" \"}'"), "no message");
    check(
        |desk| desk.run("UPDATE commands SET required_permission = 'worker_session.nudge'"),
        "does not permit",
    );
    check(|desk| desk.run("UPDATE commands SET task_id = NULL"), "belongs to no task");
}

#[test]
fn only_what_is_due_is_claimed_oldest_first_and_no_more_than_asked() {
    let mut desk = Desk::new();
    let ids: Vec<String> = (0..4).map(|_| desk.enqueue(QueuedCommand::NudgeWorker, "go on").id).collect();
    let change = "UPDATE commands SET available_at = '2999-01-01T00:00:00.000Z' WHERE id = ?1";
    desk.db.conn.execute(change, [&ids[0]]).unwrap();
    let claimed = |steps: Vec<Step>| -> Vec<Value> {
        steps.iter().map(|step| report(step)["command_id"].clone()).collect()
    };
    assert_eq!(claimed(desk.pass_with(|options| options.limit = 2)), [json!(ids[1]), json!(ids[2])]);
    let other = Some(SignalFilter::NotifyManager);
    assert!(desk.pass_with(|options| options.filter = other).is_empty());
    assert_eq!(claimed(desk.pass()), [json!(ids[3])]);
    assert!(desk.pass().is_empty());
}
