//! Acceptance criteria, without what they say.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use super::by_word;
use crate::domain::criteria::{CriterionSource, CriterionStatus};
use crate::store::scope::Scope;
use crate::store::{StoreError, row};

/// A criterion, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriterionLine {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// That task's name.
    pub task_name: String,
    /// Where it stands.
    pub status: CriterionStatus,
    /// Who asked for it.
    pub source: CriterionSource,
    /// What shows that it is true.
    pub proof: Option<String>,
    /// When it was recorded.
    pub created_at: String,
    /// When its row last changed.
    pub updated_at: String,
}

impl CriterionLine {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            task_name: row.get(2)?,
            status: row::word(row, 3)?,
            source: row::word(row, 4)?,
            proof: row.get(5)?,
            created_at: row.get(6)?,
            updated_at: row.get(7)?,
        })
    }
}

/// The newest criteria that stand at `status`, newest first. What stands there counts whenever it
/// was recorded.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_criteria(
    conn: &Connection,
    scope: &Scope,
    status: CriterionStatus,
    limit: u32,
) -> Result<Vec<CriterionLine>, StoreError> {
    let mut filter = scope.filter("c.task_id", None);
    filter.add("c.status = ?", status.as_str().to_owned());
    let sql = format!(
        "SELECT c.id, c.task_id, t.name, c.status, c.source, c.proof, c.created_at, c.updated_at
         FROM acceptance_criteria c JOIN tasks t ON t.id = c.task_id
         WHERE {} ORDER BY c.id DESC LIMIT {limit}",
        filter.sql()
    );
    let criteria = conn
        .prepare_cached(&sql)?
        .query_map(filter.values(), CriterionLine::of)?
        .collect::<Result<_, _>>()?;
    Ok(criteria)
}

/// How many criteria stand where.
///
/// # Errors
/// Whatever SQLite answers.
pub fn criteria_by_status(conn: &Connection, scope: &Scope) -> Result<BTreeMap<String, i64>, StoreError> {
    let filter = scope.filter("c.task_id", None);
    by_word(conn, "SELECT c.status, COUNT(*) FROM acceptance_criteria c", &filter, "c.status")
}
