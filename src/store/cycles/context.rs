//! What a manager has to know beside what its worker is doing.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::criteria::{CriteriaSummary, CriterionStatus};
use crate::domain::cycle::Negotiation;
use crate::domain::{Failure, Role};
use crate::store::acks::{self, Ack};
use crate::store::bindings::BoundTask;
use crate::store::codex_events::{self, CodexEvent};
use crate::store::criteria::{self, Criterion};
use crate::store::handoffs::{self, Handoff};
use crate::store::manager_config::{self, ManagerConfig};
use crate::store::{Query, StoreError};

/// The agreed frame of the work: `manager_context` in a cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagerContext {
    /// The task's config.
    pub manager_config: Option<ManagerConfig>,
    /// What the worker last acknowledged.
    pub worker_ack: Option<Ack>,
    /// What the manager last acknowledged.
    pub manager_ack: Option<Ack>,
    /// Where the worker last said it stands.
    pub worker_handoff: Option<Handoff>,
    /// The worker's last finished turn.
    pub worker_receipt: Option<WorkerReceipt>,
    /// The task's criteria.
    pub acceptance_criteria: Criteria,
    /// Whether to agree on criteria now.
    pub criteria_negotiation: Negotiation,
}

/// The criteria of a task by where they stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Criteria {
    /// How many stand where.
    pub summary: CriteriaSummary,
    /// Those that still need proof: the accepted ones.
    pub open: Vec<Criterion>,
    /// Agreed, not shown yet.
    pub accepted: Vec<Criterion>,
    /// Not agreed yet.
    pub proposed: Vec<Criterion>,
    /// Shown.
    pub satisfied: Vec<Criterion>,
    /// Left for later.
    pub deferred: Vec<Criterion>,
    /// Not wanted.
    pub rejected: Vec<Criterion>,
}

impl From<Vec<Criterion>> for Criteria {
    fn from(all: Vec<Criterion>) -> Self {
        let of = |status| all.iter().filter(|criterion| criterion.status == status).cloned().collect();
        let accepted: Vec<Criterion> = of(CriterionStatus::Accepted);
        Self {
            summary: criteria::summary(&all),
            open: accepted.clone(),
            accepted,
            proposed: of(CriterionStatus::Proposed),
            satisfied: of(CriterionStatus::Satisfied),
            deferred: of(CriterionStatus::Deferred),
            rejected: of(CriterionStatus::Rejected),
        }
    }
}

/// The end of a turn, as the rollout tells it. The values are Codex's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerReceipt {
    /// The binding it counts for.
    pub binding_id: String,
    /// The worker.
    pub source_session_id: String,
    /// Its name.
    pub source_session_name: String,
    /// The event.
    pub source_event_id: i64,
    /// When that was written.
    pub source_event_timestamp: String,
    /// The turn.
    pub turn_id: Value,
    /// What the worker said last.
    pub last_agent_message: Value,
    /// When the turn ended.
    pub completed_at: Value,
    /// How long it took.
    pub duration_ms: Value,
    /// How long the model took to begin.
    pub time_to_first_token_ms: Value,
}

impl WorkerReceipt {
    fn of(bound: &BoundTask, mut event: CodexEvent) -> Self {
        let mut take = |key: &str| event.payload.get_mut(key).map(Value::take).unwrap_or_default();
        Self {
            binding_id: bound.binding.id.clone(),
            source_session_id: bound.worker.id.clone(),
            source_session_name: bound.worker.name.clone(),
            source_event_id: event.id,
            turn_id: take("turn_id"),
            last_agent_message: take("last_agent_message"),
            completed_at: take("completed_at"),
            duration_ms: take("duration_ms"),
            time_to_first_token_ms: take("time_to_first_token_ms"),
            source_event_timestamp: event.timestamp,
        }
    }
}

/// The context of a bound task.
#[derive(Debug, Clone)]
pub struct ReadContext(pub BoundTask);

impl Query for ReadContext {
    type Out = ManagerContext;

    /// # Errors
    /// `Refused` when the config requires acknowledgements that are missing or out of date.
    fn run(self, conn: &Connection) -> Result<ManagerContext, StoreError> {
        let Self(bound) = self;
        let task_id = &bound.task.id;
        let criteria = Criteria::from(criteria::of_task(conn, task_id)?);
        let summary = criteria.summary;
        let current = summary.proposed + summary.accepted + summary.satisfied;
        let receipt = codex_events::newest_of(conn, &bound.worker.id, "task_complete")?;
        let context = ManagerContext {
            manager_config: manager_config::find(conn, task_id)?,
            worker_ack: acks::latest(conn, task_id, Role::Worker)?,
            manager_ack: acks::latest(conn, task_id, Role::Manager)?,
            worker_handoff: handoffs::latest(conn, task_id)?,
            worker_receipt: receipt.map(|event| WorkerReceipt::of(&bound, event)),
            criteria_negotiation: Negotiation::advise(
                &bound.task.name,
                current,
                summary.deferred + summary.rejected,
            ),
            acceptance_criteria: criteria,
        };
        context.require_acks(&bound)?;
        Ok(context)
    }
}

impl ManagerContext {
    fn require_acks(&self, bound: &BoundTask) -> Result<(), Failure> {
        let Some(config) = self.manager_config.as_ref().filter(|config| config.require_acks) else {
            return Ok(());
        };
        let current = |ack: &Ack| {
            ack.binding_id.as_ref() == Some(&bound.binding.id)
                && ack.manager_config_revision == Some(config.revision)
        };
        let task = &bound.task.name;
        let mut wrongs = Vec::new();
        let mut hints = Vec::new();
        for (role, ack) in [(Role::Worker, &self.worker_ack), (Role::Manager, &self.manager_ack)] {
            let what_is_wrong = match ack {
                None => "has not acknowledged the contract",
                Some(ack) if !current(ack) => "has acknowledged another revision or binding",
                Some(_) => continue,
            };
            wrongs.push(format!("the {role} of task {task} {what_is_wrong}"));
            hints.push(format!(
                "`conveyor {role}-ack {task} --from-stdin` acknowledges revision {}",
                config.revision
            ));
        }
        if wrongs.is_empty() {
            return Ok(());
        }
        Err(hints.into_iter().fold(Failure::refused(wrongs.join(", and ")), Failure::hint))
    }
}
