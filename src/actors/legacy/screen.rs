//! What a worker's terminal shows, and since when.

use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CAPTURE, TRANSCRIPT, Worker, pretty, write};
use crate::domain::Failure;
use crate::domain::digest::sha256;
use crate::domain::time::now_iso;
use crate::tmux::{SessionName, Target, TmuxServer};

/// What `capture-meta.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// When the terminal was last read.
    pub captured_at: String,
    /// Since when it shows what it shows.
    pub changed_at: String,
    /// How much of its past was read.
    pub history_lines: u32,
    /// The digest of what it shows.
    pub sha256: String,
}

/// What a terminal showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    /// The text.
    pub text: String,
    /// The digest, and since when.
    pub captured: Captured,
    /// It is not what it showed the last time.
    pub changed: bool,
}

impl Worker {
    pub(super) fn session(&self) -> Result<SessionName, Failure> {
        Ok(SessionName::new(&self.config.tmux_session)?)
    }

    /// Whether its tmux session exists.
    ///
    /// # Errors
    /// When tmux does not answer.
    pub fn is_running(&self, server: &TmuxServer) -> Result<bool, Failure> {
        Ok(server.has_session(&self.session()?)?)
    }

    /// Refuses what needs a terminal when there is none.
    ///
    /// # Errors
    /// `Refused`, or that tmux does not answer.
    pub fn target(&self, server: &TmuxServer) -> Result<Target, Failure> {
        let session = self.session()?;
        if !server.has_session(&session)? {
            return Err(Failure::refused(format!(
                "worker {} does not run: tmux session {session} does not exist",
                self.name
            ))
            .hint("see what runs: `conveyor list`"));
        }
        Ok(session.into())
    }

    /// Reads its terminal and keeps what it shows in `transcript.txt` and `capture-meta.json`.
    ///
    /// # Errors
    /// When the terminal cannot be read, or a file cannot be written.
    pub fn capture(&self, server: &TmuxServer, history_lines: u32) -> Result<Screen, Failure> {
        let text = server.capture(&self.target(server)?, history_lines)?;
        let sha256 = sha256(&text);
        let before = self.last_capture().filter(|before| before.sha256 == sha256);
        let (changed, captured_at) = (before.is_none(), now_iso());
        let changed_at = before.map_or_else(|| captured_at.clone(), |before| before.changed_at);
        let captured = Captured { captured_at, changed_at, history_lines, sha256 };
        write(&self.directory, TRANSCRIPT, &text)?;
        write(&self.directory, CAPTURE, &pretty(&json!(captured)))?;
        Ok(Screen { text, captured, changed })
    }

    /// What `capture-meta.json` says, if it says anything.
    pub fn last_capture(&self) -> Option<Captured> {
        let text = fs::read_to_string(self.directory.join(CAPTURE)).ok()?;
        serde_json::from_str(&text).ok()
    }
}
