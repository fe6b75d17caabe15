//! Acting on workers that are known by a directory of files.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::act::{SessionInterruptArgs, SessionNudgeArgs};
use super::legacy::{server_of, worker};
use super::{Call, Place, Request, values};
use crate::actors::blocking::blocking;
use crate::actors::legacy::Worker;
use crate::actors::paths::Paths;
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::domain::time::now_iso;
use crate::store::worker_starts::WorkerStopped;
use crate::tmux::{KeyName, TmuxServer};

/// What a worker is asked after an interrupt, unless somebody says otherwise.
const FOLLOWUP: &str = "Say where you stand: what you were doing, what is done, and what comes next.";

/// The worker with this name, if there is one; else the name is that of a registered session.
pub(super) async fn unregistered(hub: &Hub, name: &str) -> Result<Option<Worker>, Failure> {
    let (paths, name) = (hub.paths.clone(), name.to_owned());
    blocking(move || Worker::find(&paths, &name)).await?
}

/// What somebody means who names a registered session where a worker is named: the call that its supervisor
/// serves, so that no two texts for it ever mix. Blocks.
///
/// # Errors
/// When a worker's configuration is there, but cannot be read.
pub fn meant(request: Request, paths: &Paths) -> Result<Request, Failure> {
    let is_session = |name: &str| Ok::<_, Failure>(Worker::find(paths, name)?.is_none());
    Ok(match request {
        Request::Nudge(args) if is_session(&args.name)? => {
            SessionNudgeArgs { name: args.name, text: args.message, dry_run: false }.into()
        }
        Request::Interrupt(args) if is_session(&args.name)? => SessionInterruptArgs {
            followup: args.asked(),
            name: args.name,
            key: args.key,
            dry_run: args.dry_run,
            force: false,
        }
        .into(),
        request => request,
    })
}

/// Send a text to a worker; for a registered session, as session-nudge does
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct NudgeArgs {
    /// The worker's name
    pub name: String,
    /// The text to send
    #[arg(allow_hyphen_values = true, value_parser = values::text)]
    pub message: String,
}

impl Call for NudgeArgs {
    /// What was sent.
    type Reply = Value;
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<Value, Failure> {
        let worker = worker(hub, &self.name).await?;
        if self.message.trim().is_empty() {
            return Err(Failure::usage("there is nothing to send: the text is empty"));
        }
        worker.tell(&server_of(caller), &self.message).await?;
        blocking(move || {
            worker.log().note("nudge", json!({ "message": self.message }))?;
            Ok(json!({ "name": worker.name, "target": worker.config.tmux_session, "time": now_iso() }))
        })
        .await?
    }
}

/// Interrupt a worker; for a registered session, as session-interrupt does
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct InterruptArgs {
    /// The worker's name
    pub name: String,
    /// The key to press [default: Escape for Codex, C-c for another program]
    #[arg(long)]
    pub key: Option<String>,
    /// What to ask afterwards [default: where it stands]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub followup: Option<String>,
    /// Ask nothing afterwards
    #[arg(long, conflicts_with = "followup")]
    #[serde(default)]
    pub no_followup: bool,
    /// Only say what would be done
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

impl Call for InterruptArgs {
    /// What was done.
    type Reply = Value;
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<Value, Failure> {
        let (worker, followup) = (worker(hub, &self.name).await?, self.asked());
        let key = self.key.as_deref().map(str::parse::<KeyName>).transpose();
        let key = key.map_err(|error| Failure::usage(error.to_string()))?;
        let (server, dry_run) = (server_of(caller), self.dry_run);
        let (pressing, asked, in_terminal) = (worker.clone(), followup.clone(), server.clone());
        let key = blocking(move || {
            let key = pressing.press(&in_terminal, key, dry_run)?;
            if !dry_run {
                pressing.log().note("interrupt", json!({ "key": key, "followup": asked }))?;
            }
            Ok::<_, Failure>(key)
        })
        .await??;
        if let (Some(text), false) = (&followup, dry_run) {
            worker.tell(&server, text).await?;
        }
        Ok(json!({
            "dry_run": dry_run,
            "followup": followup,
            "key": key,
            "name": worker.name,
            "target": worker.config.tmux_session,
            "time": now_iso(),
        }))
    }
}

impl InterruptArgs {
    /// What is asked after the interrupt.
    fn asked(&self) -> Option<String> {
        (!self.no_followup).then(|| self.followup.clone().unwrap_or_else(|| FOLLOWUP.to_owned()))
    }
}

/// Ends a worker that is no registered session; whether it ran.
pub(super) async fn stop(
    worker: Worker,
    message: Option<String>,
    hub: &Hub,
    caller: &Caller,
) -> Result<bool, Failure> {
    let (server, name) = (server_of(caller), worker.name.clone());
    let said = match message {
        Some(message) if is_running(&worker, &server).await => {
            // It ends whether or not it hears why.
            let told = worker.tell(&server, &message).await;
            let mut said = json!({ "message": message });
            if let Err(failure) = told {
                said["error"] = failure.message.into();
            }
            Some(said)
        }
        _ => None,
    };
    let killed = blocking(move || {
        said.map(|said| worker.log().note("stop_message", said)).transpose()?;
        let killed = worker.end(&server)?;
        worker.log().note("stop", json!({ "killed_session": killed }))?;
        Ok::<_, Failure>(killed)
    })
    .await??;
    hub.store.write(WorkerStopped(name)).await?;
    Ok(killed)
}

async fn is_running(worker: &Worker, server: &TmuxServer) -> bool {
    let (worker, server) = (worker.clone(), server.clone());
    blocking(move || worker.is_running(&server)).await.flatten().unwrap_or(false)
}
