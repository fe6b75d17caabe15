//! How a loop stands.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, ToolKind};
use crate::actors::{Caller, Hub, evidence};
use crate::domain::Failure;
use crate::domain::loop_status::{LoopFailures, Recommendation, recommend};
use crate::store::loop_status::{GetLoopStatus, LoopStatus};

/// Show how a loop stands, and what its manager had best do next
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct LoopStatusArgs {
    /// The task, by name or id
    pub task: String,
    /// The run that holds the loop's policy, by id or name
    #[arg(long)]
    pub run: String,
}

/// How a loop stands.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each part is documented at its type")]
pub struct LoopStatusReply {
    pub task: TaskState,
    pub run: RunState,
    pub policy: PolicySummary,
    pub commands: Requests,
    pub notifications: Routed,
    pub inbox: Backlog,
    pub evidence: EvidenceOnRecord,
    pub telemetry: TelemetryOfRun,
    pub failures: Failures,
    pub recommendation: Recommendation,
}

/// The task.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as the task has them")]
pub struct TaskState {
    pub id: String,
    pub name: String,
    pub state: String,
}

/// The run.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as the run has them")]
pub struct RunState {
    pub id: String,
    pub name: String,
    pub status: String,
}

/// What the policy says about passes.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as the policy has them")]
pub struct PolicySummary {
    pub template: Option<String>,
    pub current_iteration: i64,
    pub max_iterations: i64,
    pub cleanup_policy: Option<String>,
    pub required_before_continue: Vec<String>,
}

/// Requests for passes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Requests {
    /// By the state of their command.
    pub states: BTreeMap<String, i64>,
    /// All.
    pub total: i64,
    /// The pass that was delivered last.
    pub delivered_iteration: Option<i64>,
}

/// Routed passes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Routed {
    /// Those that reached the worker's terminal or inbox.
    pub delivered: i64,
    /// All.
    pub total: i64,
}

/// What waits for the worker.
#[derive(Debug, Serialize, Deserialize)]
pub struct Backlog {
    /// Items in its inbox, whatever they are about.
    pub worker_unconsumed: i64,
}

/// Evidence that counts.
#[derive(Debug, Serialize, Deserialize)]
pub struct EvidenceOnRecord {
    /// Pieces, of all passes.
    pub total: i64,
    /// Their types.
    pub types: BTreeSet<String>,
    /// What the pass under way has yet to leave before the next.
    pub missing: Vec<String>,
}

/// Telemetry of the run.
#[derive(Debug, Serialize, Deserialize)]
pub struct TelemetryOfRun {
    /// By type.
    pub by_event_type: BTreeMap<String, i64>,
    /// Passes that were read from an inbox.
    pub dispatch_inbox_consumed: i64,
    /// All.
    pub total: i64,
}

/// What went wrong since the run began.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failures {
    /// How many kinds of failure there are.
    pub alerts: usize,
    /// How many of each kind.
    #[serde(flatten)]
    pub counts: LoopFailures,
}

impl Call for LoopStatusArgs {
    type Reply = LoopStatusReply;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<LoopStatusReply, Failure> {
        evidence::look_again(&self.task, &hub.store, &hub.paths).await?;
        Ok(hub.store.read(GetLoopStatus { task: self.task, run: self.run }).await?.into())
    }
}

impl From<LoopStatus> for LoopStatusReply {
    fn from(status: LoopStatus) -> Self {
        let LoopStatus { task, run, policy, .. } = status;
        let (delivered, routed) = status.notifications;
        Self {
            task: TaskState { id: task.id, name: task.name, state: task.state },
            run: RunState { id: run.id, name: run.name, status: run.status },
            policy: PolicySummary {
                template: policy.template,
                current_iteration: policy.current_iteration,
                max_iterations: policy.max_iterations,
                cleanup_policy: policy.cleanup_policy,
                required_before_continue: policy.required_before_continue,
            },
            commands: Requests {
                total: status.requests.values().sum(),
                states: status.requests,
                delivered_iteration: status.delivered_iteration,
            },
            notifications: Routed { delivered, total: routed },
            inbox: Backlog { worker_unconsumed: status.worker_unconsumed },
            evidence: EvidenceOnRecord {
                total: status.evidence_total,
                types: status.evidence_types,
                missing: status.missing_evidence,
            },
            telemetry: TelemetryOfRun {
                dispatch_inbox_consumed: status
                    .telemetry
                    .get("dispatch_inbox_consumed")
                    .copied()
                    .unwrap_or(0),
                total: status.telemetry.values().sum(),
                by_event_type: status.telemetry,
            },
            failures: Failures { alerts: status.failures.alerts(), counts: status.failures },
            recommendation: recommend(&status.failures, status.worker_unconsumed),
        }
    }
}
