//! Whether executed evidence that still counts is there, for whoever demands it.
//!
//! Nothing here looks at a work tree: look first, and keep what was seen with [`super::SawTree`].

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::{ExecutedEvidence, SELECT};
use crate::domain::criteria::CriterionStatus;
use crate::domain::evidence::Freshness;
use crate::store::StoreError;
use crate::store::criteria::{self, Criterion};

/// The evidence of one type that still counts for one pass of a loop, if there is any.
///
/// # Errors
/// Whatever SQLite answers.
pub fn fresh_for_pass(
    conn: &Connection,
    task_id: &str,
    run_id: &str,
    iteration: i64,
    evidence_type: &str,
) -> Result<Option<ExecutedEvidence>, StoreError> {
    let sql = format!(
        "{SELECT} WHERE e.loop_run_id = ?1 AND e.iteration = ?2 AND e.evidence_type = ?3 AND e.task_id = ?4
         ORDER BY e.id DESC LIMIT 1"
    );
    let newest = conn
        .prepare_cached(&sql)?
        .query_row((run_id, iteration, evidence_type, task_id), ExecutedEvidence::of)
        .optional()?;
    Ok(newest.filter(|evidence| evidence.freshness == Freshness::Fresh))
}

/// A satisfied criterion that no executed evidence carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unproven {
    /// The criterion.
    pub criterion_id: i64,
    /// The newest evidence about it.
    pub evidence_id: Option<i64>,
    /// Why that does not count.
    pub freshness: Option<Freshness>,
}

/// Whether the satisfied criteria are carried by executed evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutedAudit {
    /// The evidence that carries them.
    pub evidence_ids: Vec<i64>,
    /// There is some, and it carries each of them.
    pub ok: bool,
    /// A missing one keeps the task from being finished.
    pub require_executed_evidence: bool,
    /// The criteria that nothing carries.
    pub unproven: Vec<Unproven>,
}

/// Looks at the satisfied criteria of a task, but not at the receipts that loops leave for their own
/// gate.
///
/// # Errors
/// Whatever SQLite answers.
pub fn audit(conn: &Connection, task_id: &str, required: bool) -> Result<ExecutedAudit, StoreError> {
    let mut audit = ExecutedAudit {
        evidence_ids: Vec::new(),
        ok: false,
        require_executed_evidence: required,
        unproven: Vec::new(),
    };
    for criterion in criteria::of_task(conn, task_id)?.iter().filter(|criterion| needs_proof(criterion)) {
        let newest = newest_about(conn, criterion.id)?;
        match newest.as_ref().map(|evidence| (evidence.id, evidence.freshness)) {
            Some((id, Freshness::Fresh)) => audit.evidence_ids.push(id),
            found => audit.unproven.push(Unproven {
                criterion_id: criterion.id,
                evidence_id: found.map(|(id, _)| id),
                freshness: found.map(|(_, freshness)| freshness),
            }),
        }
    }
    audit.ok = audit.unproven.is_empty() && !audit.evidence_ids.is_empty();
    Ok(audit)
}

fn needs_proof(criterion: &Criterion) -> bool {
    criterion.status == CriterionStatus::Satisfied && !is_receipt(criterion)
}

/// By its text, which nobody can change afterwards: what is said in the evidence proves nothing.
fn is_receipt(criterion: &Criterion) -> bool {
    let run_id = criterion.evidence["ralph_loop_run_id"].as_str();
    run_id.is_some_and(|run_id| criterion.criterion.starts_with(&format!("Loop run {run_id}, iteration ")))
}

fn newest_about(conn: &Connection, criterion_id: i64) -> Result<Option<ExecutedEvidence>, StoreError> {
    let sql = format!("{SELECT} WHERE e.criterion_id = ?1 ORDER BY e.id DESC LIMIT 1");
    Ok(conn.prepare_cached(&sql)?.query_row([criterion_id], ExecutedEvidence::of).optional()?)
}
