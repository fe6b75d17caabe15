//! Workers that are known by a directory of files: what they say, and what their terminals show.

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::legacy_acts::unregistered;
use super::{Call, Place, values};
use crate::actors::blocking::blocking;
use crate::actors::legacy::{Captured, EventFile, Screen, Worker};
use crate::actors::{Caller, Hub};
use crate::domain::busy_wait::{self, DEFAULT_BUSY_WAIT_SECONDS, Pattern, Quiet};
use crate::domain::legacy::{Health, IdleAction, Signs, WorkerState, WorkerStatus};
use crate::domain::time::{now_iso, parse_iso};
use crate::domain::{Failure, startup::Startup};
use crate::store::sessions::GetLinkedSession;
use crate::store::workers::{KnownWorker, LatestStatus, RecordScreen, RecordStatus};
use crate::tmux::TmuxServer;

/// The tmux server that the caller talks to.
pub(super) fn server_of(caller: &Caller) -> TmuxServer {
    let own = TmuxServer::resolve(|name| std::env::var_os(name));
    match &caller.tmux_socket {
        Some(socket) => own.on(socket),
        None => own,
    }
}

/// The worker with this name.
pub(super) async fn worker(hub: &Hub, name: &str) -> Result<Worker, Failure> {
    let (paths, name) = (hub.paths.clone(), name.to_owned());
    blocking(move || Worker::get(&paths, &name)).await?
}

impl From<&Worker> for KnownWorker {
    fn from(worker: &Worker) -> Self {
        Self {
            name: worker.name.clone(),
            id: worker.config.worker_id.clone(),
            tmux_session: worker.config.tmux_session.clone(),
            identity_token: worker.config.identity_token.clone(),
            cwd: worker.config.cwd.clone(),
        }
    }
}

/// What a worker said last: its newest status on record, else its `status.json`.
async fn status_of(hub: &Hub, worker: &Worker) -> Result<WorkerStatus, Failure> {
    if let Some(status) = hub.store.read(LatestStatus(worker.name.clone())).await? {
        return Ok(status);
    }
    let worker = worker.clone();
    blocking(move || worker.status()).await
}

async fn is_running(worker: &Worker, caller: &Caller) -> Result<bool, Failure> {
    let (worker, server) = (worker.clone(), server_of(caller));
    blocking(move || worker.is_running(&server)).await?
}

/// Reads a worker's terminal and puts what it shows on record.
async fn capture(hub: &Hub, caller: &Caller, worker: &Worker, lines: u32) -> Result<Screen, Failure> {
    let (reader, server) = (worker.clone(), server_of(caller));
    let screen = blocking(move || reader.capture(&server, lines)).await??;
    let record = RecordScreen {
        worker: worker.into(),
        changed: screen.changed.then(|| screen.text.clone()),
        sha256: screen.captured.sha256.clone(),
        captured_at: screen.captured.captured_at.clone(),
        changed_at: screen.captured.changed_at.clone(),
        history_lines: lines,
        byte_count: screen.text.len(),
        line_count: screen.text.lines().count(),
    };
    hub.store.write(record).await?;
    Ok(screen)
}

/// List the workers that have a directory of files
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct ListArgs {}

/// One of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its tmux session exists.
    pub running: bool,
    /// The same as a word.
    pub status: String,
    /// What it says it is doing.
    pub state: WorkerState,
    /// What it says it works on.
    pub current_task: Option<String>,
}

impl Call for ListArgs {
    type Reply = Vec<Listed>;
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<Vec<Listed>, Failure> {
        let paths = hub.paths.clone();
        let workers = blocking(move || Worker::all(&paths)).await?;
        let mut listed = Vec::with_capacity(workers.len());
        for worker in workers {
            let said = status_of(hub, &worker).await?;
            let running = is_running(&worker, caller).await?;
            let status = if running { "running" } else { "stopped" }.to_owned();
            listed.push(Listed {
                name: worker.name,
                running,
                status,
                state: said.state,
                current_task: said.current_task,
            });
        }
        Ok(listed)
    }
}

/// Whether to look at the worker's terminal, and how far back.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct RefreshOptions {
    /// Do not look at its terminal
    #[arg(long)]
    #[serde(default)]
    pub no_refresh: bool,
    /// Lines of the terminal's past to read
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub lines: u32,
}

impl RefreshOptions {
    /// What a look shows; nothing when there is none to be made, and why where it failed.
    async fn look(
        &self,
        hub: &Hub,
        caller: &Caller,
        worker: &Worker,
        running: bool,
    ) -> Result<(Option<Screen>, Option<String>), Failure> {
        if !running || self.no_refresh {
            return Ok((None, None));
        }
        match capture(hub, caller, worker, self.lines).await {
            Ok(screen) => Ok((Some(screen), None)),
            Err(failure) => Ok((None, Some(failure.message))),
        }
    }
}

