//! Who runs the evidence that is running.

use rusqlite::Connection;

use super::{EndEvidence, RunOutcome, Satisfy, get};
use crate::domain::evidence::EvidenceState;
use crate::store::{Change, Query, StoreError};

/// A process that runs a piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceRunner {
    /// The evidence.
    pub evidence_id: i64,
    /// The process; none when that was not written down.
    pub pid: Option<i64>,
    /// When the evidence was begun.
    pub started_at: String,
}

/// The runners of all evidence that has not ended.
#[derive(Debug)]
pub struct EvidenceRunners;

impl Query for EvidenceRunners {
    type Out = Vec<EvidenceRunner>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        let runners = conn
            .prepare_cached(
                "SELECT r.evidence_id, r.pid, e.started_at
                 FROM evidence_runners r CROSS JOIN executed_evidence e ON e.id = r.evidence_id
                 ORDER BY r.evidence_id",
            )?
            .query_map([], |row| {
                Ok(EvidenceRunner { evidence_id: row.get(0)?, pid: row.get(1)?, started_at: row.get(2)? })
            })?
            .collect::<Result<_, _>>()?;
        Ok(runners)
    }
}

/// Ends evidence whose runner is gone.
#[derive(Debug)]
pub struct EndLost(pub EvidenceRunner);

impl Change for EndLost {
    /// `false` when it has ended meanwhile.
    type Out = bool;

    fn run(self, tx: &Connection) -> Result<bool, StoreError> {
        let evidence_id = self.0.evidence_id;
        if get(tx, evidence_id)?.state != EvidenceState::Running {
            return Ok(false);
        }
        let outcome = RunOutcome {
            state: EvidenceState::Failed,
            exit_code: None,
            error: Some("its runner was gone before it ended; nobody knows what it came to".to_owned()),
            duration_ms: None,
            output: None,
            tree_after: None,
        };
        EndEvidence { evidence_id, outcome, satisfy: Satisfy::default() }.run(tx)?;
        Ok(true)
    }
}

pub(super) fn begin(conn: &Connection, evidence_id: i64) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT INTO evidence_runners (evidence_id, pid) VALUES (?1, ?2)")?
        .execute((evidence_id, std::process::id()))?;
    Ok(())
}

pub(super) fn end(conn: &Connection, evidence_id: i64) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM evidence_runners WHERE evidence_id = ?1")?.execute([evidence_id])?;
    Ok(())
}
