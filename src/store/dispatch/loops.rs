//! The loop gate of `continue_iteration`: the policy as stored now, the evidence as recorded now.
//!
//! Whether executed evidence still counts, only a look at its work tree tells. That is no work for a
//! transaction, so the requests that need one are left until somebody has looked.

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Entry, commands, entry};
use crate::domain::Failure;
use crate::domain::loop_policy::{BlockReason, LoopPolicy};
use crate::domain::time::iso;
use crate::store::{Query, StoreError, loop_evidence, runs};

/// Holds for a command that cannot be decided about without a look at work trees: it asks for the next
/// pass of a loop whose policy demands executed evidence, and there is some.
pub(super) const NEEDS_A_LOOK: &str = "(type = 'continue_iteration' AND EXISTS (
    SELECT 1 FROM runs r JOIN executed_evidence e ON e.loop_run_id = r.id
    WHERE r.id = payload_json ->> '$.ralph_loop.run_id' AND r.metadata_json ->> '$.require_executed_evidence'
      AND e.state = 'passed' AND e.worktree IS NOT NULL))";

/// A request that waits for a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookDue {
    /// The request.
    pub command_id: String,
    /// The work trees that its loop's evidence was taken on.
    pub worktrees: Vec<String>,
}

/// The due requests that [`super::Pass`] leaves, until somebody has looked and makes a
/// [`super::PassOfSeen`].
#[derive(Debug)]
pub struct LooksDue;

impl Query for LooksDue {
    type Out = Vec<LookDue>;

    fn run(self, conn: &Connection) -> Result<Vec<LookDue>, StoreError> {
        let mut statement = conn.prepare_cached(
            "SELECT DISTINCT e.worktree FROM commands c
             JOIN executed_evidence e ON e.loop_run_id = c.payload_json ->> '$.ralph_loop.run_id'
             WHERE c.id = ?1 AND e.state = 'passed' AND e.worktree IS NOT NULL",
        )?;
        let due = commands::waiting_for_a_look(conn, &iso(Timestamp::now()))?;
        let look = |command_id: String| {
            let worktrees =
                statement.query_map([&command_id], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(LookDue { command_id, worktrees })
        };
        due.into_iter().map(look).collect()
    }
}

/// What the gate decided, and on which policy.
pub(super) struct Gate {
    policy: LoopPolicy,
    requested: i64,
    missing: Vec<String>,
    /// Why the iteration may not start.
    pub(super) blocked: Option<String>,
}

/// Looks up the policy that the command names and applies it.
pub(super) fn gate(
    conn: &Connection,
    task_id: &str,
    payload: &Value,
) -> Result<Result<Gate, Failure>, StoreError> {
    let wanted = &payload["ralph_loop"];
    let (Some(run_id), Some(requested)) = (wanted["run_id"].as_str(), wanted["requested_iteration"].as_i64())
    else {
        return Ok(Err(Failure::refused("the command names no loop run and iteration")));
    };
    let policy = match runs::loop_policy(conn, task_id, run_id) {
        Ok(policy) => policy,
        Err(StoreError::Refused(refusal)) => return Ok(Err(refusal)),
        Err(error) => return Err(error),
    };
    let satisfied = loop_evidence::on_hand(conn, task_id, &policy, requested - 1)?;
    let reason = policy.block_reason(requested, &satisfied);
    let missing = match &reason {
        Some(BlockReason::MissingEvidence(missing)) => missing.clone(),
        _ => Vec::new(),
    };
    Ok(Ok(Gate { policy, requested, missing, blocked: reason.map(|reason| reason.word()) }))
}

impl Gate {
    /// What the item's report says of the gate.
    pub(super) fn report(&self) -> Entry {
        entry(json!({
            "cleanup_policy": self.policy.cleanup_policy,
            "current_iteration": self.policy.current_iteration,
            "loop_policy": self.policy,
            "max_iterations": self.policy.max_iterations,
            "missing_evidence": self.missing,
            "reason": self.blocked,
            "requested_iteration": self.requested,
            "required_before_continue": self.policy.required_before_continue,
            "run_id": self.policy.run_id,
            "seed_prompt_sha256": self.policy.seed_prompt_sha256,
            "stop_conditions": self.policy.stop_conditions,
        }))
    }

    /// What both sides see of the policy when the item is delivered.
    pub(super) fn payload(&self) -> Entry {
        let policy = entry(json!(self.policy));
        let mut ralph_loop = policy.clone();
        ralph_loop.insert("requested_iteration".into(), self.requested.into());
        entry(json!({"loop_policy": policy, "ralph_loop": ralph_loop}))
    }
}
