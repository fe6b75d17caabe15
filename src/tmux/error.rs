//! What can go wrong with a tmux call, told apart by what the caller should do next.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::{Failure, FailureKind};

const INSTALL_HINT: &str =
    "install tmux: `apt-get install tmux`, `dnf install tmux` or `brew install tmux`; or set CONVEYOR_TMUX";

/// Why a tmux call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum TmuxError {
    /// There is no tmux program to run.
    #[error("no tmux program at {}", program.display())]
    NoProgram {
        /// The program as it was looked for: a path, or a name searched on `PATH`.
        program: PathBuf,
    },
    /// Nothing listens on the server's socket.
    #[error("no tmux server is running on {}", socket.display())]
    NoServer {
        /// The socket that was tried.
        socket: PathBuf,
    },
    /// The server went away while it handled the call.
    #[error("the tmux server on {} exited during {command}", socket.display())]
    ServerLost {
        /// The tmux commands that were running.
        command: String,
        /// The socket of the server.
        socket: PathBuf,
    },
    /// The server has no such session, window or pane.
    #[error("tmux has no session or pane {target}")]
    NoSession {
        /// The target as tmux names it.
        target: String,
    },
    /// A session of that name already exists.
    #[error("tmux already has a session {name}")]
    SessionExists {
        /// The name that is taken.
        name: String,
    },
    /// The pane is there but takes no input.
    #[error("tmux pane {target} takes no input: {reason}")]
    NoInput {
        /// The pane.
        target: String,
        /// Whether its program has exited or its input is switched off.
        reason: &'static str,
    },
    /// The operating system or the server refuses access, as inside a sandbox.
    #[error("not permitted to use tmux: {message}")]
    NotPermitted {
        /// What the system or tmux said.
        message: String,
    },
    /// No answer before the deadline. The effect may still happen.
    #[error("tmux {command} gave no answer within {deadline:?}")]
    TimedOut {
        /// The tmux commands that were running.
        command: String,
        /// How long was waited.
        deadline: Duration,
    },
    /// A name, key or argument that tmux cannot be given; nothing was run.
    #[error("{what} {value:?} {problem}")]
    Invalid {
        /// What kind of value it is.
        what: &'static str,
        /// The value as given.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Any other refusal of tmux.
    #[error("tmux {command} failed: {stderr}")]
    Failed {
        /// The tmux commands that were running.
        command: String,
        /// What tmux wrote to standard error.
        stderr: String,
    },
    /// The tmux process could not be started; nothing happened.
    #[error("failed to start {}: {source}", program.display())]
    NotStarted {
        /// The tmux program.
        program: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The tmux process ended before it reported a result.
    #[error("tmux {command} was cut short: {reason}")]
    CutShort {
        /// The tmux commands that were running.
        command: String,
        /// The signal or the error of the operating system.
        reason: String,
    },
}

impl TmuxError {
    /// Whether the call may have had, or may still have, its effect. Such a call must not be
    /// repeated without evidence.
    pub fn effect_unknown(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::ServerLost { .. } | Self::CutShort { .. })
    }

    /// Whether there is no server (any more), hence no session and no pane.
    pub fn server_absent(&self) -> bool {
        matches!(self, Self::NoServer { .. } | Self::ServerLost { .. })
    }

    /// Reads what a tmux client that exited with an error wrote to standard error.
    pub(super) fn classify(command: String, stderr: &str, socket: &Path) -> Self {
        let stderr = stderr.trim();
        let lower = stderr.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let object = || stderr.rsplit_once(": ").map_or(stderr, |(_, object)| object).to_owned();

        if says(&["operation not permitted", "permission denied", "not authorized", "access not allowed"]) {
            Self::NotPermitted { message: stderr.to_owned() }
        } else if says(&["no server running", "error connecting to", "no current target"]) {
            // A server without a current target has no session left and is about to exit.
            Self::NoServer { socket: socket.to_owned() }
        } else if says(&["server exited", "lost server"]) {
            Self::ServerLost { command, socket: socket.to_owned() }
        } else if says(&["can't find session: ", "can't find window: ", "can't find pane: "]) {
            Self::NoSession { target: object() }
        } else if says(&["duplicate session: "]) {
            Self::SessionExists { name: object() }
        } else {
            Self::Failed { command, stderr: stderr.to_owned() }
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::NoProgram { .. } => INSTALL_HINT.to_owned(),
            Self::NoServer { socket } | Self::ServerLost { socket, .. } => format!(
                "if the session runs on another tmux server, set CONVEYOR_TMUX_SOCKET (now {})",
                socket.display()
            ),
            Self::NoSession { .. } => "`tmux list-panes -a` shows what there is".to_owned(),
            Self::SessionExists { name } => format!(
                "choose another name; or look at what runs there (`tmux attach -t '={name}:'`), and end it if it is nobody's"
            ),
            Self::NotPermitted { .. } => {
                "a sandboxed session cannot reach tmux: use the MCP tools or run outside the sandbox"
                    .to_owned()
            }
            Self::TimedOut { .. } | Self::CutShort { .. } => {
                "look at the pane before trying again: it may still happen".to_owned()
            }
            Self::NoInput { .. } => {
                "if its program has exited, `conveyor stop NAME` takes the rest away, and it can be started again".to_owned()
            }
            Self::Invalid { .. } => "letters, digits, - and _ always do".to_owned(),
            Self::Failed { .. } | Self::NotStarted { .. } => "`tmux list-panes -a` shows whether tmux works".to_owned(),
        }
    }
}

