//! Making a worker with a directory of files, and seeing that it works.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::legacy::server_of;
use super::start::{MAX_TIMEOUT_SECONDS, known_task};
use super::{Call, Place, ToolKind, legacy_acts, values};
use crate::actors::blocking::blocking;
use crate::actors::launch::CodexArgs;
use crate::actors::legacy::Worker;
use crate::actors::legacy::start::{Started, Wanted, start};
use crate::actors::legacy::trial::{Verification, verify};
use crate::actors::window::{Shown, WindowOptions, show};
use crate::actors::{Caller, Hub};
use crate::domain::{Failure, prompts};
use crate::tmux::{SessionName, TerminalApp};

/// What `create` and `start-test` have in common.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct CreateOptions {
    /// The directory to work in [default: the current one]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// What it is to do, in your words; the name of a task stands for its goal
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub task: Option<String>,
    /// Start a worker anew that has a directory already
    #[arg(long)]
    #[serde(default)]
    pub reuse: bool,
    /// Answer yes if Codex asks whether to trust the directory
    #[arg(long)]
    #[serde(default)]
    pub accept_trust: bool,
    /// How long Codex may take to come up
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=MAX_TIMEOUT_SECONDS))]
    pub wait_ready_timeout: u32,
    /// How long it may take to write down how it stands
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=MAX_TIMEOUT_SECONDS))]
    pub verify_timeout: u32,
    /// Open a terminal window that shows it
    #[arg(long, conflicts_with = "stop_after")]
    #[serde(default)]
    pub open: bool,
    /// Open that window even if somebody looks at it already
    #[arg(long)]
    #[serde(default)]
    pub force_open: bool,
    /// The terminal program for that window
    #[arg(long, default_value_t = TerminalApp::Auto)]
    pub terminal: TerminalApp,
    /// Stop it at the end
    #[arg(long)]
    #[serde(default)]
    pub stop_after: bool,
}

/// Start Codex in a new tmux session as a worker with a directory of files
///
/// It is told to write down how it stands, which `status` shows. The session is codex-NAME. When it cannot
/// be started nothing is left behind, except for a terminal in which a program still runs. To have it
/// supervised, use pair or start-worker instead.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct CreateArgs {
    /// The worker's name: letters, digits, - and _
    #[arg(value_parser = values::plain_name)]
    pub name: String,
    /// How it is made.
    #[command(flatten)]
    #[serde(flatten)]
    pub options: CreateOptions,
    /// Tell it nothing; what it would be told is in contract.txt
    #[arg(long, visible_alias = "no-send-contract")]
    #[serde(default)]
    pub no_initial_prompt: bool,
    /// Wait until it shows its prompt or works
    #[arg(long)]
    #[serde(default)]
    pub wait_ready: bool,
    /// Wait until it has written down how it stands
    #[arg(long)]
    #[serde(default)]
    pub verify: bool,
}

/// Make a worker that only shows that workers can be made
///
/// It changes nothing but its status, and stays unless --stop-after is given.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct StartTestArgs {
    /// The worker's name: letters, digits, - and _
    #[arg(default_value = "live-test", value_parser = values::plain_name)]
    pub name: String,
    /// How it is made.
    #[command(flatten)]
    #[serde(flatten)]
    pub options: CreateOptions,
}

/// A worker that was made.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreateReply {
    /// What runs.
    #[serde(flatten)]
    pub started: Started,
    /// Whether it was seen to write down how it stands, when that was asked for.
    pub verification: Option<Verification>,
    /// What became of its window, when one was asked for.
    pub window: Option<Shown>,
    /// It was stopped again.
    pub stopped: bool,
}

impl Call for CreateArgs {
    type Reply = CreateReply;
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<CreateReply, Failure> {
        let (task, _) = known_task(hub, self.options.task.as_deref()).await?.unzip();
        let task = task.map(|task| task.goal).or_else(|| self.options.task.clone());
        let wanted = self.options.wanted(&self.name, task, !self.no_initial_prompt, self.wait_ready);
        create(&self.options, wanted, self.verify, hub, caller).await
    }
}

impl Call for StartTestArgs {
    type Reply = CreateReply;
    const PLACE: Place = Place::Caller;
    const TOOL: ToolKind = ToolKind::Hidden;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<CreateReply, Failure> {
        let task = self.options.task.clone().unwrap_or_else(|| prompts::TRIAL.to_owned());
        let wanted = self.options.wanted(&self.name, Some(task), true, true);
        create(&self.options, wanted, true, hub, caller).await
    }
}

impl CreateOptions {
    fn wanted(&self, name: &str, task: Option<String>, told: bool, wait_ready: bool) -> Wanted {
        Wanted {
            name: name.to_owned(),
            task,
            told,
            wait_ready,
            reuse: self.reuse,
            codex: CodexArgs {
                cwd: self.cwd.clone(),
                accept_trust: self.accept_trust,
                ..CodexArgs::default()
            },
            timeout: Duration::from_secs(self.wait_ready_timeout.into()),
        }
    }

    fn window(&self) -> WindowOptions {
        WindowOptions { terminal: self.terminal, dry_run: false, force: self.force_open }
    }
}

async fn create(
    options: &CreateOptions,
    wanted: Wanted,
    is_verified: bool,
    hub: &Hub,
    caller: &Caller,
) -> Result<CreateReply, Failure> {
    let server = server_of(caller);
    let started = start(wanted, server.clone(), hub, caller).await?;
    let window = match options.open {
        true => {
            let (server, window) = (server.clone(), options.window());
            let session = SessionName::new(&started.tmux_session)?;
            // The worker is there without it.
            let shown = move || {
                show(&server, &session, window)
                    .unwrap_or_else(|failure| Shown::failed(&server, &session, failure))
            };
            Some(blocking(shown).await?)
        }
        false => None,
    };
    let verification = match is_verified {
        true => {
            let timeout = Duration::from_secs(options.verify_timeout.into());
            Some(verify(&started, server, timeout, hub).await?)
        }
        false => None,
    };
    let stopped = match options.stop_after {
        true => {
            let (paths, name) = (hub.paths.clone(), started.name.clone());
            let worker = blocking(move || Worker::get(&paths, &name)).await??;
            legacy_acts::stop(worker, None, hub, caller).await?
        }
        false => false,
    };
    Ok(CreateReply { started, verification, window, stopped })
}
