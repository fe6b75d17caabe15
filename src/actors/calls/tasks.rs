//! Tasks: create and list.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::domain::shell::quoted;
use crate::store::tasks::{CreateTask, ListTasks, ListedTask};

/// List the tasks, or create one
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct TasksArgs {
    /// Show only tasks that are not done or failed
    #[arg(long)]
    pub active: bool,
    /// Create a task with this name
    #[arg(long, value_name = "NAME")]
    pub create: Option<String>,
    /// What the new task is for
    #[arg(long, requires = "create")]
    pub goal: Option<String>,
    /// A longer text about the new task
    #[arg(long, requires = "create")]
    pub summary: Option<String>,
}

/// What `--create` made.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreatedTask {
    /// Always true: a name that is taken is refused.
    pub created: bool,
    /// `task-<uuid>`.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// The created task, or the list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TasksReply {
    /// What `--create` made.
    Created(CreatedTask),
    /// The tasks asked for.
    Listed(Vec<ListedTask>),
}

impl Call for TasksArgs {
    type Reply = TasksReply;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<TasksReply, Failure> {
        let Some(name) = self.create else {
            return Ok(TasksReply::Listed(hub.store.read(ListTasks { active_only: self.active }).await?));
        };
        let Some(goal) = self.goal else {
            return Err(Failure::usage(format!("task {name} was not created: it needs a goal"))
                .hint(format!("conveyor tasks --create {} --goal \"what it is for\"", quoted(&name))));
        };
        let task = hub.store.write(CreateTask { name, goal, summary: self.summary }).await?;
        Ok(TasksReply::Created(CreatedTask { created: true, id: task.id, name: task.name }))
    }
}
