//! What can go wrong with a call, and whether it may have taken effect all the same.

use crate::domain::{Failure, FailureKind};
use std::{path::PathBuf, time::Duration};

/// Why a call to Codex's app-server brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// No connection: nobody listens at the socket, or it does not speak this protocol.
    #[error("could not connect to Codex at {}: {reason}", socket.display())]
    Connect {
        /// The socket that was tried.
        socket: PathBuf,
        /// What the connection attempt reported.
        reason: String,
    },
    /// Codex answered with an error: the call had no effect.
    #[error("Codex refused `{method}`: {message}")]
    Refused {
        /// The JSON-RPC method.
        method: String,
        /// The JSON-RPC error code; Codex 0.169 uses -32600 for nearly everything.
        code: i64,
        /// Codex's own words.
        message: String,
    },
    /// The connection ended before the answer came.
    #[error("the connection to Codex ended before `{method}` was answered ({reason})")]
    Disconnected {
        /// The JSON-RPC method.
        method: String,
        /// Whether writing the request had begun; if so, it may have taken effect.
        written: bool,
        /// How the connection ended.
        reason: String,
    },
    /// The deadline passed before the answer came.
    #[error("Codex did not answer `{method}` within {after:?}")]
    TimedOut {
        /// The JSON-RPC method.
        method: String,
        /// Whether writing the request had begun; if so, it may have taken effect.
        written: bool,
        /// The deadline that passed.
        after: Duration,
    },
    /// The request is larger than one frame may be: it was not sent.
    #[error("`{method}` needs {bytes} bytes, more than the {limit} one request may have")]
    TooLarge {
        /// The JSON-RPC method.
        method: String,
        /// Size of the request in bytes.
        bytes: usize,
        /// Largest allowed size in bytes.
        limit: usize,
    },
    /// The request has no JSON form: it was not sent.
    #[error("`{method}` cannot be sent to Codex: {reason}")]
    Unsendable {
        /// The JSON-RPC method.
        method: String,
        /// What is in the way.
        reason: String,
    },
    /// Codex carried the call out, and the answer does not have the known shape.
    #[error("Codex answered `{method}` in a form this program does not know: {reason}")]
    Malformed {
        /// The JSON-RPC method.
        method: String,
        /// What was expected.
        reason: String,
    },
}

impl RpcError {
    /// Whether the call may have taken effect: if so, nobody may repeat it without evidence.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Disconnected { written, .. } | Self::TimedOut { written, .. } => *written,
            Self::Malformed { .. } => true,
            Self::Connect { .. } | Self::Refused { .. } | Self::TooLarge { .. } | Self::Unsendable { .. } => {
                false
            }
        }
    }
}

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        let kind = match &error {
            _ if error.may_have_happened() => FailureKind::Unknown,
            RpcError::Refused { .. } | RpcError::TooLarge { .. } | RpcError::Unsendable { .. } => {
                FailureKind::Refused
            }
            _ => FailureKind::External,
        };
        let failure = Failure::new(kind, error.to_string());
        match error {
            RpcError::Connect { .. } => failure.hint("see whether the session is alive: conveyor sessions"),
            RpcError::Malformed { .. } => failure.hint("see which Codex is installed: conveyor doctor"),
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_may_have_happened() {
        fn check(error: RpcError, kind: FailureKind) {
            assert_eq!(error.may_have_happened(), kind == FailureKind::Unknown, "{error}");
            assert_eq!(Failure::from(error).kind, kind);
        }
        let method = || "turn/start".to_owned();
        let timed_out =
            |written| RpcError::TimedOut { method: method(), written, after: Duration::from_secs(1) };
        let disconnected =
            |written| RpcError::Disconnected { method: method(), written, reason: "end of stream".into() };
        check(timed_out(true), FailureKind::Unknown);
        check(timed_out(false), FailureKind::External);
        check(disconnected(true), FailureKind::Unknown);
        check(disconnected(false), FailureKind::External);
        check(RpcError::Malformed { method: method(), reason: "no turn id".into() }, FailureKind::Unknown);
        check(
            RpcError::Refused { method: method(), code: -32600, message: "no".into() },
            FailureKind::Refused,
        );
        check(RpcError::TooLarge { method: method(), bytes: 2, limit: 1 }, FailureKind::Refused);
        check(RpcError::Unsendable { method: method(), reason: "no UTF-8".into() }, FailureKind::Refused);
        check(RpcError::Connect { socket: "/s".into(), reason: "no".into() }, FailureKind::External);
    }
}
