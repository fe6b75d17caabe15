//! The loop gate of `continue_iteration`: the policy as stored now, the evidence as recorded now.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Entry, entry};
use crate::domain::Failure;
use crate::domain::loop_policy::{BlockReason, LoopPolicy};
use crate::store::{StoreError, loop_evidence, runs};

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
