//! Stopping one session.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::closing::tell;
use super::{Call, values};
use crate::actors::ending::{End, can_end};
use crate::actors::hub::ask;
use crate::actors::{Caller, Hub};
use crate::domain::{Failure, Role};
use crate::store::sessions::GetLinkedSession;
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
    /// The command that records it.
    pub command_id: String,
    /// It was running, and has been ended.
    pub killed_session: bool,
    /// Its name.
    pub name: String,
    /// Which side it was on.
    pub role: Role,
    /// The tmux session it ran in.
    pub target: Option<String>,
}

impl Call for StopArgs {
    type Reply = StopReply;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<StopReply, Failure> {
        let linked = hub.store.read(GetLinkedSession(self.name)).await?;
        if !can_end(&linked) {
            return Err(Failure::refused(format!(
                "session {} was not stopped: it has no tmux session, and no app-server was started for it",
                linked.session.name
            ))
            .hint(format!("end it where it runs, then: `conveyor deregister {}`", linked.session.name)));
        }
        let session_id = linked.session.id.clone();
        let message_bytes = self.message.as_ref().map(String::len);
        let stop = hub.store.write(BeginStop { session_id: session_id.clone(), message_bytes }).await?;
        if let Some(message) = &self.message {
            tell(&linked, message, hub, caller).await;
        }
        let outcome = ask(&hub.end, End { session_id }, "session's actor").await;
        let command_id = stop.command_id.clone();
        hub.store.write(FinishStop { stop, outcome: outcome.clone() }).await?;
        let session = linked.session;
        Ok(StopReply {
            command_id,
            killed_session: outcome?,
            name: session.name,
            role: session.role,
            target: session.tmux_session,
        })
    }
}