impl From<TmuxError> for Failure {
    fn from(error: TmuxError) -> Self {
        let kind = match &error {
            error if error.effect_unknown() => FailureKind::Unknown,
            // Without a server there is no session either.
            TmuxError::NoSession { .. } | TmuxError::NoServer { .. } => FailureKind::NotFound,
            TmuxError::SessionExists { .. } | TmuxError::NoInput { .. } => FailureKind::Refused,
            TmuxError::Invalid { .. } => FailureKind::Usage,
            _ => FailureKind::External,
        };
        Self::new(kind, error.to_string()).hint(error.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tmux_says_decides_the_error() {
        let check = |stderr: &str, expect: &str, effect_unknown: bool| {
            let error = TmuxError::classify("paste-buffer".into(), stderr, Path::new("/s"));
            assert_eq!(error.to_string(), expect);
            assert_eq!(error.effect_unknown(), effect_unknown, "{stderr}");
        };
        check("no server running on /s\n", "no tmux server is running on /s", false);
        check("error connecting to /s (No such file or directory)", "no tmux server is running on /s", false);
        check(
            "error connecting to /s (Operation not permitted)",
            "not permitted to use tmux: error connecting to /s (Operation not permitted)",
            false,
        );
        check(
            "error connecting to /s (Permission denied)",
            "not permitted to use tmux: error connecting to /s (Permission denied)",
            false,
        );
        check("no current target", "no tmux server is running on /s", false);
        check("access not allowed", "not permitted to use tmux: access not allowed", false);
        check("server exited unexpectedly", "the tmux server on /s exited during paste-buffer", true);
        check("can't find session: a b", "tmux has no session or pane a b", false);
        check("can't find pane: %9", "tmux has no session or pane %9", false);
        check("can't find window: 4", "tmux has no session or pane 4", false);
        check("duplicate session: a", "tmux already has a session a", false);
        check("no buffer x", "tmux paste-buffer failed: no buffer x", false);
        check("", "tmux paste-buffer failed: ", false);
    }

    #[test]
    fn a_person_gets_a_kind_and_a_next_step() {
        let check = |error: TmuxError, kind: FailureKind, hint: &str| {
            let failure = Failure::from(error);
            assert_eq!(failure.kind, kind);
            assert!(failure.hints.concat().contains(hint), "{failure:?}");
        };
        check(TmuxError::NoProgram { program: "tmux".into() }, FailureKind::External, "apt-get install tmux");
        check(TmuxError::NoSession { target: "%1".into() }, FailureKind::NotFound, "list-panes");
        check(TmuxError::NoServer { socket: "/s".into() }, FailureKind::NotFound, "CONVEYOR_TMUX_SOCKET");
        check(
            TmuxError::TimedOut { command: "send-keys".into(), deadline: Duration::from_secs(1) },
            FailureKind::Unknown,
            "look at the pane",
        );
        check(
            TmuxError::NoInput { target: "%1".into(), reason: "its program has exited" },
            FailureKind::Refused,
            "conveyor stop",
        );
        check(TmuxError::NotPermitted { message: "no".into() }, FailureKind::External, "sandbox");
    }
}