async fn last_capture(screen: Option<&Screen>, worker: &Worker) -> Result<Option<Captured>, Failure> {
    if let Some(screen) = screen {
        return Ok(Some(screen.captured.clone()));
    }
    let worker = worker.clone();
    blocking(move || worker.last_capture()).await
}

/// Show what a worker says of itself, and since when its terminal has not changed
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct StatusArgs {
    /// The worker's name
    pub name: String,
    /// How to look
    #[command(flatten)]
    #[serde(flatten)]
    pub refresh: RefreshOptions,
}

/// How a worker stands.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as its files and its terminal have them")]
pub struct StatusReply {
    pub name: String,
    pub running: bool,
    pub tmux_session: String,
    pub state: WorkerState,
    pub current_task: Option<String>,
    pub next_action: Option<String>,
    pub blocker: Option<String>,
    pub status_last_update: Option<String>,
    pub startup: Option<String>,
    pub startup_reason: Option<String>,
    pub startup_recommended_action: Option<String>,
    pub terminal_captured_at: Option<String>,
    pub terminal_changed_at: Option<String>,
    pub terminal_capture_error: Option<String>,
}

impl Call for StatusArgs {
    type Reply = StatusReply;
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<StatusReply, Failure> {
        let worker = worker(hub, &self.name).await?;
        let said = status_of(hub, &worker).await?;
        let running = is_running(&worker, caller).await?;
        let (screen, terminal_capture_error) = self.refresh.look(hub, caller, &worker, running).await?;
        let captured = last_capture(screen.as_ref(), &worker).await?;
        let asks_trust = screen.is_some_and(|screen| Startup::of(&screen.text) == Startup::NeedsTrust);
        let Worker { name, config, .. } = worker;
        Ok(StatusReply {
            name,
            running,
            tmux_session: config.tmux_session,
            state: said.state,
            current_task: said.current_task,
            next_action: said.next_action,
            blocker: said.blocker,
            status_last_update: said.last_update,
            startup: config.startup,
            startup_reason: config.startup_reason,
            startup_recommended_action: asks_trust.then(|| "inspect_or_accept_trust".to_owned()),
            terminal_captured_at: captured.as_ref().map(|captured| captured.captured_at.clone()),
            terminal_changed_at: captured.map(|captured| captured.changed_at),
            terminal_capture_error,
        })
    }
}

/// Say how a worker is doing, as it says itself and as its terminal shows
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct IdleCheckArgs {
    /// The worker's name
    pub name: String,
    /// How to look
    #[command(flatten)]
    #[serde(flatten)]
    pub refresh: RefreshOptions,
    /// Seconds after which a status is old
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub status_stale_seconds: u32,
    /// Seconds after which a terminal that does not change stands still
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub terminal_stale_seconds: u32,
    /// Seconds after which the screen's words are looked at
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BUSY_WAIT_SECONDS)]
    pub busy_wait_seconds: u32,
}

/// How a worker is doing.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct IdleCheckReply {
    pub name: String,
    pub health: Health,
    pub recommended_action: IdleAction,
    pub reason: String,
    pub running: bool,
    pub tmux_session: String,
    pub state: WorkerState,
    pub current_task: Option<String>,
    pub next_action: Option<String>,
    pub blocker: Option<String>,
    pub status_last_update: Option<String>,
    pub status_age_seconds: Option<f64>,
    pub status_stale_seconds: u32,
    pub terminal_changed_at: Option<String>,
    pub terminal_age_seconds: Option<f64>,
    pub terminal_stale_seconds: u32,
    pub terminal_fresh: bool,
    pub capture_error: Option<String>,
    pub busy_wait_pattern: Option<Pattern>,
    pub busy_wait_seconds: u32,
}

impl Call for IdleCheckArgs {
    type Reply = IdleCheckReply;
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<IdleCheckReply, Failure> {
        let worker = worker(hub, &self.name).await?;
        let said = status_of(hub, &worker).await?;
        let running = is_running(&worker, caller).await?;
        let (screen, capture_error) = self.refresh.look(hub, caller, &worker, running).await?;
        let terminal_changed_at = match running {
            true => last_capture(screen.as_ref(), &worker).await?.map(|captured| captured.changed_at),
            false => None,
        };
        let status_age_seconds = age_of(said.last_update.as_deref());
        let terminal_age_seconds = age_of(terminal_changed_at.as_deref());
        let quiet =
            Quiet { status_age_seconds, busy_wait_seconds: self.busy_wait_seconds.into(), recent_events: 0 };
        let pattern = screen.and_then(|screen| busy_wait::classify(&screen.text, &quiet));
        let is_over = |age: Option<f64>, limit: u32| age.is_some_and(|age| age >= limit.into());
        let health = Signs {
            running,
            state: said.state,
            capture_failed: capture_error.is_some(),
            busy_wait: pattern.is_some(),
            status_is_stale: is_over(status_age_seconds, self.status_stale_seconds),
            terminal_is_stale: is_over(terminal_age_seconds, self.terminal_stale_seconds),
        }
        .health();
        Ok(IdleCheckReply {
            name: worker.name,
            health,
            recommended_action: health.action(),
            reason: health.reason().to_owned(),
            running,
            tmux_session: worker.config.tmux_session,
            state: said.state,
            current_task: said.current_task,
            next_action: said.next_action,
            blocker: said.blocker,
            status_last_update: said.last_update,
            status_age_seconds,
            status_stale_seconds: self.status_stale_seconds,
            terminal_changed_at,
            terminal_age_seconds,
            terminal_stale_seconds: self.terminal_stale_seconds,
            terminal_fresh: capture_error.is_none(),
            capture_error,
            busy_wait_pattern: pattern.map(|found| found.pattern),
            busy_wait_seconds: self.busy_wait_seconds,
        })
    }
}

