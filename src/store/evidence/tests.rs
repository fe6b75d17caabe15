//! Evidence from its beginning to what it is worth.

use serde_json::json;

use super::*;
use crate::domain::criteria::{CriterionSource, CriterionStatus};
use crate::domain::evidence::EvidenceKind;
use crate::domain::loop_templates::NewLoop;
use crate::domain::{FailureKind, Seconds};
use crate::store::criteria::{AddCriterion, CriterionMove, MoveCriterion, NewCriterion};
use crate::store::loop_runs::CreateLoop;
use crate::store::testing::{TestDb, builtin_template};

const TREE: &str = "tree-1";

fn db() -> TestDb {
    let mut db = TestDb::new();
    db.task("one");
    db
}

fn criterion(db: &mut TestDb, text: &str, status: CriterionStatus) -> i64 {
    let new = NewCriterion {
        criterion: text.into(),
        source: CriterionSource::UserRequested,
        status,
        proof: None,
        rationale: None,
        evidence: serde_json::Map::new(),
    };
    db.write(AddCriterion { task: "one".into(), new }).unwrap().affected.unwrap().id
}

fn begin(about: About) -> BeginEvidence {
    BeginEvidence {
        task: "one".into(),
        about,
        argv: vec!["cargo".into(), "test".into()],
        directory: "/repo/app".into(),
        time_limit: Seconds::whole(60),
        by_thread: None,
        tree: Some(TreeState {
            worktree: "/repo".into(),
            commit: Some("c0ffee".into()),
            dirty: true,
            tree: TREE.into(),
        }),
    }
}

fn end(evidence_id: i64, exit_code: i32) -> EndEvidence {
    let state = if exit_code == 0 { EvidenceState::Passed } else { EvidenceState::Failed };
    let outcome = RunOutcome {
        state,
        exit_code: Some(exit_code),
        error: None,
        duration_ms: Some(12),
        output: Some(KeptOutput { path: "/x/1.log".into(), sha256: "ab".into(), bytes: 3, kept_bytes: 3 }),
        tree_after: Some(TREE.into()),
    };
    EndEvidence { evidence_id, outcome, satisfy: Satisfy::default() }
}

fn run(db: &mut TestDb, about: About, exit_code: i32) -> Ended {
    let begun = db.write(begin(about)).unwrap();
    db.write(end(begun.evidence_id, exit_code)).unwrap()
}

fn saw(db: &mut TestDb, tree: &str) {
    db.write(SawTree(SeenTree { worktree: "/repo".into(), tree: Some(tree.into()) })).unwrap();
}

#[test]
fn what_passes_satisfies_its_criterion_and_what_fails_does_not() {
    let mut db = db();
    let id = criterion(&mut db, "tests pass", CriterionStatus::Accepted);
    let failed = run(&mut db, About::Criterion(id), 101);
    assert_eq!((failed.evidence.state, failed.criteria), (EvidenceState::Failed, None));
    assert_eq!(db.texts("SELECT status FROM acceptance_criteria"), ["accepted"]);

    let criteria = run(&mut db, About::Criterion(id), 0).criteria.unwrap();
    let satisfied = criteria.affected.unwrap();
    assert_eq!(
        (satisfied.status, satisfied.evidence_kind),
        (CriterionStatus::Satisfied, EvidenceKind::Executed)
    );
    assert_eq!(satisfied.proof.as_deref(), Some("`cargo test` exited with 0"));
    assert_eq!(satisfied.evidence["executed_evidence_id"], 2);
    assert_eq!(
        db.texts("SELECT type FROM events WHERE type NOT LIKE 'task%' ORDER BY id"),
        [
            "acceptance_criterion_added",
            "executed_evidence_started",
            "executed_evidence_recorded",
            "executed_evidence_started",
            "executed_evidence_recorded",
            "acceptance_criterion_updated",
        ]
    );
}

#[test]
fn a_claim_to_have_run_something_is_still_a_claim() {
    let mut db = db();
    let (one, two) = (
        criterion(&mut db, "one", CriterionStatus::Accepted),
        criterion(&mut db, "two", CriterionStatus::Accepted),
    );
    run(&mut db, About::Criterion(one), 0);
    let claim = json!({ "executed_evidence_id": 1 }).as_object().cloned();
    let change = CriterionMove {
        id: two,
        status: CriterionStatus::Satisfied,
        proof: None,
        rationale: None,
        evidence: claim,
    };
    let state = db.write(MoveCriterion { task: "one".into(), change }).unwrap();
    let kinds: Vec<_> = state.criteria.iter().map(|criterion| criterion.evidence_kind).collect();
    assert_eq!(kinds, [EvidenceKind::Executed, EvidenceKind::SelfReported]);
    let audit = audit(&db.conn, &state.task.id, true).unwrap();
    assert_eq!((audit.ok, audit.evidence_ids), (false, vec![1]));
    assert_eq!(audit.unproven, [Unproven { criterion_id: two, evidence_id: None, freshness: None }]);
}

