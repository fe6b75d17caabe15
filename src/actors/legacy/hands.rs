//! Typing into a worker's terminal, pressing a key in it, and ending it. Everything here blocks.

use std::time::Duration;

use super::Worker;
use crate::actors::foreground::program_reads;
use crate::actors::interrupt_key::{codex_may_read, may_end, usual_key};
use crate::actors::window::attach_command;
use crate::codex::pane::{PaneClass, PaneSigns, classify};
use crate::domain::Failure;
use crate::domain::shell::quoted;
use crate::tmux::{KeyName, PaneView, SessionName, Target, TmuxServer};

/// Codex takes a paste as one event; an Enter in the same instant would become a line break in it.
const SETTLE: Duration = Duration::from_millis(100);

/// Stands before what is typed: a leading `!`, `/` or `@` would be a command.
const HEADER: &str = "[conveyor nudge]";

impl Worker {
    fn view(&self, server: &TmuxServer) -> Result<(Target, PaneView, PaneClass), Failure> {
        let target = self.target(server)?;
        let view = server.view(&target, 0)?;
        let class = classify(&view.text, &PaneSigns { title: Some(&view.pane.title), will_retry: false });
        Ok((target, view, class))
    }

    /// Types a message and submits it, unless the screen would take it for something else.
    ///
    /// # Errors
    /// `Refused` when it would, or there is no terminal; otherwise what tmux answers.
    pub fn type_in(&self, server: &TmuxServer, message: &str) -> Result<(), Failure> {
        let (target, view, class) = self.view(server)?;
        let refused = |why: String| {
            let look = format!("look at it: {}", attach_command(server, &self.session()?));
            Err(Failure::refused(format!("worker {} was told nothing: {why}", self.name)).hint(look))
        };
        if view.pane.dead || (view.pane.shows_shell() && !program_reads(view.pane.pid, &[view.pane.pid])) {
            return refused("its program has exited".to_owned());
        }
        if class.blocks_paste() {
            return refused(format!("its screen takes no message ({class})"));
        }
        let loaded = server.load_text(&target, &format!("{HEADER}\n{message}"))?;
        let pane = Target::Pane(loaded.pane());
        server.paste(loaded)?;
        std::thread::sleep(SETTLE);
        Ok(server.submit(&pane)?)
    }

    /// Presses a key, or the one that interrupts what runs there; gives its name.
    ///
    /// # Errors
    /// `Refused` when the key would end an idle Codex, or there is no terminal.
    pub fn press(&self, server: &TmuxServer, key: Option<KeyName>, dry_run: bool) -> Result<String, Failure> {
        let (_, view, class) = self.view(server)?;
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
