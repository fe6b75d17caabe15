//! Adding criteria and moving them, on record.

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value, json};

use super::{COLUMNS, CriteriaState, Criterion, get, state};
use crate::domain::Failure;
use crate::domain::criteria::{CriterionSource, CriterionStatus};
use crate::domain::time::now_iso;
use crate::store::events::{self, Event};
use crate::store::tasks::{self, Task};
use crate::store::telemetry::{self, Actor, Severity, Telemetry};
use crate::store::{Change, StoreError};

/// A criterion before it has a row.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCriterion {
    /// What must be true.
    pub criterion: String,
    /// Who asked for it.
    pub source: CriterionSource,
    /// Where it stands.
    pub status: CriterionStatus,
    /// What shows that it is true.
    pub proof: Option<String>,
    /// Why it stands there.
    pub rationale: Option<String>,
    /// What shows that it is true, for programs.
    pub evidence: Map<String, Value>,
}

/// Adds a criterion, with its audit event and telemetry. One with the same text from the same
/// source is left as it is and given back.
///
/// # Errors
/// `Usage` for a blank text.
pub fn add(conn: &Connection, task: &Task, new: &NewCriterion) -> Result<Criterion, StoreError> {
    if new.criterion.trim().is_empty() {
        return Err(Failure::usage("no criterion was added: its text is empty")
            .hint("give it with --criterion TEXT")
            .into());
    }
    if let Some(known) = find_same(conn, task, new)? {
        return Ok(known);
    }
    let evidence = Value::Object(new.evidence.clone());
    conn.prepare_cached(
        "INSERT INTO acceptance_criteria (task_id, criterion, status, source, proof, rationale, evidence_json, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
    )?
    .execute((
        &task.id,
        &new.criterion,
        new.status.as_str(),
        new.source.as_str(),
        &new.proof,
        &new.rationale,
        evidence.to_string(),
        now_iso(),
    ))?;
    let criterion = get(conn, task, conn.last_insert_rowid())?;
    let mut payload = facts(&criterion);
    payload["created"] = true.into();
    tell(conn, &criterion, "acceptance_criterion_added", payload)?;
    Ok(criterion)
}

fn find_same(conn: &Connection, task: &Task, new: &NewCriterion) -> Result<Option<Criterion>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM acceptance_criteria WHERE task_id = ?1 AND source = ?2 AND criterion = ?3"
    );
    let parameters = (&task.id, new.source.as_str(), &new.criterion);
    Ok(conn.prepare_cached(&sql)?.query_row(parameters, Criterion::of).optional()?)
}

/// Where a criterion is to stand, and what is known now. What is absent stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct CriterionMove {
    /// The criterion.
    pub id: i64,
    /// Where it is to stand.
    pub status: CriterionStatus,
    /// What shows that it is true.
    pub proof: Option<String>,
    /// Why it stands there.
    pub rationale: Option<String>,
    /// What shows that it is true, for programs.
    pub evidence: Option<Map<String, Value>>,
}

/// Moves a criterion, with its audit event and telemetry.
///
/// # Errors
/// `NotFound` when the task has no such criterion.
pub fn move_to(conn: &Connection, task: &Task, change: &CriterionMove) -> Result<Criterion, StoreError> {
    let before = get(conn, task, change.id)?;
    let evidence = change.evidence.clone().map_or_else(|| before.evidence.clone(), Value::Object);
    conn.prepare_cached(
        "UPDATE acceptance_criteria SET status = ?2, proof = coalesce(?3, proof), rationale = coalesce(?4, rationale),
             evidence_json = ?5, updated_at = ?6
         WHERE id = ?1",
    )?
    .execute((
        change.id,
        change.status.as_str(),
        &change.proof,
        &change.rationale,
        evidence.to_string(),
        now_iso(),
    ))?;
    let criterion = get(conn, task, change.id)?;
    let mut payload = facts(&criterion);
    payload["previous_status"] = json!(before.status);
    payload["previous_proof"] = json!(before.proof);
    payload["previous_rationale"] = json!(before.rationale);
    payload["previous_evidence"] = before.evidence;
    tell(conn, &criterion, "acceptance_criterion_updated", payload)?;
    Ok(criterion)
}

