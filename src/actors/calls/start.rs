//! Starting a worker or a manager: Codex comes up in a terminal and is registered.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::registration::RegisterReply;
use super::{Call, Place, ToolKind};
use crate::actors::launch::{CodexArgs, Launched, Manager, Worker};
use crate::actors::{Caller, Hub};
use crate::domain::{Failure, Recipe};
use crate::store::launches::KnownTask;
use crate::store::tasks::Task;

/// How long starting may take at most, in seconds.
pub(super) const MAX_TIMEOUT_SECONDS: i64 = 3600;

/// Start Codex in a new tmux session and register it as a worker
///
/// The session is codex-NAME. When it cannot be started nothing is left behind, except for a terminal
/// in which a program still runs.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct StartWorkerArgs {
    /// The name to register it under
    #[arg(long)]
    pub name: String,
    /// What it is to do, in your words; the name of a task stands for its goal
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = super::values::text)]
    pub task: Option<String>,
    /// Go on with the session of this rollout instead of a new one
    #[arg(long, value_name = "PATH")]
    pub codex_session: Option<PathBuf>,
    /// How long starting may take
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=MAX_TIMEOUT_SECONDS))]
    pub timeout_seconds: u32,
    /// How Codex is started.
    #[command(flatten)]
    #[serde(flatten)]
    pub codex: CodexArgs,
}

/// Start Codex in a new tmux session and register it as a manager
///
/// It is told how to supervise. With --task and --worker it can begin as soon as the pair is bound.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct StartManagerArgs {
    /// The name to register it under
    #[arg(long)]
    pub name: String,
    /// The task it is to supervise
    #[arg(long, value_name = "TASK", allow_hyphen_values = true, value_parser = super::values::text)]
    pub task: Option<String>,
    /// What that task is for [default: what is on record]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = super::values::text)]
    pub task_goal: Option<String>,
    /// The worker it is to supervise
    #[arg(long, value_name = "SESSION")]
    pub worker: Option<String>,
    /// Go on with the session of this rollout instead of a new one
    #[arg(long, value_name = "PATH")]
    pub codex_session: Option<PathBuf>,
    /// How long starting may take
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=MAX_TIMEOUT_SECONDS))]
    pub timeout_seconds: u32,
    /// How Codex is started.
    #[command(flatten)]
    #[serde(flatten)]
    pub codex: CodexArgs,
}

/// A started session.
#[derive(Debug, Serialize, Deserialize)]
pub struct StartReply {
    /// As registration shows it.
    #[serde(flatten)]
    pub session: RegisterReply,
    /// How it was started and found.
    pub recipe: Option<Recipe>,
    /// The version of its Codex, when that tells one.
    pub codex_version: Option<String>,
    /// The command that shows its terminal.
    pub attach_command: Option<String>,
    /// Whether it was given something to do.
    pub prompt_sent: bool,
}

impl StartReply {
    /// What was started, as `program` would say it.
    pub(super) fn of(launched: Launched, prompt_sent: bool, program: &str) -> Self {
        let link = launched.linked.link.clone();
        Self {
            recipe: link.as_ref().map(|link| link.recipe),
            codex_version: link.and_then(|link| link.codex_version),
            attach_command: launched.attach_command,
            prompt_sent,
            session: RegisterReply::of(launched.linked, program),
        }
    }
}

impl Call for StartWorkerArgs {
    type Reply = StartReply;
    const PLACE: Place = Place::Caller;
    const TOOL: ToolKind = ToolKind::Hidden;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<StartReply, Failure> {
        let (task, _) = known_task(hub, self.task.as_deref()).await?.unzip();
        let worker = Worker {
            name: &self.name,
            words: task.as_ref().map(|task| &*task.goal).or(self.task.as_deref()),
            task: task.as_ref().map(|task| &*task.name),
            codex: &self.codex,
            codex_session: self.codex_session.as_deref(),
            timeout: Duration::from_secs(self.timeout_seconds.into()),
        };
        let launched = worker.launch(hub, caller).await?;
        let prompted = launched.send_prompt(hub).await?;
        Ok(StartReply::of(launched, prompted, &caller.program))
    }
}

impl Call for StartManagerArgs {
    type Reply = StartReply;
    const PLACE: Place = Place::Caller;
    const TOOL: ToolKind = ToolKind::Hidden;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<StartReply, Failure> {
        let (task, configured) = known_task(hub, self.task.as_deref()).await?.unzip();
        let manager = Manager {
            name: &self.name,
            worker: self.worker.as_deref(),
            task: task.as_ref().map(|task| &*task.name).or(self.task.as_deref()),
            goal: self.task_goal.as_deref().or(task.as_ref().map(|task| &*task.goal)),
            configured: configured.unwrap_or(false),
            codex: &self.codex,
            codex_session: self.codex_session.as_deref(),
            timeout: Duration::from_secs(self.timeout_seconds.into()),
        };
        let launched = manager.launch(hub, caller).await?;
        let prompted = launched.send_prompt(hub).await?;
        Ok(StartReply::of(launched, prompted, &caller.program))
    }
}

/// The task of this name, if there is one, and whether its supervision contract is on record.
pub(super) async fn known_task(hub: &Hub, named: Option<&str>) -> Result<Option<(Task, bool)>, Failure> {
    match named {
        None => Ok(None),
        Some(named) => Ok(hub.store.read(KnownTask(named.to_owned())).await?),
    }
}
