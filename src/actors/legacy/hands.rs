//! Typing into a worker's terminal, pressing a key in it, and ending it. What is not `async`
//! here blocks.

use super::Worker;
use crate::actors::blocking::blocking;
use crate::actors::interrupt_key::{codex_may_read, may_end, usual_key};
use crate::actors::pane_class::classify_view;
use crate::actors::tmux::Terminal;
use crate::actors::transport::{Sending, TmuxTransport};
use crate::actors::window::attach_command;
use crate::codex::pane::PaneClass;
use crate::domain::Failure;
use crate::domain::shell::quoted;
use crate::tmux::{KeyName, PaneView, SessionName, Target, TmuxServer};

/// Stands before what is typed: a leading `!`, `/` or `@` would be a command.
const HEADER: &str = "[conveyor nudge]";

impl Worker {
    fn view(&self, server: &TmuxServer) -> Result<(PaneView, PaneClass), Failure> {
        let view = server.view(&self.target(server)?, 0)?;
        let class = classify_view(&view);
        Ok((view, class))
    }

    /// Types a message and submits it, unless the screen would take it for something else.
    ///
    /// # Errors
    /// `Refused` when it would, or there is no terminal; `Unknown` when it may have been told.
    pub async fn tell(&self, server: &TmuxServer, message: &str) -> Result<(), Failure> {
        let (worker, looked_at) = (self.clone(), server.clone());
        let (view, _) = blocking(move || worker.view(&looked_at)).await??;
        let session = self.config.tmux_session.clone();
        let transport = TmuxTransport::unregistered(Terminal::start(server.clone()), view.pane.id, session);
        let look = format!("look at it: {}", attach_command(server, &self.session()?));
        match transport.tell(format!("{HEADER}\n{message}"), HEADER).await {
            Sending::Sent(_) => Ok(()),
            Sending::NotSent(error) => {
                Err(Failure::refused(format!("worker {} was told nothing: {error}", self.name)).hint(look))
            }
            Sending::Unknown { error, .. } => {
                Err(Failure::unknown(format!("worker {} may have been told: {error}", self.name)).hint(look))
            }
        }
    }

    /// Presses a key, or the one that interrupts what runs there; gives its name.
    ///
    /// # Errors
    /// `Refused` when the key would end an idle Codex, or there is no terminal.
    pub fn press(&self, server: &TmuxServer, key: Option<KeyName>, dry_run: bool) -> Result<String, Failure> {
        let (view, class) = self.view(server)?;
        let is_codex = codex_may_read(&view.pane, class, false);
        let key = key.unwrap_or_else(|| usual_key(is_codex));
        if may_end(&key, is_codex, class) {
            return Err(Failure::refused(format!(
                "worker {} shows no running turn ({class}), and C-c would end an idle Codex",
                self.name
            ))
            .hint(format!(
                "to end it: `conveyor stop {}`; to stop a running turn, leave out --key",
                quoted(&self.name)
            )));
        }
        if !dry_run {
            server.send_key(&Target::Pane(view.pane.id), &key)?;
        }
        Ok(key.as_str().to_owned())
    }

    /// Ends its tmux session; whether there was one.
    ///
    /// # Errors
    /// When tmux does not answer.
    pub fn end(&self, server: &TmuxServer) -> Result<bool, Failure> {
        let running = self.is_running(server)?;
        if running {
            server.kill_session(&SessionName::new(&self.config.tmux_session)?)?;
        }
        Ok(running)
    }
}
