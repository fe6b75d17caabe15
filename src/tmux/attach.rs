//! A person's terminal, handed to a session.

use std::process::{Command, Stdio};

use super::{TmuxError, TmuxServer};

impl TmuxServer {
    /// Shows a session in the terminal of this process until the person detaches or the session ends.
    ///
    /// # Errors
    /// When the session is not there, or tmux cannot be started.
    pub fn attach(&self, session: &str) -> Result<(), TmuxError> {
        let mut tmux = Command::new(&self.program);
        tmux.arg("-S").arg(&self.socket).args(["attach-session", "-t", &format!("={session}")]);
        // Inside another session tmux would refuse; the person asked for this one.
        let child = tmux.env_remove("TMUX").stderr(Stdio::piped()).spawn();
        let ended = child.and_then(|child| child.wait_with_output());
        let ended =
            ended.map_err(|source| TmuxError::NotStarted { program: self.program.clone(), source })?;
        if ended.status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        Err(TmuxError::Failed { command: "attach-session".to_owned(), stderr })
    }
}
