//! The two sides of a pair, as they are started: what each is told, and what it is given.

use std::path::Path;
use std::time::Duration;

use super::plan::{Plan, Wish};
use super::register::{Launched, launch};
use super::{CodexArgs, not_started};
use crate::actors::{Caller, Hub};
use crate::codex::policy::SandboxMode;
use crate::domain::prompts::{self, Hands, ManagerBriefing, WorkerBriefing};
use crate::domain::shell::quoted;
use crate::domain::{Failure, Role};

/// Where every shell looks for programs.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// A worker to start.
#[derive(Debug)]
pub struct Worker<'a> {
    /// Its name.
    pub name: &'a str,
    /// What the person wants done, in their words.
    pub words: Option<&'a str>,
    /// The name of its task, when it has one.
    pub task: Option<&'a str>,
    /// How Codex is started.
    pub codex: &'a CodexArgs,
    /// The rollout of a session to go on with.
    pub codex_session: Option<&'a Path>,
    /// How long starting may take.
    pub timeout: Duration,
}

/// A manager to start.
#[derive(Debug)]
pub struct Manager<'a> {
    /// Its name.
    pub name: &'a str,
    /// The worker it is to supervise.
    pub worker: Option<&'a str>,
    /// The task's name.
    pub task: Option<&'a str>,
    /// What the task is for.
    pub goal: Option<&'a str>,
    /// The task's supervision contract is on record.
    pub configured: bool,
    /// How Codex is started.
    pub codex: &'a CodexArgs,
    /// The rollout of a session to go on with.
    pub codex_session: Option<&'a Path>,
    /// How long starting may take.
    pub timeout: Duration,
}

impl Worker<'_> {
    /// Starts and registers it; its first prompt is then to be sent.
    ///
    /// # Errors
    /// Why it was not started; then nothing is registered and nothing runs.
    pub async fn launch(&self, hub: &Hub, caller: &Caller) -> Result<Launched, Failure> {
        let polls = self.codex.polls();
        let wish = Wish {
            name: self.name,
            tmux_session: tmux_session(self.name),
            codex: self.codex,
            codex_session: self.codex_session,
            timeout: self.timeout,
            mcp: polls,
            own_terminal: false,
        };
        let plan = resolve(wish, hub, caller).await?;
        let program = program_for_session(hub, caller);
        let briefing = WorkerBriefing { hands: hands(&plan, &program), task: self.task, polls };
        let prompt = prompts::worker(self.words, &briefing);
        launch(hub, &plan.with_prompt(prompt), Role::Worker, &self.codex.transport).await
    }
}

impl Manager<'_> {
    /// Starts and registers it; its first prompt is then to be sent.
    ///
    /// # Errors
    /// Why it was not started; then nothing is registered and nothing runs.
    pub async fn launch(&self, hub: &Hub, caller: &Caller) -> Result<Launched, Failure> {
        let wish = Wish {
            name: self.name,
            tmux_session: tmux_session(self.name),
            codex: self.codex,
            codex_session: self.codex_session,
            timeout: self.timeout,
            mcp: true,
            own_terminal: false,
        };
        let plan = resolve(wish, hub, caller).await?;
        let program = program_for_session(hub, caller);
        let prompt = prompts::manager(&ManagerBriefing {
            hands: hands(&plan, &program),
            manager: self.name,
            worker: self.worker,
            task: self.task,
            goal: self.goal,
            configured: self.configured,
            polls: self.codex.polls(),
        });
        launch(hub, &plan.with_prompt(Some(prompt)), Role::Manager, &self.codex.transport).await
    }
}

async fn resolve(wish: Wish<'_>, hub: &Hub, caller: &Caller) -> Result<Plan, Failure> {
    let name = wish.name;
    Plan::resolve(wish, &hub.paths, caller).await.map_err(|failure| not_started(name, failure))
}

/// The tmux session in which a session of this name is started.
pub fn tmux_session(name: &str) -> String {
    format!("codex-{name}")
}

/// This program as the caller calls it, with the database that is used.
pub fn program_line(hub: &Hub, caller: &Caller) -> String {
    with_database(caller.program.clone(), hub)
}

/// This program as a session calls it. Codex runs commands in a login shell, whose `PATH` need not be
/// the caller's: only what lies in a system's own directory is surely found by its name.
pub fn program_for_session(hub: &Hub, caller: &Caller) -> String {
    let own = std::env::current_exe().and_then(|program| program.canonicalize());
    let program = match own {
        Ok(own) if !is_found_by_name(&own, &caller.program) => quoted(&own.to_string_lossy()),
        _ => caller.program.clone(),
    };
    with_database(program, hub)
}

fn is_found_by_name(program: &Path, name: &str) -> bool {
    let found = |directory: &str| Path::new(directory).join(name).canonicalize();
    let first = SYSTEM_DIRECTORIES.iter().find_map(|directory| found(directory).ok());
    first.is_some_and(|first| first == program)
}

fn with_database(program: String, hub: &Hub) -> String {
    match hub.paths.other_database() {
        Some(database) => format!("{program} --path {}", quoted(&database.to_string_lossy())),
        None => program,
    }
}

/// How a session calls this program, in the sandbox that is planned for it.
pub fn hands<'a>(plan: &Plan, program: &'a str) -> Hands<'a> {
    match plan.settings.effective_sandbox() {
        SandboxMode::DangerFullAccess => Hands::Shell(program),
        SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite => Hands::Tools,
    }
}
