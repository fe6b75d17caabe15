//! The order of proposals, what each reader sees of them, and reviews.

use serde_json::json;

use super::*;
use crate::domain::FailureKind;
use crate::domain::continuation::Review;
use crate::store::manager_config::{ConfigChange, Configure};
use crate::store::testing::TestDb;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn submit(proposer: Role, correlation_id: Option<&str>) -> SubmitContinuation {
    let payload = object(json!({ "next": format!("as the {proposer} says") }));
    SubmitContinuation {
        task: "one".into(),
        proposer,
        payload,
        correlation_id: correlation_id.map(Into::into),
    }
}

fn review(correlation_id: Option<&str>, agreement: &str) -> RecordReview {
    let run = json!({"reviewer_session_id": "r", "manager_session_id": "m", "manager_rollout_access": false, "status": "succeeded"});
    let payload =
        json!({"agreement": agreement, "verdict": "proceed", "rationale": "both agree", "subagent_run": run});
    let review = Review::read(object(payload)).unwrap();
    RecordReview { task: "one".into(), correlation_id: correlation_id.map(Into::into), review }
}

fn permit(db: &mut TestDb) {
    let permits = vec!["context.spawn_reviewer".into()];
    let change = ConfigChange { permits, ..ConfigChange::default() };
    db.write(Configure { task: "one".into(), change }).unwrap();
}

#[test]
fn the_worker_proposes_first_and_the_manager_under_its_correlation() {
    let mut db = TestDb::new();
    db.task("one");
    assert_eq!(db.refusal(submit(Role::Manager, None)).kind, FailureKind::Refused);
    assert_eq!(db.refusal(submit(Role::Manager, Some("c1"))).kind, FailureKind::Refused);
    let first = db.write(submit(Role::Worker, Some("c1"))).unwrap();
    assert_eq!((first.revision, &*first.correlation_id), (1, "c1"));
    assert_eq!(db.refusal(submit(Role::Manager, Some("c2"))).kind, FailureKind::Refused);
    assert_eq!(db.write(submit(Role::Manager, Some("c1"))).unwrap().revision, 1);
    let second = db.write(submit(Role::Worker, None)).unwrap();
    assert_eq!(second.revision, 2);
    assert!(second.correlation_id.starts_with("continuation-"), "{second:?}");
    assert_eq!(db.texts("SELECT type FROM events WHERE type = 'task_continuation_recorded'").len(), 3);
}

#[test]
fn a_manager_sees_the_workers_proposal_only_after_its_own() {
    let mut db = TestDb::new();
    db.task("one");
    db.write(submit(Role::Worker, Some("c1"))).unwrap();
    db.write(submit(Role::Worker, Some("c2"))).unwrap();
    db.write(submit(Role::Manager, Some("c2"))).unwrap();
    let check = |db: &TestDb, reader: Reader, include_payload: bool, hidden: &[bool]| {
        let list = ListContinuations { task: "one".into(), correlation_id: None, reader, include_payload };
        let listed = db.read(list).continuations;
        let found: Vec<bool> = listed.iter().map(|proposal| proposal.payload_redacted).collect();
        assert_eq!(found, hidden, "{reader}");
        assert!(listed.iter().all(|proposal| proposal.payload.is_some() != proposal.payload_redacted));
    };
    check(&db, Reader::All, false, &[true, true, true]);
    check(&db, Reader::All, true, &[false, false, false]);
    check(&db, Reader::Reviewer, true, &[false, false, false]);
    check(&db, Reader::Manager, true, &[true, false, false]);
    check(&db, Reader::Manager, false, &[true, true, true]);
    let peek = |correlation_id: &str| {
        let correlation_id = Some(correlation_id.to_owned());
        let reader = Reader::Manager;
        ListContinuations { task: "one".into(), correlation_id, reader, include_payload: true }.run(&db.conn)
    };
    assert!(peek("c1").is_err());
    assert_eq!(peek("c2").unwrap().continuations.len(), 2);
}

#[test]
fn a_review_needs_a_permission_and_both_proposals() {
    let mut db = TestDb::new();
    let task = db.task("one");
    db.write(submit(Role::Worker, Some("c1"))).unwrap();
    assert!(db.refusal(review(Some("c1"), "match")).message.contains("context.spawn_reviewer"));
    permit(&mut db);
    assert!(db.refusal(review(Some("c1"), "match")).message.contains("no proposal of the manager for c1"));
    db.write(submit(Role::Manager, Some("c1"))).unwrap();
    assert_eq!(db.refusal(review(None, "match")).kind, FailureKind::Usage);
    assert_eq!(db.refusal(review(Some("zz"), "match")).kind, FailureKind::Refused);
    assert_eq!(latest_review(&db.conn, &task.id).unwrap(), None);

    let recorded = db.write(review(Some("c1"), "match")).unwrap();
    assert!(!recorded.operator_routing_required);
    assert_eq!(recorded.review.subagent_run["nudge_on_completion"], "ask-operator");
    assert_eq!((recorded.review.worker_continuation_id, recorded.review.manager_continuation_id), (1, 2));
    assert_eq!(latest_review(&db.conn, &task.id).unwrap(), Some(recorded.review));
}

#[test]
fn a_divergent_review_is_routed_to_a_person_and_told_as_a_warning() {
    let mut db = TestDb::new();
    db.task("one");
    permit(&mut db);
    db.write(submit(Role::Worker, Some("c1"))).unwrap();
    db.write(submit(Role::Manager, Some("c1"))).unwrap();
    assert!(db.write(review(Some("c1"), "divergent")).unwrap().operator_routing_required);
    assert_eq!(
        db.jsons("SELECT payload_json FROM events WHERE type = 'continuation_review_recorded'"),
        [json!({
            "agreement": "divergent", "manager_continuation_id": 2, "operator_routing_required": true,
            "review_id": 1, "verdict": "proceed", "worker_continuation_id": 1,
        })]
    );
    assert_eq!(db.texts("SELECT severity FROM telemetry_events"), ["warning"]);
}
