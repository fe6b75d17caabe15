//! Starting Codex in a terminal without registering it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::start::MAX_TIMEOUT_SECONDS;
use super::{Call, Place, ToolKind};
use crate::actors::blocking::blocking;
use crate::actors::launch::{CodexArgs, PlainSession, Plan, Wish, open, program_for_session, program_line};
use crate::actors::{Caller, Hub};
use crate::codex::launch::has_prompt;
use crate::codex::policy::{ApprovalPolicy, SandboxMode};
use crate::domain::shell::quoted;
use crate::domain::{Failure, prompts};
use crate::own_dir::private_dir;
use crate::store::leftovers::EndLaunch;

/// Start Codex in a new tmux session without registering it
///
/// For a session that you, or it itself, will register later. Whatever is neither the session's name
/// nor an option of this command goes to Codex.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct StartArgs {
    /// The name of the tmux session: letters, digits, - and _
    #[arg(value_parser = super::values::plain_name)]
    pub session: String,
    /// The directory to work in [default: the current one]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Tell it nothing about how to be supervised
    #[arg(long)]
    #[serde(default)]
    pub no_start_prompt: bool,
    /// What its commands may touch [default: danger-full-access]
    #[arg(long, short, value_name = "MODE")]
    pub sandbox: Option<SandboxMode>,
    /// When it asks a person [default: never]
    #[arg(long, short, value_name = "POLICY")]
    pub ask_for_approval: Option<ApprovalPolicy>,
    /// The model's name
    #[arg(long, short)]
    pub model: Option<String>,
    /// Answer yes if Codex asks whether to trust the directory
    #[arg(long)]
    #[serde(default)]
    pub accept_trust: bool,
    /// The Codex program [default: $CONVEYOR_CODEX, else codex on the PATH]
    #[arg(long, value_name = "PATH")]
    pub codex: Option<PathBuf>,
    /// How long to wait for its session to show
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=MAX_TIMEOUT_SECONDS))]
    pub timeout_seconds: u32,
    /// Options and a prompt for Codex
    #[arg(value_name = "CODEX ARGUMENT", last = true)]
    #[serde(default)]
    pub args: Vec<String>,
}

/// A started session, and the commands that make it part of a pair.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlainReply {
    /// The tmux session.
    pub session: String,
    /// Where it works.
    pub cwd: String,
    /// Its process, when its session showed in time.
    pub pid: Option<u32>,
    /// Its thread, likewise.
    pub codex_session_id: Option<String>,
    /// Its rollout, once there is one.
    pub codex_session_path: Option<String>,
    /// Shows its terminal.
    pub attach_command: Option<String>,
    /// Registers it as a worker.
    pub register_worker_command_template: String,
    /// Starts a manager for it.
    pub start_manager_command_template: String,
    /// Ties the two together.
    pub bind_command_template: String,
    /// Asks what the manager is to hold it to.
    pub manager_config_questions_command_template: String,
    /// What it was told, when it was.
    pub start_prompt_path: Option<String>,
    /// Whether it was told how to be supervised.
    pub start_prompt_sent: bool,
}

impl Call for StartArgs {
    type Reply = PlainReply;
    const PLACE: Place = Place::Caller;
    const TOOL: ToolKind = ToolKind::Hidden;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<PlainReply, Failure> {
        let program = program_line(hub, caller);
        let wish = Wish {
            name: &self.session,
            tmux_session: self.session.clone(),
            codex: &self.codex_args(),
            codex_session: None,
            timeout: Duration::from_secs(self.timeout_seconds.into()),
            mcp: false,
            own_terminal: true,
        };
        let plan = Plan::resolve(wish, &hub.paths, caller).await?;
        let told = !self.no_start_prompt && !has_prompt(&self.args);
        let prompt = told.then(|| prompts::plain(&program_for_session(hub, caller), &self.session));
        let plan = plan.with_prompt(prompt.clone());
        let mut opened = open(hub, &plan).await?;
        let path = hub.paths.state_root.join("artifacts/start-prompts").join(format!("{}.md", self.session));
        let kept = match prompt {
            Some(prompt) => Some(keep(path, prompt).await),
            None => None,
        };
        opened.keep(hub, &plan, EndLaunch(plan.launch_id().to_owned())).await?;
        Ok(reply(&plan, &opened, &program, kept.transpose()?))
    }
}

impl StartArgs {
    fn codex_args(&self) -> CodexArgs {
        CodexArgs {
            cwd: self.cwd.clone(),
            sandbox: self.sandbox,
            ask_for_approval: self.ask_for_approval,
            accept_trust: self.accept_trust,
            model: self.model.clone(),
            codex: self.codex.clone(),
            args: self.args.clone(),
            ..CodexArgs::default()
        }
    }
}

fn reply(plan: &Plan, opened: &PlainSession, program: &str, start_prompt_path: Option<String>) -> PlainReply {
    let (session, cwd) = (&plan.name, plan.cwd.to_string_lossy());
    let pid = opened.pid.map_or("<pid>".to_owned(), |pid| pid.to_string());
    let in_cwd = quoted(&cwd);
    PlainReply {
        register_worker_command_template: format!(
            "{program} register-worker --name <worker> --pid {pid} --cwd {in_cwd} --tmux-session {session}"
        ),
        start_manager_command_template: format!(
            "{program} start-manager --name <manager> --task <task> --worker <worker> --cwd {in_cwd}"
        ),
        bind_command_template: format!("{program} bind --task <task> --worker <worker> --manager <manager>"),
        manager_config_questions_command_template: format!("{program} manager-config <task> --questions"),
        session: session.clone(),
        cwd: cwd.into_owned(),
        pid: opened.pid,
        codex_session_id: opened.thread_id.clone(),
        codex_session_path: opened.rollout.as_deref().map(text),
        attach_command: plan.attach_command(),
        start_prompt_sent: start_prompt_path.is_some(),
        start_prompt_path,
    }
}

/// Keeps what a session was told, for whoever wonders later.
async fn keep(path: PathBuf, prompt: String) -> Result<String, Failure> {
    let kept = text(&path);
    let write = move || {
        path.parent().map_or(Ok(()), private_dir)?;
        std::fs::write(&path, prompt + "\n")
    };
    match blocking(write).await? {
        Ok(()) => Ok(kept),
        Err(error) => {
            Err(Failure::external(format!("the session runs, but {kept} could not be written: {error}")))
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
