//! Ending a session: its terminal, then the app-server that was started for it.

use std::path::Path;
use std::time::Duration;

use actix::prelude::*;

use super::tmux::{Terminal, TerminalError};
use crate::codex::app_server::{Stopped, stop_server};
use crate::domain::{Failure, Recipe};
use crate::store::sessions::LinkedSession;
use crate::tmux::{SessionName, TmuxError};

/// How long an app-server gets to end. A turn that still runs is given up after half of it.
const SERVER_DEADLINE: Duration = Duration::from_secs(8);

/// Ends a session; tells whether anything of it was running.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<bool, Failure>")]
pub struct End {
    /// The session's id.
    pub session_id: String,
}

/// Whether there is anything that [`End`] could end.
pub fn can_end(linked: &LinkedSession) -> bool {
    linked.session.tmux_session.is_some() || private_server(linked).is_some()
}

/// Ends what runs of the session. What is not there has ended already.
pub(super) async fn end(linked: &LinkedSession, terminal: &Terminal) -> Result<bool, Failure> {
    // The terminal first: without its server it would begin to reconnect.
    let terminal_ended = end_terminal(linked, terminal).await?;
    let server_ended = match private_server(linked) {
        Some(socket) => stop_server(socket, SERVER_DEADLINE).await? != Stopped::NotRunning,
        None => false,
    };
    Ok(terminal_ended || server_ended)
}

async fn end_terminal(linked: &LinkedSession, terminal: &Terminal) -> Result<bool, Failure> {
    let Some(name) = &linked.session.tmux_session else { return Ok(false) };
    let name = SessionName::new(name.as_str()).map_err(Failure::from)?;
    match terminal.kill(name).await {
        Ok(()) => Ok(true),
        Err(TerminalError::Tmux(error)) if is_absent(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_absent(error: &TmuxError) -> bool {
    error.server_absent() || matches!(error, TmuxError::NoSession { .. })
}

/// The socket of the app-server that runs this session alone. Others serve other sessions too.
fn private_server(linked: &LinkedSession) -> Option<&Path> {
    let link = linked.link.as_ref().filter(|link| link.recipe == Recipe::PrivateServer)?;
    link.app_server_socket.as_deref().map(Path::new)
}
