//! What a worker and a manager tell each other for the record: acknowledgements, handoffs, decisions.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Call, values};
use crate::actors::{Caller, Hub};
use crate::domain::{Decision, Failure, Role};
use crate::store::acks::{Ack, LatestAck, RecordAck};
use crate::store::decisions::{ManagerDecision, RecordDecision};
use crate::store::handoffs::{Handoff, RecordHandoff};

/// How to give an acknowledgement.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AckOptions {
    /// Give one: read it from standard input, as a JSON object
    #[arg(long, conflicts_with = "payload_json")]
    pub from_stdin: bool,
    /// Give one: {"goal_restatement": …, "proposed_criteria": […], "expected_tools": […], "open_questions": […], "ready_to_start": …}
    #[arg(long, value_name = "JSON", value_parser = values::json_object)]
    pub payload_json: Option<Map<String, Value>>,
    /// Tie it to other records of the same cause
    #[arg(long, value_name = "ID")]
    pub correlation_id: Option<String>,
}

/// Give, or show, what the worker says it understood of its task
///
/// Without a payload the latest acknowledgement is shown, or `null`.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
pub struct WorkerAckArgs {
    /// The task, by name or id
    pub task: String,
    /// How to give it
    #[command(flatten)]
    #[serde(flatten)]
    pub ack: AckOptions,
}

/// Give, or show, what the manager says it understood of its task
///
/// Without a payload the latest acknowledgement is shown, or `null`.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
pub struct ManagerAckArgs {
    /// The task, by name or id
    pub task: String,
    /// How to give it
    #[command(flatten)]
    #[serde(flatten)]
    pub ack: AckOptions,
}

impl Call for WorkerAckArgs {
    type Reply = Option<Ack>;

    fn changes_task(&self) -> Option<&str> {
        self.ack.payload_json.is_some().then_some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Option<Ack>, Failure> {
        acknowledge(hub, self.task, Role::Worker, self.ack).await
    }
}

impl Call for ManagerAckArgs {
    type Reply = Option<Ack>;

    fn changes_task(&self) -> Option<&str> {
        self.ack.payload_json.is_some().then_some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Option<Ack>, Failure> {
        acknowledge(hub, self.task, Role::Manager, self.ack).await
    }
}

async fn acknowledge(hub: &Hub, task: String, role: Role, ack: AckOptions) -> Result<Option<Ack>, Failure> {
    match ack.payload_json {
        Some(payload) => {
            let record = RecordAck { task, role, payload, correlation_id: ack.correlation_id };
            Ok(Some(hub.store.write(record).await?))
        }
        None if ack.from_stdin => {
            Err(Failure::usage("there is no standard input here").hint("give the object with --payload-json"))
        }
        None => Ok(hub.store.read(LatestAck { task, role }).await?),
    }
}

/// Write down where the work stands, for a manager that reads it later
///
/// For a worker that comes under a manager, or whose context is about to be cleared.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct HandoffArgs {
    /// The task, by name or id
    pub task: String,
    /// Where the work stands
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub summary: String,
    /// What to do next; repeatable, in order
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    #[serde(default)]
    pub next_step: Vec<String>,
    /// What else there is to say
    #[arg(long, value_name = "JSON", value_parser = values::json_object)]
    #[serde(default)]
    pub payload_json: Option<Map<String, Value>>,
}

impl Call for HandoffArgs {
    type Reply = Handoff;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Handoff, Failure> {
        let record = RecordHandoff {
            task: self.task,
            summary: self.summary,
            next_steps: self.next_step,
            payload: self.payload_json.unwrap_or_default(),
        };
        Ok(hub.store.write(record).await?)
    }
}

/// Record what the manager decided, and why, before acting on it
///
/// Strict commands ask for the `id` of the answer as their --decision-id.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct RecordDecisionArgs {
    /// The task, by name or id
    pub task: String,
    /// What was decided
    pub decision: Decision,
    /// Why
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub reason: String,
    /// The observation cycle it is based on
    #[arg(long, value_name = "ID")]
    #[serde(default)]
    pub cycle_id: Option<i64>,
    /// What else there is to say
    #[arg(long, value_name = "JSON", value_parser = values::json_object)]
    #[serde(default)]
    pub payload_json: Option<Map<String, Value>>,
}

impl Call for RecordDecisionArgs {
    type Reply = ManagerDecision;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<ManagerDecision, Failure> {
        let record = RecordDecision {
            task: self.task,
            decision: self.decision,
            reason: self.reason,
            cycle_id: self.cycle_id,
            payload: self.payload_json.unwrap_or_default(),
        };
        Ok(hub.store.write(record).await?)
    }
}
