//! Each way a task is closed, and each way it is not.

use serde_json::json;

use super::*;
use crate::domain::Failure;
use crate::store::StoreError;
use crate::store::testing::TestDb;

fn begin(closing: Closing) -> BeginClosing {
    BeginClosing {
        closing,
        task: "t1".into(),
        reason: "merged".into(),
        message: None,
        stop_worker: false,
        stop_manager: false,
        decision_id: None,
        strict_decisions: false,
        gates: Gates::default(),
        capture: CaptureOptions::default(),
    }
}

fn close(db: &mut TestDb, begin: BeginClosing, ended: EndedSessions) -> Report {
    let plan = db.write(begin).unwrap().unwrap();
    db.write(CompleteClosing { plan, ended }).unwrap().unwrap()
}

fn task_events(db: &TestDb) -> Vec<String> {
    db.texts("SELECT type FROM events WHERE command_id IS NOT NULL ORDER BY id")
}

fn add_run(db: &TestDb) {
    db.conn
        .execute(
            "INSERT INTO runs SELECT 'run-1', id, 'r1', NULL, 'active', created_at, NULL, '{}' FROM tasks",
            [],
        )
        .unwrap();
}

fn add_criterion(db: &TestDb, status: &str, evidence: &serde_json::Value) {
    db.conn
        .execute(
            "INSERT INTO acceptance_criteria (task_id, criterion, status, source, evidence_json, created_at, updated_at)
             SELECT id, hex(randomblob(8)), ?1, 'user_requested', ?2, 'now', 'now' FROM tasks",
            (status, evidence.to_string()),
        )
        .unwrap();
}

#[test]
fn a_finish_ends_the_binding_and_the_run_and_leaves_its_trace() {
    let mut db = TestDb::new();
    db.pair("t1");
    add_run(&db);
    let report = close(&mut db, begin(Closing::Finish), EndedSessions::default());
    assert_eq!((report.final_decision_id, report.final_observation_id), (Some(1), Some(1)));
    assert_eq!(db.texts("SELECT state FROM tasks"), ["done"]);
    assert_eq!(db.texts("SELECT state FROM bindings WHERE ended_at IS NOT NULL"), ["ended"]);
    assert_eq!(db.texts("SELECT status FROM runs"), ["finished"]);
    assert_eq!(db.texts("SELECT state FROM sessions"), ["active", "active"]);
    assert_eq!(
        task_events(&db),
        ["finish_task_intent", "finish_task_criteria_audit", "finish_task_succeeded"]
    );
    assert_eq!(db.jsons("SELECT result_json FROM commands"), [json!(report)]);
    assert_eq!(
        db.texts(
            "SELECT event_type FROM telemetry_events WHERE event_type NOT LIKE 'command_%' ORDER BY rowid"
        ),
        ["run_finished", "task_finished"]
    );
}

#[test]
fn a_stop_decides_nothing_and_abandons_the_run() {
    let mut db = TestDb::new();
    db.pair("t1");
    add_run(&db);
    let stop = BeginClosing { stop_manager: true, ..begin(Closing::Stop) };
    let report = close(&mut db, stop, EndedSessions { worker: None, manager: Some(true) });
    assert_eq!((report.final_decision_id, report.final_audit), (None, None));
    assert_eq!(db.texts("SELECT status FROM runs"), ["abandoned"]);
    assert_eq!(db.texts("SELECT name FROM sessions WHERE state = 'gone'"), ["t1-m"]);
    assert_eq!(task_events(&db), ["stop_task_intent", "stop_task_succeeded"]);
}

#[test]
fn a_closed_task_is_only_tidied_up() {
    let mut db = TestDb::new();
    db.pair("t1");
    close(&mut db, begin(Closing::Finish), EndedSessions::default());
    assert!(db.refusal(begin(Closing::Finish)).message.contains("is done already"));
    let stop = BeginClosing { stop_worker: true, ..begin(Closing::Stop) };
    assert!(db.refusal(stop).hints[0].contains("finish-task t1 --stop-worker"));

    for _ in 0..2 {
        let tidy = BeginClosing { stop_worker: true, ..begin(Closing::Finish) };
        let report = close(&mut db, tidy, EndedSessions { worker: Some(true), manager: None });
        assert!(report.already_done_followup);
        assert_eq!(report.worker_session.as_deref(), Some("t1-w"));
    }
    assert_eq!(db.texts("SELECT name FROM sessions WHERE state = 'gone'"), ["t1-w"]);
    assert_eq!(db.number("SELECT count(*) FROM bindings WHERE state = 'ended'"), 1);
}