/// What audit events say of a criterion.
fn facts(criterion: &Criterion) -> Value {
    json!({
        "criterion": criterion.criterion,
        "criterion_id": criterion.id,
        "evidence": criterion.evidence,
        "proof": criterion.proof,
        "rationale": criterion.rationale,
        "source": criterion.source,
        "status": criterion.status,
        "task_id": criterion.task_id,
    })
}

fn tell(
    conn: &Connection,
    criterion: &Criterion,
    event_type: &str,
    payload: Value,
) -> Result<(), StoreError> {
    let event = Event {
        actor: "workerctl",
        event_type,
        task_id: Some(&criterion.task_id),
        payload,
        ..Event::default()
    };
    events::record(conn, &event)?;
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Workerctl,
            event_type,
            severity: Severity::Info,
            summary: &format!("acceptance criterion {} is {}", criterion.id, criterion.status),
            task_id: Some(&criterion.task_id),
            run_id: None,
            correlation: json!({ "criterion_id": criterion.id, "source": criterion.source }),
            attributes: json!({
                "criterion": criterion.criterion,
                "has_evidence": criterion.evidence.as_object().is_some_and(|evidence| !evidence.is_empty()),
                "has_proof": criterion.proof.is_some(),
                "status": criterion.status,
            }),
        },
    )?;
    Ok(())
}

/// [`add`] for a task named by a person.
#[derive(Debug)]
pub struct AddCriterion {
    /// The task, by id or name.
    pub task: String,
    /// The criterion.
    pub new: NewCriterion,
}

impl Change for AddCriterion {
    type Out = CriteriaState;

    fn run(self, tx: &Connection) -> Result<CriteriaState, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        let affected = add(tx, &task, &self.new)?;
        state(tx, task, Some(affected), &[])
    }
}

/// [`move_to`] for a task named by a person.
#[derive(Debug)]
pub struct MoveCriterion {
    /// The task, by id or name.
    pub task: String,
    /// The criterion and where it is to stand.
    pub change: CriterionMove,
}

impl Change for MoveCriterion {
    type Out = CriteriaState;

