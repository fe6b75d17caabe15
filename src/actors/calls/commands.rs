//! Durable commands: queue one for Dispatch, list them.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, ToolKind, values};
use crate::actors::{Caller, Hub};
use crate::domain::{CommandState, Failure, LoopPolicy, QueuedCommand};
use crate::store::commands::{Command, Enqueue, Enqueued, ListCommands, QueueOptions, RequestedIteration};

/// What every queued command may carry.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
pub struct QueueArgs {
    /// Tie the delivery to other records of the same cause
    #[arg(long, value_name = "ID")]
    pub correlation_id: Option<String>,
    /// Deliver only if the manager's configuration grants this permission
    #[arg(long, value_name = "PERMISSION")]
    pub required_permission: Option<String>,
    /// Queue this once: a repetition with the same key is refused
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

impl From<QueueArgs> for QueueOptions {
    fn from(args: QueueArgs) -> Self {
        Self {
            correlation_id: args.correlation_id,
            required_permission: args.required_permission,
            idempotency_key: args.idempotency_key,
        }
    }
}

/// Queue a message for the task's manager
///
/// Dispatch delivers it: into the manager's terminal, or into its inbox.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct EnqueueNotifyManagerArgs {
    /// The task, by name or id
    pub task: String,
    /// What to say
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub message: String,
    /// What every queued command may carry
    #[command(flatten)]
    #[serde(flatten)]
    pub queue: QueueArgs,
}

/// Queue a message for the task's worker
///
/// Dispatch delivers it: into the worker's terminal, or into its inbox.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct EnqueueNudgeWorkerArgs {
    /// The task, by name or id
    pub task: String,
    /// What to say
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub message: String,
    /// What every queued command may carry
    #[command(flatten)]
    #[serde(flatten)]
    pub queue: QueueArgs,
}

/// Queue the next pass of a loop for the task's worker
///
/// Dispatch delivers it only while the loop's policy allows another pass and the evidence for the
/// pass before is recorded.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct EnqueueContinueIterationArgs {
    /// The task, by name or id
    pub task: String,
    /// What to tell the worker
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub message: String,
    /// The run that holds the loop's policy, by id or name
    #[arg(long, value_name = "RUN")]
    pub loop_run: String,
    /// Which pass to ask for
    #[arg(long, value_name = "N")]
    pub requested_iteration: u32,
    /// The recorded decision that asks for it
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub manager_decision_id: Option<i64>,
    /// What every queued command may carry
    #[command(flatten)]
    #[serde(flatten)]
    pub queue: QueueArgs,
}

/// What was queued.
#[derive(Debug, Serialize, Deserialize)]
pub struct QueuedReply {
    /// The new command.
    pub command_id: String,
    /// Its type.
    pub command_type: QueuedCommand,
    /// Ties it to what comes of it.
    pub correlation_id: Option<String>,
    /// The permission it needs.
    pub required_permission: Option<String>,
    /// The task's name.
    pub task: Option<String>,
}

impl QueuedReply {
    fn of(command_type: QueuedCommand, command: Command) -> Self {
        Self {
            command_id: command.id,
            command_type,
            correlation_id: command.correlation_id,
            required_permission: command.required_permission,
            task: command.task_name,
        }
    }
}

/// The next pass that was queued.
#[derive(Debug, Serialize, Deserialize)]
pub struct QueuedIterationReply {
    /// What every queued command tells.
    #[serde(flatten)]
    pub queued: QueuedReply,
    /// The policy that Dispatch holds it against.
    pub loop_policy: Option<LoopPolicy>,
    /// The run that holds the policy.
    pub loop_run_id: Option<String>,
    /// The decision that asked for it.
    pub manager_decision_id: Option<i64>,
    /// Which pass.
    pub requested_iteration: u32,
}

impl Call for EnqueueNotifyManagerArgs {
    type Reply = QueuedReply;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<QueuedReply, Failure> {
        let command = QueuedCommand::NotifyManager;
        let queued = queue(hub, command, self.task, self.message, None, self.queue).await?;
        Ok(QueuedReply::of(command, queued.command))
    }
}

impl Call for EnqueueNudgeWorkerArgs {
    type Reply = QueuedReply;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<QueuedReply, Failure> {
        let command = QueuedCommand::NudgeWorker;
        let queued = queue(hub, command, self.task, self.message, None, self.queue).await?;
        Ok(QueuedReply::of(command, queued.command))
    }
}

impl Call for EnqueueContinueIterationArgs {
    type Reply = QueuedIterationReply;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<QueuedIterationReply, Failure> {
        let command = QueuedCommand::ContinueIteration;
        let iteration = RequestedIteration {
            run: self.loop_run,
            iteration: self.requested_iteration.into(),
            manager_decision_id: self.manager_decision_id,
        };
        let queued = queue(hub, command, self.task, self.message, Some(iteration), self.queue).await?;
        Ok(QueuedIterationReply {
            queued: QueuedReply::of(command, queued.command),
            loop_run_id: queued.loop_policy.as_ref().map(|policy| policy.run_id.clone()),
            loop_policy: queued.loop_policy,
            manager_decision_id: self.manager_decision_id,
            requested_iteration: self.requested_iteration,
        })
    }
}

async fn queue(
    hub: &Hub,
    command: QueuedCommand,
    task: String,
    message: String,
    iteration: Option<RequestedIteration>,
    options: QueueArgs,
) -> Result<Enqueued, Failure> {
    let change = Enqueue { command, task, message, iteration, options: options.into() };
    Ok(hub.store.write(change).await?)
}

/// List the durable commands, oldest first
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct CommandsArgs {
    /// Only those of this task, by name or id
    #[arg(long)]
    pub task: Option<String>,
    /// Only those that got this far
    #[arg(long)]
    pub state: Option<CommandState>,
    /// Only those of this type
    #[arg(long = "type", value_name = "TYPE")]
    #[serde(rename = "type")]
    pub command_type: Option<String>,
    /// Only those of this worker's tasks
    #[arg(long)]
    pub worker: Option<String>,
    /// Only those of this manager's tasks
    #[arg(long)]
    pub manager: Option<String>,
    /// Show every attempt at each of them
    #[arg(long)]
    pub attempts: bool,
    /// Show at most this many of the newest
    #[arg(long, value_name = "N", default_value_t = Self::LIMIT, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    #[serde(default = "CommandsArgs::default_limit")]
    pub limit: u32,
}

impl CommandsArgs {
    const LIMIT: u32 = 500;

    fn default_limit() -> u32 {
        Self::LIMIT
    }
}

impl Call for CommandsArgs {
    type Reply = Vec<Command>;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Vec<Command>, Failure> {
        let list = ListCommands {
            task: self.task,
            state: self.state,
            command_type: self.command_type,
            worker: self.worker,
            manager: self.manager,
            attempts: self.attempts,
            limit: self.limit,
        };
        Ok(hub.store.read(list).await?)
    }
}
