//! Acceptance criteria: what must be true before a task is done.

mod change;

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use change::{AddCriterion, CriterionMove, MoveCriterion, NewCriterion, add, move_to};

use super::tasks::{self, Task};
use super::{Query, StoreError, row};
use crate::domain::Failure;
use crate::domain::criteria::{CriteriaSummary, CriterionSource, CriterionStatus};
use crate::domain::evidence::EvidenceKind;
use crate::domain::shell::quoted;

/// A row of `acceptance_criteria`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Criterion {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// What must be true.
    pub criterion: String,
    /// Where it stands.
    pub status: CriterionStatus,
    /// Who asked for it.
    pub source: CriterionSource,
    /// What shows that it is true.
    pub proof: Option<String>,
    /// Why it stands there.
    pub rationale: Option<String>,
    /// What shows that it is true, for programs.
    pub evidence: Value,
    /// Whether that was said or shown.
    #[serde(default = "said")]
    pub evidence_kind: EvidenceKind,
    /// When it was recorded.
    pub created_at: String,
    /// When its row last changed.
    pub updated_at: String,
}

fn said() -> EvidenceKind {
    EvidenceKind::SelfReported
}

const COLUMNS: &str =
    "id, task_id, criterion, status, source, proof, rationale, evidence_json, created_at, updated_at,
     EXISTS (SELECT 1 FROM executed_evidence e
             WHERE e.id = evidence_json ->> '$.executed_evidence_id'
               AND e.criterion_id = acceptance_criteria.id AND e.state = 'passed')";

impl Criterion {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let evidence: Value = row::json(row, 7)?;
        let evidence_kind = match row.get(10)? {
            true => EvidenceKind::Executed,
            false if evidence.as_object().is_some_and(|evidence| !evidence.is_empty()) => said(),
            false => EvidenceKind::None,
        };
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            criterion: row.get(2)?,
            status: row::word(row, 3)?,
            source: row::word(row, 4)?,
            proof: row.get(5)?,
            rationale: row.get(6)?,
            evidence,
            evidence_kind,
            created_at: row.get(8)?,
            updated_at: row.get(9)?,
        })
    }
}

/// The criteria of a task, oldest first.
///
/// # Errors
/// Whatever SQLite answers.
pub fn of_task(conn: &Connection, task_id: &str) -> Result<Vec<Criterion>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM acceptance_criteria WHERE task_id = ?1 ORDER BY id");
    let rows = conn.prepare_cached(&sql)?.query_map([task_id], Criterion::of)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// How many of the criteria stand where.
pub fn summary(criteria: &[Criterion]) -> CriteriaSummary {
    CriteriaSummary::of(criteria.iter().map(|criterion| criterion.status))
}

/// A criterion of this task.
///
/// # Errors
/// `NotFound` when the task has none with this id.
pub fn get(conn: &Connection, task: &Task, id: i64) -> Result<Criterion, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM acceptance_criteria WHERE id = ?1 AND task_id = ?2");
    let found = conn.prepare_cached(&sql)?.query_row((id, &task.id), Criterion::of).optional()?;
    found.ok_or_else(|| {
        Failure::not_found(format!("task {} has no criterion {id}", task.name))
            .hint(format!("see them: `conveyor criteria {} --list`", quoted(&task.name)))
            .into()
    })
}

/// The criteria of a task, after a change or without one.
#[derive(Debug, Clone, PartialEq)]
pub struct CriteriaState {
    /// The task.
    pub task: Task,
    /// The criterion that was added or moved.
    pub affected: Option<Criterion>,
    /// The criteria, or those that stand where was asked for.
    pub criteria: Vec<Criterion>,
    /// How many of all stand where.
    pub summary: CriteriaSummary,
}

/// The criteria of a task as they are now, or those that stand where was asked for.
///
/// # Errors
/// Whatever SQLite answers.
pub(super) fn state(
    conn: &Connection,
    task: Task,
    affected: Option<Criterion>,
    statuses: &[CriterionStatus],
) -> Result<CriteriaState, StoreError> {
    let mut criteria = of_task(conn, &task.id)?;
    let summary = summary(&criteria);
    criteria.retain(|criterion| statuses.is_empty() || statuses.contains(&criterion.status));
    Ok(CriteriaState { task, affected, criteria, summary })
}

/// The criteria of a task.
#[derive(Debug)]
pub struct ListCriteria {
    /// The task, by id or name.
    pub task: String,
    /// Only those that stand here; empty for all.
    pub statuses: Vec<CriterionStatus>,
}

impl Query for ListCriteria {
    type Out = CriteriaState;

    fn run(self, conn: &Connection) -> Result<CriteriaState, StoreError> {
        state(conn, tasks::get(conn, &self.task)?, None, &self.statuses)
    }
}
