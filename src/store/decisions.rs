//! Decisions: what a manager decided, and why.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::events::{self, Event};
use super::page::{self, Newest, Page, Source};
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, StoreError, row, tasks};
use crate::domain::shell::quoted;
use crate::domain::time::now_iso;
use crate::domain::{Decision, Failure};

/// A row of `manager_decisions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerDecision {
    /// Its row id, what strict commands name as `--decision-id`.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// A manager of the time before sessions.
    pub manager_id: Option<String>,
    /// The observation cycle it was based on.
    pub manager_cycle_id: Option<i64>,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// When.
    pub created_at: String,
    /// What else is known.
    pub payload: Map<String, Value>,
}

const COLUMNS: &str = "id, task_id, manager_id, manager_cycle_id, decision, reason, created_at, payload_json";

impl ManagerDecision {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            manager_id: row.get(2)?,
            manager_cycle_id: row.get(3)?,
            decision: row::word(row, 4)?,
            reason: row.get(5)?,
            created_at: row.get(6)?,
            payload: row::json(row, 7)?,
        })
    }
}

/// The decision with this id, whichever task it is of.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find(conn: &Connection, id: i64) -> Result<Option<ManagerDecision>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM manager_decisions WHERE id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([id], ManagerDecision::of).optional()?)
}

/// A decision of this task.
///
/// # Errors
/// `NotFound` when there is none with this id, `Refused` when it is another task's.
pub fn get(conn: &Connection, task_id: &str, id: i64) -> Result<ManagerDecision, StoreError> {
    match find(conn, id)? {
        Some(decision) if decision.task_id == task_id => Ok(decision),
        Some(_) => Err(Failure::refused(format!("decision {id} belongs to another task")).into()),
        None => Err(Failure::not_found(format!("decision {id} does not exist"))
            .hint("make one: `conveyor record-decision TASK DECISION --reason WHY`")
            .into()),
    }
}

/// The newest decisions about a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_of_task(
    conn: &Connection,
    task_id: &str,
    page: &Page,
) -> Result<Newest<ManagerDecision>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM manager_decisions");
    let source = Source {
        select: &select,
        of_task: "task_id = ?1",
        at: "created_at",
        order: "id",
        written_at_once: Some("manager_decisions"),
    };
    page::newest(conn, &source, task_id, page, ManagerDecision::of)
}

/// Records a decision, its audit event and its telemetry.
#[derive(Debug)]
pub struct RecordDecision {
    /// The task, by id or name.
    pub task: String,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// The observation cycle it was based on.
    pub cycle_id: Option<i64>,
    /// What else is known.
    pub payload: Map<String, Value>,
}

impl Change for RecordDecision {
    type Out = ManagerDecision;

    fn run(self, tx: &Connection) -> Result<ManagerDecision, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        if self.reason.trim().is_empty() {
            return Err(Failure::usage("no decision was recorded: its reason is empty")
                .hint("say why with --reason TEXT")
                .into());
        }
        if let Some(cycle_id) = self.cycle_id {
            refuse_foreign_cycle(tx, &task, cycle_id)?;
        }
        record(tx, &task.id, self.decision, &self.reason, self.cycle_id, self.payload)
    }
}

/// Records a decision for a task that is known to exist.
///
/// # Errors
/// Whatever SQLite answers.
pub fn record(
    conn: &Connection,
    task_id: &str,
    decision: Decision,
    reason: &str,
    cycle_id: Option<i64>,
    payload: Map<String, Value>,
) -> Result<ManagerDecision, StoreError> {
    let payload = Value::Object(payload);
    let id = insert(conn, task_id, decision, reason, cycle_id, &payload)?;
    let facts = json!({ "decision_id": id, "decision": decision, "manager_cycle_id": cycle_id });
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "manager_decision_recorded",
            task_id: Some(task_id),
            payload: json!({ "decision_id": id, "decision": decision, "manager_cycle_id": cycle_id, "reason": reason }),
            ..Event::default()
        },
    )?;
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Manager,
            event_type: "manager_decision_recorded",
            severity: Severity::Info,
            summary: &format!("manager decided to {decision}"),
            task_id: Some(task_id),
            run_id: None,
            correlation: facts,
            attributes: json!({ "decision": decision, "has_payload": payload != json!({}) }),
        },
    )?;
    get(conn, task_id, id)
}

