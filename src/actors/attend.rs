//! Keeps up with a bound session beside its rollout: which thread it is in.
//!
//! `/clear` and `/new` move a session to another thread and file without a word in the old one. An
//! app-server tells; an embedded Codex is looked into.

use std::path::Path;
use std::time::Duration;

use super::blocking::blocking;
use super::ingest;
use super::transport::Connection;
use crate::codex::app_server::{Incoming, Notice, RpcError, Thread};
use crate::codex::discover::{DiscoverError, session_of, system_processes};
use crate::domain::{Failure, Recipe};
use crate::store::Store;
use crate::store::following::FollowThread;
use crate::store::sessions::{GetLinkedSession, LinkedSession};

/// Between two looks into an embedded Codex's process.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Between two attempts to reach an app-server that is gone.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(2);

/// Attends to one session until it is gone.
pub(super) struct Attendant {
    pub(super) session_id: String,
    pub(super) store: Store,
    pub(super) connection: Connection,
}

impl Attendant {
    /// Runs for as long as the session is active. Faults are logged and tried again.
    pub(super) async fn run(self) {
        loop {
            let wait = match self.linked().await {
                Ok(linked) if !linked.session.is_active() => return,
                Ok(linked) => self.attend_once(&linked).await,
                Err(failure) => {
                    tracing::debug!(%failure, session = self.session_id, "failed to attend");
                    RECONNECT_INTERVAL
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn linked(&self) -> Result<LinkedSession, Failure> {
        Ok(self.store.read(GetLinkedSession(self.session_id.clone())).await?)
    }

    /// Gives how long to wait before the next time.
    async fn attend_once(&self, linked: &LinkedSession) -> Duration {
        let Some(link) = &linked.link else { return LOOK_INTERVAL };
        let outcome = match (&link.app_server_socket, link.recipe) {
            (Some(socket), _) => self.listen(socket.as_ref()).await.map_err(Failure::from),
            (None, Recipe::Embedded | Recipe::OpenFiles) => self.look(linked).await,
            (None, Recipe::PrivateServer | Recipe::Given) => Ok(()),
        };
        if let Err(failure) = outcome {
            tracing::debug!(%failure, session = linked.session.name, "failed to attend");
        }
        if link.app_server_socket.is_some() { RECONNECT_INTERVAL } else { LOOK_INTERVAL }
    }

    /// Listens until the app-server goes away.
    async fn listen(&self, socket: &Path) -> Result<(), RpcError> {
        let (_server, mut events) = self.connection.listen(socket).await?;
        while let Some(incoming) = events.recv().await {
            self.heard(incoming).await;
        }
        self.connection.forget().await;
        Ok(())
    }

    async fn heard(&self, incoming: Incoming) {
        let Some(Notice::ThreadStarted(thread)) = Notice::read(incoming) else { return };
        // Sub-agents have a parent, and the thread that only makes a title has no rollout.
        let Thread { id, path: Some(path), parent_thread_id: None, .. } = thread else { return };
        let followed = self.follow(&id, &path).await;
        if let Err(failure) = followed {
            tracing::warn!(%failure, session = self.session_id, thread = id, "failed to follow a thread");
        }
    }

    async fn look(&self, linked: &LinkedSession) -> Result<(), Failure> {
        let pid = linked.link.as_ref().and_then(|link| link.tui_pid).or(linked.session.pid);
        let Some(pid) = pid.and_then(|pid| u32::try_from(pid).ok()) else { return Ok(()) };
        let found = match blocking(move || session_of(&*system_processes(), pid)).await? {
            Ok(found) => found,
            // It is ending, or has not written anything yet.
            Err(DiscoverError::NoSession { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match found.rollout {
            Some(path) => self.follow(&found.thread_id, &path).await,
            None => Ok(()),
        }
    }

    async fn follow(&self, thread_id: &str, rollout: &Path) -> Result<(), Failure> {
        let session = self.linked().await?.session;
        // A session that was registered before its first prompt had no rollout then.
        let is_new = |current: &String| current != thread_id || session.codex_session_path.is_none();
        let Some(from_thread) = session.codex_session_id.filter(is_new) else { return Ok(()) };
        if session.codex_session_path.is_some() {
            ingest::read_out(&self.store, &self.session_id).await?;
        }
        let follow = FollowThread {
            session_id: self.session_id.clone(),
            from_thread,
            to_thread: thread_id.to_owned(),
            rollout_path: rollout.to_string_lossy().into_owned(),
        };
        if self.store.write(follow).await? {
            tracing::info!(
                session = session.name,
                thread = thread_id,
                "the session went on in another thread"
            );
        }
        Ok(())
    }
}
