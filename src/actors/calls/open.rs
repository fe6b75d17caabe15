//! Showing a session in a window of the user's own terminal program.

use std::path::Path;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::legacy::server_of;
use super::legacy_acts::unregistered;
use super::{Call, Place};
use crate::actors::blocking::blocking;
use crate::actors::window::{Shown, WindowOptions, show};
use crate::actors::{Caller, Hub};
use crate::domain::shell::quoted;
use crate::domain::{Failure, Role};
use crate::store::bindings::GetBoundTask;
use crate::store::sessions::{GetLinkedSession, LinkedSession};
use crate::tmux::{SessionName, TmuxServer};

/// Open a terminal window that shows a worker or session
///
/// On macOS in Ghostty or Terminal, elsewhere in $TERMINAL or x-terminal-emulator. Where there is no
/// display, the command is told that shows it in the terminal you are in.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct OpenArgs {
    /// The worker or session, by name
    pub name: String,
    /// How it is opened
    #[command(flatten)]
    #[serde(flatten)]
    pub window: WindowOptions,
}

/// Open a terminal window that shows a task's worker
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct OpenWorkerArgs {
    /// The task, by name or id
    pub task: String,
    /// How it is opened
    #[command(flatten)]
    #[serde(flatten)]
    pub window: WindowOptions,
}

/// Open a terminal window that shows a task's manager
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct OpenManagerArgs {
    /// The task, by name or id
    pub task: String,
    /// How it is opened
    #[command(flatten)]
    #[serde(flatten)]
    pub window: WindowOptions,
}

/// What was opened.
#[derive(Debug, Serialize, Deserialize)]
pub struct OpenReply {
    /// The worker or session.
    pub name: String,
    /// Which side it is on; none for a worker that is not registered.
    pub role: Option<Role>,
    /// What became of the window.
    #[serde(flatten)]
    pub window: Shown,
}

impl Call for OpenArgs {
    type Reply = OpenReply;
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<OpenReply, Failure> {
        let Some(worker) = unregistered(hub, &self.name).await? else {
            let linked = hub.store.read(GetLinkedSession(self.name)).await?;
            return open_session(linked, self.window, caller).await;
        };
        let session = SessionName::new(worker.config.tmux_session)?;
        let window = open(server_of(caller), session, self.window).await?;
        Ok(OpenReply { name: worker.name, role: None, window })
    }
}

impl Call for OpenWorkerArgs {
    type Reply = OpenReply;
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<OpenReply, Failure> {
        let bound = hub.store.read(GetBoundTask(self.task)).await?;
        open_side(bound.worker.id, self.window, hub, caller).await
    }
}

impl Call for OpenManagerArgs {
    type Reply = OpenReply;
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<OpenReply, Failure> {
        let bound = hub.store.read(GetBoundTask(self.task)).await?;
        open_side(bound.manager.id, self.window, hub, caller).await
    }
}

async fn open_side(
    session_id: String,
    window: WindowOptions,
    hub: &Hub,
    caller: &Caller,
) -> Result<OpenReply, Failure> {
    let linked = hub.store.read(GetLinkedSession(session_id)).await?;
    open_session(linked, window, caller).await
}

async fn open_session(
    linked: LinkedSession,
    window: WindowOptions,
    caller: &Caller,
) -> Result<OpenReply, Failure> {
    let LinkedSession { session, link } = linked;
    let Some(tmux_session) = session.tmux_session else {
        return Err(Failure::refused(format!(
            "session {} has no terminal that could be shown",
            session.name
        ))
        .hint(format!("see what it does: `conveyor tail {}`", quoted(&session.name))));
    };
    let server = server_of(caller);
    let server = match link.and_then(|link| link.tmux_socket) {
        Some(socket) => server.on(Path::new(&socket)),
        None => server,
    };
    let window = open(server, SessionName::new(tmux_session)?, window).await?;
    Ok(OpenReply { name: session.name, role: Some(session.role), window })
}

async fn open(server: TmuxServer, session: SessionName, options: WindowOptions) -> Result<Shown, Failure> {
    blocking(move || show(&server, &session, options)).await?
}