#[test]
fn evidence_is_worth_what_its_tree_is() {
    let mut db = db();
    let task_id = db.read(crate::store::tasks::GetTask("one".into())).id;
    assert!(!audit(&db.conn, &task_id, true).unwrap().ok, "nothing shows nothing");
    let id = criterion(&mut db, "tests pass", CriterionStatus::Accepted);
    run(&mut db, About::Criterion(id), 0);
    let check = |db: &TestDb, ok: bool, freshness: Option<Freshness>| {
        let found = audit(&db.conn, &task_id, true).unwrap();
        assert_eq!(
            (found.ok, found.unproven.first().and_then(|unproven| unproven.freshness)),
            (ok, freshness)
        );
    };
    check(&db, true, None);
    assert_eq!(db.read(WorktreesOf { task: "one".into() }), ["/repo"]);
    saw(&mut db, "tree-2");
    check(&db, false, Some(Freshness::Stale));
    saw(&mut db, TREE);
    check(&db, true, None);
    run(&mut db, About::Criterion(id), 1);
    check(&db, false, Some(Freshness::NotPassed));
}

#[test]
fn a_pass_of_a_loop_has_evidence_of_its_own() {
    let mut db = db();
    let new = NewLoop { template: Some(builtin_template("build_then_clear")), ..NewLoop::default() };
    let run_row = db.write(CreateLoop { task: "one".into(), name: Some("loop".into()), new }).unwrap();
    let about = |evidence_type: &str| About::Pass {
        run: "loop".into(),
        iteration: 1,
        evidence_type: evidence_type.into(),
    };
    run(&mut db, about("build_passed"), 0);
    let found = |db: &TestDb, iteration, evidence_type| {
        let fresh = fresh_for_pass(&db.conn, &run_row.task_id, &run_row.id, iteration, evidence_type);
        fresh.unwrap().map(|evidence| evidence.id)
    };
    assert_eq!(found(&db, 1, "build_passed"), Some(1));
    let receipt = "SELECT status || ' ' || (evidence_json ->> '$.evidence_type') FROM acceptance_criteria";
    assert_eq!(db.texts(receipt), ["satisfied build_passed"]);
    assert!(
        !audit(&db.conn, &run_row.task_id, true).unwrap().ok,
        "a loop's receipt is no criterion of the task"
    );
    assert_eq!((found(&db, 2, "build_passed"), found(&db, 1, "cleanup")), (None, None));
    saw(&mut db, "tree-2");
    assert_eq!(found(&db, 1, "build_passed"), None);
    assert_eq!(db.refusal(begin(about("adversarial_check"))).kind, FailureKind::Usage);
    assert_eq!(db.refusal(begin(about(" "))).kind, FailureKind::Usage);
    assert_eq!(db.texts("SELECT state FROM executed_evidence"), ["passed"]);
    run(&mut db, about("build_passed"), 1);
    assert_eq!(db.texts(receipt), ["rejected build_passed"]);
}

#[test]
fn an_end_is_recorded_once_and_nothing_is_begun_for_what_is_not_there() {
    let mut db = db();
    let begun = db.write(begin(About::Task)).unwrap();
    db.write(end(begun.evidence_id, 0)).unwrap();
    assert!(db.refusal(end(begun.evidence_id, 1)).message.contains("has ended before"));
    assert_eq!(db.refusal(begin(About::Criterion(9))).kind, FailureKind::NotFound);
    let elsewhere = BeginEvidence { task: "two".into(), ..begin(About::Task) };
    assert_eq!(db.refusal(elsewhere).kind, FailureKind::NotFound);
    assert_eq!(db.number("SELECT count(*) FROM executed_evidence"), 1);
    let list = |criterion| ListEvidence { task: Some("one".into()), criterion, limit: 5 };
    assert_eq!((db.read(list(None)).len(), db.read(list(Some(9))).len()), (1, 0));
    assert_eq!(db.read(ListEvidence { task: None, criterion: None, limit: 5 }).len(), 1);
}
