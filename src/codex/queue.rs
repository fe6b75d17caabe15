//! `codex queue`: leaving a message for a session, which takes it when it is idle.

use super::{
    blocking::off_thread,
    process::{RunError, complaint, output_within},
};
use crate::domain::{Failure, FailureKind};
use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

/// A message for a thread's queue.
#[derive(Debug, Clone)]
pub struct QueueMessage {
    /// The Codex program.
    pub program: PathBuf,
    /// The thread.
    pub thread_id: String,
    /// The text, taken literally.
    pub text: String,
    /// The socket of the app-server that has the thread; without it the message goes to the local
    /// store, which a session that owns its thread looks into about every ten seconds when idle.
    pub remote: Option<PathBuf>,
    /// Codex's home, if not the inherited one.
    pub codex_home: Option<PathBuf>,
}

/// A message that Codex has stored. It is not delivered: a thread that nobody loads keeps it for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// The queue's own id of the message, if Codex told it. It is not the `client_id` that the
    /// `UserMessage` line will carry; Codex 0.169 has no option to choose that.
    pub item_id: Option<String>,
}

/// Why a message is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Nothing was stored.
    #[error("codex queue refused the message for thread {thread_id}: {reason}")]
    Refused {
        /// The thread.
        thread_id: String,
        /// Codex's own words.
        reason: String,
    },
    /// The message may be stored or not.
    #[error("it is not known whether codex queue stored the message for thread {thread_id}: {reason}")]
    Unknown {
        /// The thread.
        thread_id: String,
        /// What was seen.
        reason: String,
    },
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        let kind = match &error {
            QueueError::Refused { .. } => FailureKind::External,
            QueueError::Unknown { .. } => FailureKind::Unknown,
        };
        Failure::new(kind, error.to_string())
    }
}

/// What Codex says when it stored nothing. Any other failure leaves the outcome open.
const REFUSALS: &[&str] = &[
    "no rollout found",
    "No active session found",
    "failed to connect to remote app server",
    "invalid remote address",
    "failed to find Codex home",
    "invalid thread id",
];

/// Queues a message. The text is handed over as an argument; no shell sees it.
///
/// # Errors
/// [`QueueError`], which says whether the message may have been stored all the same.
pub async fn queue_message(message: &QueueMessage, deadline: Duration) -> Result<Queued, QueueError> {
    let command = command(message);
    let outcome = off_thread(move || output_within(command, deadline)).await;
    judge(&message.thread_id, outcome)
}

fn command(message: &QueueMessage) -> Command {
    let mut command = Command::new(&message.program);
    command.args(["queue", "--thread", &message.thread_id]);
    // One word, so that a text that begins with a dash is no option.
    command.arg(format!("--message={}", message.text));
    if let Some(socket) = &message.remote {
        let mut address = OsString::from("unix://");
        address.push(socket);
        command.arg("--remote").arg(address);
    }
    if let Some(codex_home) = &message.codex_home {
        command.env("CODEX_HOME", codex_home);
    }
    command
}

fn judge(thread_id: &str, outcome: Result<Output, RunError>) -> Result<Queued, QueueError> {
    let thread_id = thread_id.to_owned();
    let output = match outcome {
        Ok(output) => output,
        Err(RunError::Spawn { source, .. }) => {
            return Err(QueueError::Refused { thread_id, reason: source.to_string() });
        }
        Err(late @ RunError::TimedOut { .. }) => {
            return Err(QueueError::Unknown { thread_id, reason: late.to_string() });
        }
    };
    let reason = complaint(&output);
    match output.status.code() {
        Some(0) => Ok(Queued { item_id: item_id(&output) }),
        Some(2) => Err(QueueError::Refused { thread_id, reason }),
        Some(_) if REFUSALS.iter().any(|words| reason.contains(words)) => {
            Err(QueueError::Refused { thread_id, reason })
        }
        _ => Err(QueueError::Unknown { thread_id, reason: format!("{} ({reason})", output.status) }),
    }
}

/// The id in `Queued message <id> for thread <thread>.`
fn item_id(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let id = text.trim().strip_prefix("Queued message ")?.split_whitespace().next()?;
    uuid::Uuid::parse_str(id).is_ok().then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus};

    #[derive(Debug, PartialEq)]
    enum Outcome {
        Stored(Option<&'static str>),
        Refused,
        Unknown,
    }

    fn check(result: Result<Output, RunError>, expected: Outcome) {
        let outcome = match judge("t", result) {
            Ok(queued) if queued.item_id.is_none() => Outcome::Stored(None),
            Ok(queued) => {
                assert!(matches!(expected, Outcome::Stored(id) if id == queued.item_id.as_deref()));
                return;
            }
            Err(QueueError::Refused { .. }) => Outcome::Refused,
            Err(QueueError::Unknown { .. }) => Outcome::Unknown,
        };
        assert_eq!(outcome, expected);
    }

    fn said(wait_status: i32, stdout: &str, stderr: &str) -> Result<Output, RunError> {
        let status = ExitStatus::from_raw(wait_status);
        Ok(Output { status, stdout: stdout.into(), stderr: stderr.into() })
    }

    fn exited(code: i32, stderr: &str) -> Result<Output, RunError> {
        said(code << 8, "", stderr)
    }

    #[test]
    fn exit_codes_and_words() {
        let id = "01a20631-6eb4-7202-b163-445f6b42c53f";
        let thanks = format!("Queued message {id} for thread t.\n");
        check(said(0, &thanks, ""), Outcome::Stored(Some(id)));
        check(said(0, "Done.\n", ""), Outcome::Stored(None));
        check(exited(2, "error: a value is required for '--message <TEXT>'"), Outcome::Refused);
        check(exited(1, "Error: … no rollout found for thread id t (code -32603)"), Outcome::Refused);
        check(exited(1, "WARNING: x\nError: No active session found matching 't'."), Outcome::Refused);
        check(exited(1, "Error: connection closed"), Outcome::Unknown);
        check(exited(1, ""), Outcome::Unknown);
        check(said(9, "", ""), Outcome::Unknown);
    }

    #[test]
    fn what_did_not_run_and_what_did_not_end() {
        let program = || "codex".to_owned();
        let source = io::Error::from(io::ErrorKind::ArgumentListTooLong);
        check(Err(RunError::Spawn { program: program(), source }), Outcome::Refused);
        let after = Duration::from_secs(1);
        check(Err(RunError::TimedOut { program: program(), after }), Outcome::Unknown);
    }

    #[test]
    fn the_text_is_one_argument() {
        let message = QueueMessage {
            program: "codex".into(),
            thread_id: "t".into(),
            text: "-x $(rm) \"a\"\nb".into(),
            remote: Some("/run/a b.sock".into()),
            codex_home: None,
        };
        let command = command(&message);
        let arguments: Vec<_> = command.get_args().map(|a| a.to_str().unwrap()).collect();
        let expected =
            ["queue", "--thread", "t", "--message=-x $(rm) \"a\"\nb", "--remote", "unix:///run/a b.sock"];
        assert_eq!(arguments, expected);
    }
}
