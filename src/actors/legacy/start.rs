//! Starting a worker with a directory of files: its files, its record, its terminal.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::making::{Making, NewConfig};
use crate::actors::blocking::blocking;
use crate::actors::launch::{
    CodexArgs, PlainSession, Plan, Wish, hands, open, program_for_session, sweep_once, tmux_session,
};
use crate::actors::pane_class::classify_view;
use crate::actors::window::attach_command;
use crate::actors::{Caller, Hub};
use crate::codex::pane::{Block, PaneClass};
use crate::codex::policy::SandboxMode;
use crate::domain::legacy::{WorkerState, WorkerStatus};
use crate::domain::shell::quoted;
use crate::domain::startup::Startup;
use crate::domain::time::now_iso;
use crate::domain::{Failure, Role, prompts};
use crate::store::launches::RefuseTakenName;
use crate::store::worker_starts::{BeginWorker, WorkerNotStarted, WorkerStarted};
use crate::store::workers::KnownWorker;
use crate::tmux::{PaneView, SessionName, Target, TmuxError, TmuxServer};

/// The pause between two looks at the screen.
const POLL: Duration = Duration::from_millis(100);

/// What a worker without a task works on.
const NO_TASK: &str = "Start worker Codex session.";

/// A worker that somebody wants.
#[derive(Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What it is to do, in a person's words.
    pub task: Option<String>,
    /// It is told what it is held to.
    pub told: bool,
    /// To be waited for until it shows its prompt or works.
    pub wait_ready: bool,
    /// It may have a directory already.
    pub reuse: bool,
    /// How Codex is started.
    pub codex: CodexArgs,
    /// How long Codex may take to come up.
    pub timeout: Duration,
}

/// A worker that runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Started {
    /// Its name.
    pub name: String,
    /// The id of its record.
    pub worker_id: String,
    /// Where it works.
    pub cwd: String,
    /// The directory of its files.
    pub state_dir: String,
    /// What it is held to.
    pub contract_path: String,
    /// Whether it was told so.
    pub initial_prompt: bool,
    /// Its tmux session.
    pub tmux_session: String,
    /// Shows its terminal.
    pub attach_command: Option<String>,
    /// Its process, when its session showed in time.
    pub pid: Option<u32>,
    /// Its thread, likewise.
    pub codex_session_id: Option<String>,
    /// How far it has come; `launched` when that was not waited for.
    pub startup: String,
    /// The same in a sentence.
    pub startup_reason: String,
    /// How it stood when it was started.
    pub status: WorkerStatus,
}

/// Starts it.
///
/// # Errors
/// Why it was not started; then nothing runs, and there are no files of a worker that was not there
/// before.
pub async fn start(
    wanted: Wanted,
    server: TmuxServer,
    hub: &Hub,
    caller: &Caller,
) -> Result<Started, Failure> {
    let plan = plan(&wanted, hub, caller).await?;
    let contract = prompts::contract(
        hands(&plan, &program_for_session(hub, caller)),
        &wanted.name,
        wanted.task.as_deref(),
    );
    let plan = plan.with_prompt(wanted.told.then(|| contract.clone()));
    hub.store.read(RefuseTakenName { name: wanted.name.clone(), role: Role::Worker }).await?;
    let session = SessionName::of_new(tmux_session(&wanted.name))?;
    let making = begin(&wanted, &server, &session, hub).await?;
    let mut start =
        Start { wanted: &wanted, plan: &plan, server, session, hub, making, config: None, runs: false };
    match start.run(contract).await {
        Ok(started) => Ok(started),
        Err(failure) if start.runs => Err(failure),
        Err(failure) => {
            start.take_back(&failure.message).await;
            Err(failure)
        }
    }
}

async fn plan(wanted: &Wanted, hub: &Hub, caller: &Caller) -> Result<Plan, Failure> {
    let wish = Wish {
        name: &wanted.name,
        tmux_session: tmux_session(&wanted.name),
        codex: &wanted.codex,
        codex_session: None,
        timeout: wanted.timeout,
        mcp: false,
        own_terminal: true,
    };
    let plan = Plan::resolve(wish, &hub.paths, caller).await?;
    // In a sandbox a command cannot write down how the worker stands; a tool can.
    match plan.settings.effective_sandbox() {
        SandboxMode::DangerFullAccess => Ok(plan),
        SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite => plan.with_tools(),
    }
}

/// Takes the worker's directory, unless it or its terminal is in use.
async fn begin(
    wanted: &Wanted,
    server: &TmuxServer,
    session: &SessionName,
    hub: &Hub,
) -> Result<Arc<Making>, Failure> {
    sweep_once(&hub.store).await;
    let (paths, name, reuse) = (hub.paths.clone(), wanted.name.clone(), wanted.reuse);
    let (server, session) = (server.clone(), session.clone());
    blocking(move || {
        let making = Making::begin(&paths, &name, reuse)?;
        let is_taken = server.has_session(&session);
        if is_taken.as_ref().is_ok_and(|taken| !taken) {
            return Ok(Arc::new(making));
        }
        // Nothing is written yet.
        making.leave();
        is_taken?;
        Err(Failure::refused(format!("worker {name} was not started: tmux has a session {session} already"))
            .hint(format!("see whose it is: {}", attach_command(&server, &session)))
            .hint(format!("if it is this worker's: `conveyor stop {}`", quoted(&name))))
    })
    .await?
}

/// A start that is under way.
struct Start<'a> {
    wanted: &'a Wanted,
    plan: &'a Plan,
    server: TmuxServer,
    session: SessionName,
    hub: &'a Hub,
    making: Arc<Making>,
    /// Once it is on record.
    config: Option<NewConfig>,
    /// The worker is there, whatever else goes wrong.
    runs: bool,
}

