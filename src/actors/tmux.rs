//! One actor per tmux server: every tmux call, with a deadline, off the async threads.

use actix::prelude::*;

use super::hub::gone;
use crate::domain::Failure;
use crate::tmux::{KeyName, LoadedText, PaneView, SessionName, Target, TmuxError, TmuxServer};

/// Threads per tmux server; one hanging call must not hold up the others.
const THREADS: usize = 3;

/// Looks at a pane.
#[derive(Debug, Message)]
#[rtype(result = "Result<PaneView, TmuxError>")]
pub struct View {
    /// Which.
    pub target: Target,
    /// Lines of scroll-back before the screen.
    pub history_lines: u32,
}

/// Puts text into the server, ready to be pasted. Changes nothing in the pane.
#[derive(Debug, Message)]
#[rtype(result = "Result<LoadedText, TmuxError>")]
pub struct Load {
    /// The pane it is meant for.
    pub target: Target,
    /// The text.
    pub text: String,
}

/// Types loaded text into its pane.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), TmuxError>")]
pub struct Paste(pub LoadedText);

/// Presses one key.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), TmuxError>")]
pub struct Press {
    /// Where.
    pub target: Target,
    /// Which.
    pub key: KeyName,
}

/// Ends a tmux session and what runs in it.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), TmuxError>")]
pub struct Kill(pub SessionName);

/// The addresses of one tmux server's actor.
#[derive(Clone)]
pub struct Terminal {
    pub(super) view: Recipient<View>,
    pub(super) load: Recipient<Load>,
    pub(super) paste: Recipient<Paste>,
    pub(super) press: Recipient<Press>,
    pub(super) kill: Recipient<Kill>,
}

impl Terminal {
    /// Starts the threads for one server. They end with the last address.
    pub(super) fn start(server: TmuxServer) -> Self {
        let tmux = SyncArbiter::start(THREADS, move || Tmux { server: server.clone() });
        Self {
            view: tmux.clone().recipient(),
            load: tmux.clone().recipient(),
            paste: tmux.clone().recipient(),
            press: tmux.clone().recipient(),
            kill: tmux.recipient(),
        }
    }

    /// Looks at a pane; see [`TmuxServer::view`].
    ///
    /// # Errors
    /// Why it could not be looked at.
    pub async fn view(&self, target: Target, history_lines: u32) -> Result<PaneView, TerminalError> {
        ask(&self.view, View { target, history_lines }).await
    }

    /// Puts text into the server; see [`TmuxServer::load_text`].
    ///
    /// # Errors
    /// Why not; nothing was typed.
    pub async fn load(&self, target: Target, text: String) -> Result<LoadedText, TerminalError> {
        ask(&self.load, Load { target, text }).await
    }

    /// Types loaded text; see [`TmuxServer::paste`].
    ///
    /// # Errors
    /// Whether it was typed is told by [`TerminalError::effect_unknown`].
    pub async fn paste(&self, loaded: LoadedText) -> Result<(), TerminalError> {
        ask(&self.paste, Paste(loaded)).await
    }

    /// Presses one key; see [`TmuxServer::send_key`].
    ///
    /// # Errors
    /// Whether it was pressed is told by [`TerminalError::effect_unknown`].
    pub async fn press(&self, target: Target, key: KeyName) -> Result<(), TerminalError> {
        ask(&self.press, Press { target, key }).await
    }

    /// Ends a session; see [`TmuxServer::kill_session`].
    ///
    /// # Errors
    /// Why it could not be ended.
    pub async fn kill(&self, session: SessionName) -> Result<(), TerminalError> {
        ask(&self.kill, Kill(session)).await
    }
}

async fn ask<M, T>(to: &Recipient<M>, message: M) -> Result<T, TerminalError>
where
    M: Message<Result = Result<T, TmuxError>> + Send + 'static,
    T: Send + 'static,
{
    Ok(to.send(message).await.map_err(|_| TerminalError::Gone)??)
}

/// A tmux call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// tmux itself said so.
    #[error(transparent)]
    Tmux(#[from] TmuxError),
    /// The actor stopped, with or without having made the call.
    #[error("the terminal's actor has stopped")]
    Gone,
}

impl TerminalError {
    /// Whether the call may have had its effect.
    pub fn effect_unknown(&self) -> bool {
        match self {
            Self::Tmux(error) => error.effect_unknown(),
            Self::Gone => true,
        }
    }
}

impl From<TerminalError> for Failure {
    fn from(error: TerminalError) -> Self {
        match error {
            TerminalError::Tmux(error) => error.into(),
            TerminalError::Gone => gone("terminal's actor"),
        }
    }
}

/// A thread that makes the calls.
struct Tmux {
    server: TmuxServer,
}

impl Actor for Tmux {
    type Context = SyncContext<Self>;
}

impl Handler<View> for Tmux {
    type Result = Result<PaneView, TmuxError>;

    fn handle(&mut self, view: View, _: &mut SyncContext<Self>) -> Self::Result {
        self.server.view(&view.target, view.history_lines)
    }
}

impl Handler<Load> for Tmux {
    type Result = Result<LoadedText, TmuxError>;

    fn handle(&mut self, load: Load, _: &mut SyncContext<Self>) -> Self::Result {
        self.server.load_text(&load.target, &load.text)
    }
}

impl Handler<Paste> for Tmux {
    type Result = Result<(), TmuxError>;

    fn handle(&mut self, Paste(loaded): Paste, _: &mut SyncContext<Self>) -> Self::Result {
        self.server.paste(loaded)
    }
}

impl Handler<Press> for Tmux {
    type Result = Result<(), TmuxError>;

    fn handle(&mut self, press: Press, _: &mut SyncContext<Self>) -> Self::Result {
        self.server.send_key(&press.target, &press.key)
    }
}

impl Handler<Kill> for Tmux {
    type Result = Result<(), TmuxError>;

    fn handle(&mut self, Kill(session): Kill, _: &mut SyncContext<Self>) -> Self::Result {
        self.server.kill_session(&session)
    }
}
