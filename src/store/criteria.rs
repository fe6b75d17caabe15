//! Acceptance criteria: what must be true before a task is done.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{StoreError, row};
use crate::domain::criteria::{CriteriaSummary, CriterionStatus};

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
    pub source: String,
    /// What shows that it is true.
    pub proof: Option<String>,
    /// Why it stands there.
    pub rationale: Option<String>,
    /// What shows that it is true, for programs.
    pub evidence: Value,
    /// When it was recorded.
    pub created_at: String,
    /// When its row last changed.
    pub updated_at: String,
}

const COLUMNS: &str =
    "id, task_id, criterion, status, source, proof, rationale, evidence_json, created_at, updated_at";

impl Criterion {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            criterion: row.get(2)?,
            status: row::word(row, 3)?,
            source: row.get(4)?,
            proof: row.get(5)?,
            rationale: row.get(6)?,
            evidence: row::json(row, 7)?,
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