impl Start<'_> {
    async fn run(&mut self, contract: String) -> Result<Started, Failure> {
        let begun = Instant::now();
        let status = WorkerStatus {
            state: WorkerState::Waiting,
            current_task: Some(self.wanted.task.clone().unwrap_or_else(|| NO_TASK.to_owned())),
            next_action: Some("Read its contract and begin.".to_owned()),
            blocker: None,
            last_update: Some(now_iso()),
        };
        let mut config = self.put_on_record(&status).await?;
        self.write_files(&config, &status, contract).await?;
        let mut opened = open(self.hub, self.plan).await?;
        let pane = match self.look().await {
            Ok(view) => view.pane,
            Err(failure) => {
                opened.end(self.hub, self.plan).await;
                return Err(failure);
            }
        };
        config.tmux_pane_id = Some(pane.id.to_string());
        let known = WorkerStarted {
            worker_id: config.worker_id.clone(),
            launch_id: self.plan.launch_id().to_owned(),
            tmux_pane_id: pane.id.to_string(),
        };
        opened.keep(self.hub, self.plan, known).await?;
        self.runs = true;
        (config.startup, config.startup_reason) = match self.wanted.wait_ready {
            true => self.readiness(begun + self.wanted.timeout).await,
            false => ("launched".to_owned(), launched(&opened)),
        };
        let (making, written) = (self.making.clone(), config.clone());
        blocking(move || making.write_config(&written)).await?.map_err(|failure| self.but(failure))?;
        Ok(self.started(config, opened, status))
    }

    async fn put_on_record(&mut self, status: &WorkerStatus) -> Result<NewConfig, Failure> {
        let worker = KnownWorker {
            name: self.wanted.name.clone(),
            id: None,
            tmux_session: self.session.to_string(),
            identity_token: None,
            cwd: text(&self.plan.cwd),
        };
        let known = self.hub.store.write(BeginWorker { worker, status: status.clone() }).await?;
        let config = self.making.config(known, &self.plan.cwd, self.session.as_str());
        self.config = Some(config.clone());
        Ok(config)
    }

    async fn write_files(
        &self,
        config: &NewConfig,
        status: &WorkerStatus,
        contract: String,
    ) -> Result<(), Failure> {
        let (making, config, status) = (self.making.clone(), config.clone(), status.clone());
        let event = json!({
            "contract_path": text(&making.contract_path()),
            "cwd": config.cwd,
            "initial_prompt": self.wanted.told,
            "task": self.wanted.task,
        });
        blocking(move || {
            making.fill(&config, &status, &contract)?;
            making.log().note("create", event)
        })
        .await?
    }

    async fn look(&self) -> Result<PaneView, Failure> {
        let (server, target) = (self.server.clone(), Target::from(self.session.clone()));
        match blocking(move || server.view(&target, 0)).await? {
            Err(TmuxError::NoSession { .. }) => Err(Failure::external(format!(
                "worker {} was not started: its terminal has closed",
                self.wanted.name
            ))
            .hint("run it by hand to see more: codex")),
            view => Ok(view?),
        }
    }

    /// How far it has come when it shows its prompt or works, or at the end of the time.
    async fn readiness(&self, deadline: Instant) -> (String, String) {
        loop {
            let startup = match self.look().await {
                Ok(view) => startup_of(&view),
                Err(failure) => return (Startup::Error.to_string(), failure.message),
            };
            if matches!(startup, Startup::Ready | Startup::Working) || Instant::now() >= deadline {
                return (startup.to_string(), startup.reason().to_owned());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A failure after which the worker is there all the same.
    fn but(&self, failure: Failure) -> Failure {
        Failure { message: format!("worker {} runs, but {}", self.wanted.name, failure.message), ..failure }
    }

    fn started(&self, config: NewConfig, opened: PlainSession, status: WorkerStatus) -> Started {
        Started {
            contract_path: text(&self.making.contract_path()),
            initial_prompt: self.wanted.told,
            attach_command: self.plan.attach_command(),
            pid: opened.pid,
            codex_session_id: opened.thread_id,
            status,
            name: config.name,
            worker_id: config.worker_id,
            cwd: config.cwd,
            state_dir: config.state_dir,
            tmux_session: config.tmux_session,
            startup: config.startup,
            startup_reason: config.startup_reason,
        }
    }

    /// Takes back what was written for a worker that does not run.
    async fn take_back(&mut self, reason: &str) {
        let config = self.config.take();
        if let Some(config) = &config {
            let failed = WorkerNotStarted { worker_id: config.worker_id.clone(), reason: reason.to_owned() };
            if let Err(error) = self.hub.store.write(failed).await {
                tracing::warn!(%error, "a start that failed is not on record as such");
            }
        }
        let (making, reason) = (self.making.clone(), reason.to_owned());
        if blocking(move || making.take_back(config, &reason)).await.is_err() {
            tracing::warn!("the files of a worker that was not started are left over");
        }
    }
}

fn launched(opened: &PlainSession) -> String {
    match &opened.thread_id {
        Some(thread) => format!("Codex runs and has opened the session {thread}"),
        None => "Codex runs and has opened no session yet".to_owned(),
    }
}

/// What Codex shows, else what the words on the screen say.
fn startup_of(view: &PaneView) -> Startup {
    match classify_view(view) {
        PaneClass::Working | PaneClass::WorkingRetrying => Startup::Working,
        PaneClass::Blocked(Block::Trust) => Startup::NeedsTrust,
        class if class.takes_input() => Startup::Ready,
        _ => Startup::of(&view.text),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
