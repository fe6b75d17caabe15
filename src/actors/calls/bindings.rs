//! Bindings: tie a worker and a manager to a task, and untie them.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::store::bindings::{Bind, Unbind};

/// Tie a worker and a manager to a task
///
/// From then on Dispatch tells the manager about the worker's finished turns.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct BindArgs {
    /// The task, by name or id
    #[arg(long)]
    pub task: String,
    /// The worker session
    #[arg(long, value_name = "SESSION")]
    pub worker: String,
    /// The manager session
    #[arg(long, value_name = "SESSION")]
    pub manager: String,
}

/// A made binding.
#[derive(Debug, Serialize, Deserialize)]
pub struct BindReply {
    /// `binding-<uuid>`.
    pub binding_id: String,
    /// The task's name.
    pub task: String,
    /// The task's id.
    pub task_id: String,
    /// The worker's name.
    pub worker_session: String,
    /// The manager's name.
    pub manager_session: String,
    /// `active`.
    pub state: String,
    /// When it was made.
    pub created_at: String,
}

impl Call for BindArgs {
    type Reply = BindReply;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<BindReply, Failure> {
        let bind = Bind { task: self.task, worker: self.worker, manager: self.manager };
        let bound = hub.store.write(bind).await?;
        Ok(BindReply {
            binding_id: bound.binding.id,
            task: bound.task.name,
            task_id: bound.task.id,
            worker_session: bound.worker.name,
            manager_session: bound.manager.name,
            state: bound.binding.state,
            created_at: bound.binding.created_at,
        })
    }
}

/// End the binding of a task; its sessions go on and may be bound again
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct UnbindArgs {
    /// The task, by name or id
    #[arg(long)]
    pub task: String,
}

/// An ended binding.
#[derive(Debug, Serialize, Deserialize)]
pub struct UnbindReply {
    /// The binding.
    pub binding_id: String,
    /// The task's name.
    pub task: String,
    /// The task's id.
    pub task_id: String,
    /// `ended`.
    pub state: String,
    /// When it ended.
    pub ended_at: String,
}

impl Call for UnbindArgs {
    type Reply = UnbindReply;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<UnbindReply, Failure> {
        let (task, ended) = hub.store.write(Unbind { task: self.task }).await?;
        Ok(UnbindReply {
            binding_id: ended.binding_id,
            task: task.name,
            task_id: task.id,
            state: "ended".to_owned(),
            ended_at: ended.ended_at,
        })
    }
}