/// Inserts a decision without telling of it: what it is part of does. Gives its row id.
///
/// # Errors
/// Whatever SQLite answers.
pub fn insert(
    conn: &Connection,
    task_id: &str,
    decision: Decision,
    reason: &str,
    cycle_id: Option<i64>,
    payload: &Value,
) -> Result<i64, StoreError> {
    conn.prepare_cached(
        "INSERT INTO manager_decisions (task_id, manager_cycle_id, decision, reason, created_at, payload_json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((task_id, cycle_id, decision.as_str(), reason, now_iso(), payload.to_string()))?;
    Ok(conn.last_insert_rowid())
}

/// Refuses a cycle that is not one of the task.
///
/// # Errors
/// `NotFound` or `Refused`.
pub(super) fn refuse_foreign_cycle(
    conn: &Connection,
    task: &tasks::Task,
    cycle_id: i64,
) -> Result<(), StoreError> {
    let owner: Option<String> = conn
        .prepare_cached("SELECT task_id FROM manager_cycles WHERE id = ?1")?
        .query_row([cycle_id], |row| row.get(0))
        .optional()?;
    match owner {
        Some(owner) if owner == task.id => Ok(()),
        Some(_) => {
            Err(Failure::refused(format!("cycle {cycle_id} belongs to another task than {}", task.name))
                .into())
        }
        None => Err(Failure::not_found(format!("cycle {cycle_id} does not exist"))
            .hint(format!("`conveyor cycle {}` makes one and prints its cycle_id", quoted(&task.name)))
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FailureKind;
    use crate::store::testing::TestDb;

    fn decide(task: &str, reason: &str, cycle_id: Option<i64>) -> RecordDecision {
        let payload = Map::from_iter([("k".to_owned(), json!(1))]);
        RecordDecision {
            task: task.into(),
            decision: Decision::Nudge,
            reason: reason.into(),
            cycle_id,
            payload,
        }
    }

    fn cycle_of(db: &TestDb, task_id: &str) -> i64 {
        db.conn
            .execute(
                "INSERT INTO manager_cycles (task_id, started_at, state) VALUES (?1, 'now', 'succeeded')",
                [task_id],
            )
            .unwrap();
        db.conn.last_insert_rowid()
    }

    #[test]
    fn a_decision_is_on_record_with_its_cycle() {
        let mut db = TestDb::new();
        let task = db.task("one");
        let cycle_id = cycle_of(&db, &task.id);
        let decision = db.write(decide("one", "it is stuck", Some(cycle_id))).unwrap();
        assert_eq!((decision.id, decision.manager_cycle_id), (1, Some(cycle_id)));
        assert_eq!(decision.payload["k"], 1);
        assert_eq!(get(&db.conn, &task.id, 1).unwrap(), decision);
        assert_eq!(
            db.jsons("SELECT payload_json FROM events WHERE type = 'manager_decision_recorded'"),
            [
                json!({"decision": "nudge", "decision_id": 1, "manager_cycle_id": cycle_id, "reason": "it is stuck"})
            ]
        );
    }

    #[test]
    fn a_decision_needs_a_reason_and_a_cycle_of_its_task() {
        let mut db = TestDb::new();
        db.task("one");
        let other = db.task("two");
        let cycle_id = cycle_of(&db, &other.id);
        let check = |refused: Failure, kind: FailureKind| assert_eq!(refused.kind, kind, "{refused}");
        check(db.refusal(decide("one", " ", None)), FailureKind::Usage);
        check(db.refusal(decide("one", "r", Some(999))), FailureKind::NotFound);
        check(db.refusal(decide("one", "r", Some(cycle_id))), FailureKind::Refused);
        check(db.refusal(decide("nope", "r", None)), FailureKind::NotFound);
        assert!(db.texts("SELECT reason FROM manager_decisions").is_empty());
    }

    #[test]
    fn only_a_decision_of_the_task_is_given() {
        let mut db = TestDb::new();
        let (one, two) = (db.task("one"), db.task("two"));
        let id = db.write(decide("one", "r", None)).unwrap().id;
        assert!(get(&db.conn, &one.id, id).is_ok());
        assert!(get(&db.conn, &two.id, id).unwrap_err().to_string().contains("another task"));
        assert!(get(&db.conn, &one.id, 999).unwrap_err().to_string().contains("does not exist"));
    }
}
