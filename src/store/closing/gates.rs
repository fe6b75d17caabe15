//! What is looked at before a task is finished. Looking refuses nothing: that is up to who asked.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::domain::Role;
use crate::domain::criteria::{CriteriaSummary, CriterionStatus, is_adversarial_proof};
use crate::store::criteria::{self, Criterion};
use crate::store::epilogue::{self, EpilogueStatus};
use crate::store::{StoreError, acks};

/// Where the acceptance criteria stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriteriaAudit {
    /// Those that must hold and are not shown to.
    pub open_criteria: Vec<Criterion>,
    /// Open criteria keep the task from being finished.
    pub require_criteria_audit: bool,
    /// How many stand where.
    pub summary: CriteriaSummary,
    /// How many there are.
    pub total: usize,
}

/// Whether both sides acknowledged the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckAudit {
    /// The manager's latest acknowledgement.
    pub manager_ack_id: Option<i64>,
    /// The sides without one.
    pub missing: Vec<Role>,
    /// Nobody is missing.
    pub ok: bool,
    /// A missing one keeps the task from being finished.
    pub require_acks: bool,
    /// The worker's latest acknowledgement.
    pub worker_ack_id: Option<i64>,
}

/// Whether the configured epilogue steps succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpilogueAudit {
    /// Where they stand.
    #[serde(flatten)]
    pub status: EpilogueStatus,
    /// A missing one keeps the task from being finished.
    pub require_epilogue: bool,
}

/// Looks at the criteria.
///
/// # Errors
/// Whatever SQLite answers.
pub fn audit_criteria(conn: &Connection, task_id: &str, required: bool) -> Result<CriteriaAudit, StoreError> {
    let criteria = criteria::of_task(conn, task_id)?;
    let (summary, total) = (criteria::summary(&criteria), criteria.len());
    let open = |criterion: &Criterion| criterion.status == CriterionStatus::Accepted;
    let open_criteria = criteria.into_iter().filter(open).collect();
    Ok(CriteriaAudit { open_criteria, require_criteria_audit: required, summary, total })
}

/// Looks at the acknowledgements.
///
/// # Errors
/// Whatever SQLite answers.
pub fn audit_acks(conn: &Connection, task_id: &str, required: bool) -> Result<AckAudit, StoreError> {
    let worker_ack_id = acks::latest(conn, task_id, Role::Worker)?.map(|ack| ack.id);
    let manager_ack_id = acks::latest(conn, task_id, Role::Manager)?.map(|ack| ack.id);
    let missing: Vec<Role> = [(Role::Worker, worker_ack_id), (Role::Manager, manager_ack_id)]
        .into_iter()
        .filter(|(_, ack)| ack.is_none())
        .map(|(role, _)| role)
        .collect();
    Ok(AckAudit { manager_ack_id, ok: missing.is_empty(), missing, require_acks: required, worker_ack_id })
}

/// Looks at the epilogue.
///
/// # Errors
/// Whatever SQLite answers.
pub fn audit_epilogue(
    conn: &Connection,
    task_id: &str,
    required_steps: Vec<String>,
    required: bool,
) -> Result<EpilogueAudit, StoreError> {
    let status = epilogue::status(conn, task_id, required_steps)?;
    Ok(EpilogueAudit { status, require_epilogue: required })
}

/// Whether somebody tried to disprove the work, in vain, and the criterion counts as satisfied.
///
/// # Errors
/// Whatever SQLite answers.
pub fn has_adversarial_proof(conn: &Connection, task_id: &str) -> Result<bool, StoreError> {
    let criteria = criteria::of_task(conn, task_id)?;
    Ok(criteria.iter().any(|criterion| {
        criterion.status == CriterionStatus::Satisfied && is_adversarial_proof(&criterion.evidence)
    }))
}
