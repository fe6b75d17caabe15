//! Stopping one session.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::closing::tell;
use super::legacy_acts::{self, unregistered};
use super::{Call, values};
use crate::actors::blocking::blocking;
use crate::actors::ending::{End, can_end};
use crate::actors::hub::ask;
use crate::actors::legacy::{EventFile, Worker};
use crate::actors::{Caller, Hub, record};
use crate::domain::shell::quoted;
use crate::domain::{Failure, Role};
use crate::store::sessions::{GetLinkedSession, Session};
use crate::store::stopping::{BeginStop, FinishStop};

/// End a session: its terminal, and the app-server that was started for it
///
/// A task it works on stays as it is; to end that too, use finish-task or stop-task.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct StopArgs {
    /// The session, by name or id
    pub name: String,
    /// What the session is told first
    #[arg(long, value_name = "TEXT", value_parser = values::text, allow_hyphen_values = true)]
    pub message: Option<String>,
}

/// A session that does not run any more.
#[derive(Debug, Serialize, Deserialize)]
pub struct StopReply {
    /// The command that records it; none for a worker that was not registered.
    pub command_id: Option<String>,
    /// It was running, and has been ended.
    pub killed_session: bool,
    /// Its name.
    pub name: String,
    /// Which side it was on; none for a worker that was not registered.
    pub role: Option<Role>,
    /// The tmux session it ran in.
    pub target: Option<String>,
}

impl Call for StopArgs {
    type Reply = StopReply;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<StopReply, Failure> {
        if let Some(worker) = unregistered(hub, &self.name).await? {
            return stop_worker(worker, self.message, hub, caller).await;
        }
        let linked = hub.store.read(GetLinkedSession(self.name)).await?;
        if !can_end(&linked) {
            return Err(Failure::refused(format!(
                "session {} was not stopped: it has no tmux session, and no app-server was started for it",
                linked.session.name
            ))
            .hint(format!(
                "end it where it runs, then: `conveyor deregister {}`",
                quoted(&linked.session.name)
            )));
        }
        let session_id = linked.session.id.clone();
        let message_bytes = self.message.as_ref().map(String::len);
        let stop = hub.store.write(BeginStop { session_id: session_id.clone(), message_bytes }).await?;
        if let Some(message) = &self.message {
            tell(&linked, message, hub, caller).await;
        }
        let outcome = ask(&hub.end, End { session_id }, "session's actor").await;
        let command_id = stop.command_id.clone();
        let recorded = hub.store.write(FinishStop { stop, outcome: outcome.clone() }).await;
        let session = linked.session;
        let killed_session = record::ended(outcome, recorded, |was_running| {
            format!(
                "session {} {}",
                session.name,
                if *was_running { "was stopped" } else { "was not running" }
            )
        })?;
        note(hub, &session, killed_session).await?;
        Ok(StopReply {
            command_id: Some(command_id),
            killed_session,
            name: session.name,
            role: Some(session.role),
            target: session.tmux_session,
        })
    }
}

async fn stop_worker(
    worker: Worker,
    message: Option<String>,
    hub: &Hub,
    caller: &Caller,
) -> Result<StopReply, Failure> {
    let (name, target) = (worker.name.clone(), worker.config.tmux_session.clone());
    let killed_session = legacy_acts::stop(worker, message, hub, caller).await?;
    Ok(StopReply { command_id: None, killed_session, name, role: None, target: Some(target) })
}

/// Leaves a line where `conveyor events` looks for it.
async fn note(hub: &Hub, session: &Session, killed_session: bool) -> Result<(), Failure> {
    let Some(file) = EventFile::of(&hub.paths, &session.name) else { return Ok(()) };
    let event = json!({
        "killed_session": killed_session,
        "lookup_source": "session",
        "role": session.role,
        "target": session.tmux_session,
    });
    blocking(move || file.note("stop", event)).await?
}
