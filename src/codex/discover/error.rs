//! Why a session was not found.

use crate::domain::Failure;
use std::io;

/// Why a process cannot be looked into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// There is no such process.
    #[error("there is no process {pid}")]
    Gone {
        /// The process.
        pid: u32,
    },
    /// The system does not allow it.
    #[error("this program may not look into process {pid}: {reason}")]
    Forbidden {
        /// The process.
        pid: u32,
        /// The system's own words.
        reason: String,
    },
    /// Something else failed.
    #[error("could not look into process {pid}: {reason}")]
    Failed {
        /// The process.
        pid: u32,
        /// What.
        reason: String,
    },
}

impl ProcessError {
    /// What an error of the system means for process `pid`.
    pub(super) fn from_io(pid: u32, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone { pid },
            io::ErrorKind::PermissionDenied => Self::Forbidden { pid, reason: error.to_string() },
            _ => Self::Failed { pid, reason: error.to_string() },
        }
    }

    /// What the words of a system program mean for process `pid`.
    pub(super) fn from_words(pid: u32, words: &str) -> Self {
        let reason = words.trim().to_owned();
        if is_forbidden(words) { Self::Forbidden { pid, reason } } else { Self::Failed { pid, reason } }
    }
}

/// Whether a system program says that something is not allowed.
pub(super) fn is_forbidden(words: &str) -> bool {
    let words = words.to_lowercase();
    ["operation not permitted", "permission denied", "not authorized"].iter().any(|s| words.contains(s))
}

/// Why no session was found in a process.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// Neither the process nor what it started has a Codex thread.
    #[error("process {pid} runs no Codex session: it holds no thread lock and has no rollout open")]
    NoSession {
        /// The process.
        pid: u32,
    },
    /// Several of its children run one each.
    #[error("process {pid} has started several Codex sessions: processes {}", list(runners))]
    Several {
        /// The process.
        pid: u32,
        /// The processes that run a session.
        runners: Vec<u32>,
    },
    /// The processes cannot be looked into.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

fn list(pids: &[u32]) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

impl From<DiscoverError> for Failure {
    fn from(error: DiscoverError) -> Self {
        let message = error.to_string();
        let failure = match error {
            DiscoverError::NoSession { .. } => Self::not_found(message)
                .hint("a terminal of the server that Codex sessions share does not run its session itself"),
            DiscoverError::Process(ProcessError::Gone { .. }) => Self::not_found(message),
            DiscoverError::Several { .. } => Self::refused(message).hint("name the one that is meant"),
            DiscoverError::Process(_) => Self::external(message),
        };
        failure.hint("name the rollout file instead: --codex-session PATH")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_system_programs() {
        fn check(words: &str, forbidden: bool) {
            let error = ProcessError::from_words(1, words);
            assert_eq!(matches!(error, ProcessError::Forbidden { .. }), forbidden, "{error}");
        }
        check("lsof: WARNING: can't stat: Operation not permitted", true);
        check("opendir: Permission denied", true);
        check("not authorized to look at 7", true);
        check("lsof: illegal option", false);
    }
}
