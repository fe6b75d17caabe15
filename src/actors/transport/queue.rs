//! `codex queue`: Codex stores the text and takes it when the thread is idle.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::json;

use super::{Letter, NotReady, Sending, Transport};
use crate::actors::blocking::blocking;
use crate::codex::discover::{LockHolder, lock_holder};
use crate::codex::install::locate;
use crate::codex::queue::{QueueError, QueueMessage, queue_message};
use crate::domain::Failure;
use crate::domain::transport::TransportKind;

/// Measured: 45 ms as a rule, 16 s once on a starved machine.
const DEADLINE: Duration = Duration::from_secs(25);

/// Pushes into a thread's own queue.
pub struct QueueTransport {
    /// The Codex that the thread's session was started with, when it is known.
    pub program: Option<PathBuf>,
    /// The thread.
    pub thread_id: String,
    /// Its app-server, when it runs on a private one.
    pub remote: Option<PathBuf>,
    /// Where its Codex keeps its files.
    pub codex_home: PathBuf,
}

impl QueueTransport {
    /// A text queued for a thread that nobody has loaded would wait there for ever.
    async fn make_ready(&self) -> Result<(), NotReady> {
        let (codex_home, thread_id) = (self.codex_home.clone(), self.thread_id.clone());
        let holder = tokio::task::spawn_blocking(move || lock_holder(&codex_home, &thread_id)).await;
        match holder {
            Ok(Ok(LockHolder::Process(_) | LockHolder::Hidden)) => Ok(()),
            Ok(Ok(LockHolder::Nobody)) => {
                Err(NotReady::closed(format!("no process has thread {} loaded", self.thread_id)))
            }
            Ok(Err(error)) => Err(NotReady::closed(error.to_string())),
            Err(error) => Err(NotReady::closed(error.to_string())),
        }
    }

    /// The session's own Codex. One that was moved since is taken for the one that others find.
    async fn locate(&self) -> Result<PathBuf, Failure> {
        let own = self.program.clone();
        Ok(blocking(move || locate(own.as_deref()).or_else(|_| locate(None))).await??)
    }

    async fn queue(&self, letter: &Letter) -> Sending {
        let program = match self.locate().await {
            Ok(program) => program,
            Err(failure) => return Sending::NotSent(failure.message),
        };
        let message = QueueMessage {
            program,
            thread_id: self.thread_id.clone(),
            text: letter.origin.before(&letter.text),
            remote: self.remote.clone(),
            codex_home: Some(self.codex_home.clone()),
        };
        match queue_message(&message, DEADLINE).await {
            Ok(queued) => {
                Sending::Sent(json!({"queue_item_id": queued.item_id, "thread_id": self.thread_id}))
            }
            Err(error @ QueueError::Unknown { .. }) => {
                Sending::Unknown { error: error.to_string(), pane_class: None }
            }
            Err(error @ QueueError::Refused { .. }) => Sending::NotSent(error.to_string()),
        }
    }
}

impl Transport for QueueTransport {
    fn kind(&self) -> TransportKind {
        TransportKind::CodexQueue
    }

    fn ready(&self) -> LocalBoxFuture<'_, Result<(), NotReady>> {
        self.make_ready().boxed_local()
    }

    fn send<'a>(&'a self, letter: &'a Letter) -> LocalBoxFuture<'a, Sending> {
        self.queue(letter).boxed_local()
    }
}