#[test]
fn a_failure_outside_leaves_the_task_and_records_what_was_ended() {
    let mut db = TestDb::new();
    db.pair("t1");
    let both = BeginClosing { stop_worker: true, stop_manager: true, ..begin(Closing::Finish) };
    let plan = db.write(both).unwrap().unwrap();
    let ended = EndedSessions { worker: Some(true), manager: None };
    let failure = Failure::external("tmux said no");
    let told = db.write(FailClosing { plan, ended, failure }).unwrap();
    assert_eq!(told.message, "task t1 was left as it is: tmux said no");
    assert_eq!(db.texts("SELECT state FROM tasks"), ["candidate"]);
    assert_eq!(db.texts("SELECT state FROM bindings"), ["active"]);
    assert_eq!(db.texts("SELECT name FROM sessions WHERE state = 'gone'"), ["t1-w"]);
    let result = &db.jsons("SELECT result_json FROM commands WHERE state = 'failed'")[0];
    assert_eq!(result["failure_stage"], "live_lifecycle_side_effects");
}

#[test]
fn a_closed_gate_refuses_and_says_which() {
    fn check(gates: Gates, prepare: impl Fn(&TestDb), stage: Option<&str>) {
        let mut db = TestDb::new();
        db.pair("t1");
        prepare(&db);
        let refused = db.write(BeginClosing { gates, ..begin(Closing::Finish) }).unwrap().err();
        assert_eq!(refused.is_some(), stage.is_some(), "{gates:?} {refused:?}");
        let stages = db.texts(
            "SELECT json_extract(result_json, '$.failure_stage') FROM commands WHERE state = 'failed'",
        );
        assert_eq!(stages, stage.into_iter().collect::<Vec<_>>(), "{gates:?}");
        assert_eq!(db.texts("SELECT state FROM tasks"), ["candidate"]);
    }
    fn ack(db: &TestDb, role: &str) {
        db.conn
            .execute(
                "INSERT INTO task_acknowledgements (task_id, role, payload_json, revision, created_at)
                 SELECT id, ?1, '{}', 1, 'now' FROM tasks",
                [role],
            )
            .unwrap();
    }
    fn configure(db: &TestDb, epilogues: &str, require_acks: bool) {
        db.conn
            .execute(
                "INSERT INTO manager_configs (task_id, supervision_mode, guidelines_json, acceptance_criteria_json,
                     reference_paths_json, permissions_json, epilogues_json, require_acks, created_at, updated_at)
                 SELECT id, 'guided', '[]', '[]', '[]', '{}', ?1, ?2, 'now', 'now' FROM tasks",
                (epilogues, require_acks),
            )
            .unwrap();
    }
    let criteria = Gates { criteria: true, ..Gates::default() };
    check(criteria, |db| add_criterion(db, "accepted", &json!({})), Some("final_criteria_audit"));
    check(
        criteria,
        |db| ["proposed", "rejected"].iter().for_each(|s| add_criterion(db, s, &json!({}))),
        None,
    );
    check(Gates::default(), |db| add_criterion(db, "accepted", &json!({})), None);

    let acks = Gates { acks: true, ..Gates::default() };
    check(acks, |db| ack(db, "worker"), Some("final_ack_audit"));
    check(acks, |db| ["worker", "manager"].iter().for_each(|role| ack(db, role)), None);
    check(Gates::default(), |db| configure(db, "[]", true), Some("final_ack_audit"));

    let epilogue = Gates { epilogue: true, ..Gates::default() };
    check(epilogue, |db| configure(db, r#"["record-handoff"]"#, false), Some("final_epilogue_audit"));
    check(epilogue, |_| (), None);
}

#[test]
fn without_proof_or_decision_nothing_is_recorded() {
    fn check(db: &mut TestDb, begin: BeginClosing, expect: &str) {
        let Err(StoreError::Refused(failure)) = db.write(begin) else { panic!("not refused") };
        assert!(failure.message.contains(expect), "{failure:?}");
        assert_eq!(db.number("SELECT count(*) FROM commands"), 0);
    }
    let mut db = TestDb::new();
    db.task("t1");
    let proof = Gates { adversarial_proof: true, ..Gates::default() };
    check(&mut db, BeginClosing { gates: proof, ..begin(Closing::Finish) }, "disprove");
    let evidence =
        json!({ "evidence_type": "adversarial_check", "failure_mode": "a", "check": "b", "result": "c" });
    add_criterion(&db, "accepted", &evidence);
    check(&mut db, BeginClosing { gates: proof, ..begin(Closing::Finish) }, "disprove");
    let strict = BeginClosing { strict_decisions: true, ..begin(Closing::Stop) };
    check(&mut db, strict.clone(), "missing_decision_id");
    check(&mut db, BeginClosing { decision_id: Some(9), ..strict }, "decision_not_found");

    add_criterion(&db, "satisfied", &evidence);
    close(&mut db, BeginClosing { gates: proof, ..begin(Closing::Finish) }, EndedSessions::default());
}

#[test]
fn terminals_are_captured_before_they_close() {
    let mut db = TestDb::new();
    db.pair("t1");
    db.conn.execute("UPDATE sessions SET tmux_session = 'codex-' || name WHERE role = 'worker'", []).unwrap();
    let options = CaptureOptions { before_stop: true, require_segment: true, ..CaptureOptions::default() };
    let both =
        BeginClosing { stop_worker: true, stop_manager: true, capture: options, ..begin(Closing::Finish) };

    let plan = db.write(both.clone()).unwrap().unwrap();
    let names: Vec<_> = plan.to_capture.iter().map(|linked| linked.session.name.as_str()).collect();
    assert_eq!(names, ["t1-w"], "the manager has no terminal");
    assert!(
        db.refusal(RecordSeen { plan: plan.clone(), seen: Vec::new(), options })
            .message
            .contains("no terminal")
    );

    let seen = plan
        .to_capture
        .iter()
        .map(|linked| SeenTerminal { linked: linked.clone(), pane_id: "%0".into(), text: "a secret".into() })
        .collect();
    let plan = db.write(RecordSeen { plan, seen, options }).unwrap();
    let report = db.write(CompleteClosing { plan, ended: EndedSessions::default() }).unwrap().unwrap();
    assert_eq!(report.pre_stop_transcript_captures.len(), 1);
    assert_eq!(db.texts("SELECT segment_text FROM transcript_segments"), ["a secret"]);
    assert!(!json!(report).to_string().contains("secret"));
    assert_eq!(
        task_events(&db)[2..],
        ["worker_terminal_captured", "finish_task_pre_stop_transcript_captured", "finish_task_succeeded"]
    );
}

#[test]
fn of_two_at_once_one_closes_the_task_and_the_other_learns_it() {
    let mut db = TestDb::new();
    db.pair("t1");
    let plan = |db: &mut TestDb| {
        db.write(BeginClosing { stop_worker: true, ..begin(Closing::Finish) }).unwrap().unwrap()
    };
    let (first, second, third) = (plan(&mut db), plan(&mut db), plan(&mut db));
    let ended = EndedSessions { worker: Some(true), manager: None };
    assert!(db.write(CompleteClosing { plan: second, ended }).unwrap().is_some());
    assert!(db.write(CompleteClosing { plan: first, ended }).unwrap().is_none());
    let told =
        db.write(FailClosing { plan: third, ended, failure: Failure::external("tmux said no") }).unwrap();
    assert_eq!(told.message, "task t1 was closed by another command meanwhile: tmux said no");
    assert_eq!(db.texts("SELECT state FROM commands ORDER BY rowid"), ["failed", "succeeded", "failed"]);
    assert_eq!(db.number("SELECT count(*) FROM events WHERE type = 'finish_task_succeeded'"), 1);
    assert_eq!(db.number("SELECT count(*) FROM telemetry_events WHERE event_type = 'task_finished'"), 1);
}