fn age_of(instant: Option<&str>) -> Option<f64> {
    let at = parse_iso(instant?)?;
    Some(Timestamp::now().duration_since(at).as_secs_f64().max(0.0))
}

/// Write down what a worker is doing; the worker itself calls this
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct UpdateStatusArgs {
    /// The worker's name
    pub name: String,
    /// What it is doing
    #[arg(long)]
    pub state: WorkerState,
    /// What it works on
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub current_task: String,
    /// What comes next
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub next_action: String,
    /// What keeps it from going on
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub blocker: Option<String>,
}

impl Call for UpdateStatusArgs {
    type Reply = WorkerStatus;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<WorkerStatus, Failure> {
        let worker = worker(hub, &self.name).await?;
        let status = WorkerStatus {
            state: self.state,
            current_task: Some(self.current_task),
            next_action: Some(self.next_action),
            blocker: self.blocker,
            last_update: Some(now_iso()),
        };
        hub.store.write(RecordStatus { worker: (&worker).into(), status: status.clone() }).await?;
        let written = status.clone();
        blocking(move || {
            worker.write_status(&written)?;
            let mut event = serde_json::json!(written);
            event.as_object_mut().map(|event| event.remove("last_update"));
            worker.log().note("status_updated", event)
        })
        .await??;
        Ok(status)
    }
}

/// Read a worker's terminal and keep what it shows
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct CaptureArgs {
    /// The worker's name
    pub name: String,
    /// Lines of the terminal's past to read
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub lines: u32,
    /// Print the text instead of what is known of it
    #[arg(long)]
    #[serde(default)]
    pub include_content: bool,
}

/// What was kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct CaptureReply {
    /// The worker's name.
    pub name: String,
    /// The size of the text.
    pub byte_count: usize,
    /// Its lines.
    pub line_count: usize,
    /// Its digest.
    pub sha256: String,
    /// How much of the terminal's past was read.
    pub history_lines: u32,
    /// The file with the text.
    pub transcript_path: String,
    /// The text is left out here.
    pub content_redacted: bool,
    /// The text, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl Call for CaptureArgs {
    type Reply = CaptureReply;
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<CaptureReply, Failure> {
        let worker = worker(hub, &self.name).await?;
        let screen = capture(hub, caller, &worker, self.lines).await?;
        Ok(CaptureReply {
            byte_count: screen.text.len(),
            line_count: screen.text.lines().count(),
            sha256: screen.captured.sha256,
            history_lines: self.lines,
            transcript_path: worker.directory.join("transcript.txt").to_string_lossy().into_owned(),
            content_redacted: !self.include_content,
            content: self.include_content.then_some(screen.text),
            name: worker.name,
        })
    }
}

/// Show what was done to a worker or session, one JSON object a line
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct EventsArgs {
    /// The worker's name
    pub name: String,
    /// Show only the newest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Show only those of this type
    #[arg(long = "type", value_name = "TYPE")]
    #[serde(rename = "type")]
    pub event_type: Option<String>,
}

/// What was done to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventsReply {
    /// Oldest first.
    pub events: Vec<Value>,
    /// Lines of its log that are no events.
    pub malformed: usize,
}

impl Call for EventsArgs {
    type Reply = EventsReply;
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<EventsReply, Failure> {
        // A registered session has nothing but a log there, and perhaps not even that.
        let file = match unregistered(hub, &self.name).await? {
            Some(worker) => Some(worker.log()),
            None => {
                let session = hub.store.read(GetLinkedSession(self.name.clone())).await?.session;
                EventFile::of(&hub.paths, &session.name)
            }
        };
        let log = blocking(move || file.map(|file| file.read()).transpose()).await??.unwrap_or_default();
        let mut events = log.events;
        events.retain(|event| self.event_type.as_ref().is_none_or(|wanted| event["type"] == **wanted));
        let surplus = self.limit.map_or(0, |limit| events.len().saturating_sub(limit as usize));
        events.drain(..surplus);
        Ok(EventsReply { events, malformed: log.malformed })
    }
}