    fn run(self, tx: &Connection) -> Result<CriteriaState, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        let affected = move_to(tx, &task, &self.change)?;
        state(tx, task, Some(affected), &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FailureKind;
    use crate::store::criteria::ListCriteria;
    use crate::store::testing::TestDb;

    fn add_to(task: &str, text: &str) -> AddCriterion {
        let new = NewCriterion {
            criterion: text.into(),
            source: CriterionSource::ManagerInferred,
            status: CriterionStatus::Proposed,
            proof: None,
            rationale: None,
            evidence: Map::new(),
        };
        AddCriterion { task: task.into(), new }
    }

    fn move_in(task: &str, id: i64, status: CriterionStatus) -> MoveCriterion {
        let change = CriterionMove { id, status, proof: None, rationale: None, evidence: None };
        MoveCriterion { task: task.into(), change }
    }

    fn map(value: Value) -> Option<Map<String, Value>> {
        value.as_object().cloned()
    }

    #[test]
    fn an_addition_is_on_record_once() {
        let mut db = TestDb::new();
        let task = db.task("one");
        let state = db.write(add_to("one", "tests pass")).unwrap();
        let added = state.affected.clone().unwrap();
        assert_eq!((state.criteria.len(), state.summary.proposed), (1, 1));
        assert_eq!(
            db.jsons("SELECT payload_json FROM events WHERE type = 'acceptance_criterion_added'"),
            [json!({
                "created": true, "criterion": "tests pass", "criterion_id": 1, "evidence": {}, "proof": null,
                "rationale": null, "source": "manager_inferred", "status": "proposed", "task_id": task.id,
            })]
        );
        assert_eq!(
            db.jsons("SELECT attributes_json FROM telemetry_events"),
            [
                json!({"criterion": "tests pass", "has_evidence": false, "has_proof": false, "status": "proposed"})
            ]
        );

        let mut again = add_to("one", "tests pass");
        again.new.status = CriterionStatus::Accepted;
        let again = db.write(again).unwrap();
        assert_eq!(again.affected, Some(added), "the row stays as it is");
        let mut by_worker = add_to("one", "tests pass");
        by_worker.new.source = CriterionSource::WorkerProposed;
        assert_eq!(db.write(by_worker).unwrap().criteria.len(), 2);
        let events = db.texts("SELECT type FROM events WHERE type LIKE 'acceptance%'");
        assert_eq!(events.len(), 2, "adding again is no event");
    }

    #[test]
    fn a_move_keeps_what_is_not_given_and_tells_what_was_before() {
        let mut db = TestDb::new();
        db.task("one");
        let mut first = add_to("one", "tests pass");
        first.new.proof = Some("p".into());
        first.new.rationale = Some("r".into());
        first.new.evidence = map(json!({"k": 1})).unwrap();
        db.write(first).unwrap();

        let satisfied = db.write(move_in("one", 1, CriterionStatus::Satisfied)).unwrap().affected.unwrap();
        assert_eq!(
            (satisfied.status, satisfied.proof.as_deref(), &satisfied.evidence),
            (CriterionStatus::Satisfied, Some("p"), &json!({"k": 1}))
        );
        let mut later = move_in("one", 1, CriterionStatus::Deferred);
        later.change.evidence = map(json!({"k": 2}));
        later.change.rationale = Some("later".into());
        let deferred = db.write(later).unwrap().affected.unwrap();
        assert_eq!((deferred.rationale.as_deref(), deferred.evidence), (Some("later"), json!({"k": 2})));
        let events = db.jsons("SELECT payload_json FROM events WHERE type = 'acceptance_criterion_updated'");
        assert_eq!(events[1]["previous_status"], "satisfied");
        assert_eq!(events[1]["previous_rationale"], "r");
        assert_eq!(events[1]["previous_evidence"], json!({"k": 1}));
    }

    #[test]
    fn what_is_not_this_tasks_or_has_no_text_is_refused() {
        let mut db = TestDb::new();
        db.task("one");
        db.task("two");
        db.write(add_to("one", "tests pass")).unwrap();
        let check = |refused: Failure, kind: FailureKind, says: &str| {
            assert_eq!((refused.kind, refused.message.contains(says)), (kind, true), "{refused}");
        };
        check(
            db.refusal(move_in("one", 999, CriterionStatus::Accepted)),
            FailureKind::NotFound,
            "criterion 999",
        );
        check(db.refusal(move_in("two", 1, CriterionStatus::Accepted)), FailureKind::NotFound, "task two");
        check(db.refusal(add_to("nope", "x")), FailureKind::NotFound, "task nope");
        check(db.refusal(add_to("one", "  ")), FailureKind::Usage, "empty");
        assert_eq!(db.texts("SELECT type FROM events WHERE type LIKE 'acceptance%'").len(), 1);
    }

    #[test]
    fn a_list_may_be_limited_and_still_counts_all() {
        use CriterionStatus::*;
        let mut db = TestDb::new();
        db.task("one");
        for (id, status) in (1..).zip([Accepted, Deferred, Accepted]) {
            db.write(add_to("one", &id.to_string())).unwrap();
            db.write(move_in("one", id, status)).unwrap();
        }
        let list = |statuses: Vec<CriterionStatus>| {
            let listed = db.read(ListCriteria { task: "one".into(), statuses });
            assert_eq!((listed.summary.accepted, listed.summary.deferred), (2, 1));
            listed.criteria.iter().map(|criterion| criterion.id).collect::<Vec<_>>()
        };
        assert_eq!(list(vec![]), [1, 2, 3]);
        assert_eq!(list(vec![Accepted]), [1, 3]);
        assert_eq!(list(vec![Deferred, Rejected]), [2]);
    }
}
