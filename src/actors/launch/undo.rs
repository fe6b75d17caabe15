//! Taking back what a start that failed has begun.

use std::path::PathBuf;
use std::time::Duration;

use crate::codex::app_server::stop_server;
use crate::tmux::{SessionName, TmuxServer};

use super::{progress, terminal};

/// How long an app-server may take to end.
pub(super) const SERVER_ENDS: Duration = Duration::from_secs(4);

/// What was begun and is to be taken back, unless the start succeeds.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// The terminal that was opened.
    pub(super) terminal: Option<(TmuxServer, SessionName)>,
    /// The socket of the app-server that was started.
    pub(super) server: Option<PathBuf>,
}

impl Begun {
    /// Ends everything; gives whether nothing is left. What cannot be ended is told: the failure at
    /// hand is worth more.
    pub(super) async fn undo(self) -> bool {
        let mut is_clean = true;
        if let Some((server, session)) = self.terminal
            && let Err(failure) = terminal::end(server, session.clone()).await
        {
            progress(format_args!("the terminal {session} may be left over: {failure}"));
            is_clean = false;
        }
        if let Some(socket) = self.server
            && let Err(error) = stop_server(&socket, SERVER_ENDS).await
        {
            progress(format_args!("the app-server at {} may be left over: {error}", socket.display()));
            is_clean = false;
        }
        is_clean
    }
}
