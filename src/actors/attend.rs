//! Keeps up with a bound session beside its rollout: which thread it is in, and whether it waits for a
//! person.
//!
//! `/clear` and `/new` move a session to another thread and file without a word in the old one, and
//! no rollout shows that something is asked. An app-server tells of both; the process and the screen
//! of an embedded Codex are looked into.

use std::path::Path;
use std::time::Duration;

use super::blocking::blocking;
use super::hands::Hands;
use super::hearing::Hearing;
use super::ingest;
use super::screen_watch::ScreenWatch;
use crate::codex::discover::{DiscoverError, session_of, system_processes, threads_since};
use crate::domain::{Failure, Recipe};
use crate::store::Store;
use crate::store::following::FollowThread;
use crate::store::sessions::LinkedSession;

/// Between two looks into an embedded Codex's process.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Between two attempts to reach an app-server that is gone.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(2);

/// Whether there is anything beside its rollout that tells of a session.
pub(super) fn can_be_attended(linked: &LinkedSession) -> bool {
    let link = linked.link.as_ref();
    link.is_some_and(|link| link.app_server_socket.is_some() || is_looked_into(link.recipe))
        || linked.session.tmux_session.is_some()
}

/// Whether it is an embedded Codex, whose process shows the thread it is in.
fn is_looked_into(recipe: Recipe) -> bool {
    matches!(recipe, Recipe::Embedded | Recipe::OpenFiles)
}

/// Attends to one session until it is gone.
pub(super) struct Attendant {
    pub(super) hands: Hands,
}

impl Attendant {
    /// Runs for as long as the session is active. Faults are logged and tried again.
    pub(super) async fn run(self) {
        let mut screen = ScreenWatch::new();
        loop {
            let wait = match self.linked().await {
                Ok(linked) if !linked.session.is_active() || !can_be_attended(&linked) => return,
                Ok(linked) => self.attend_once(&linked, &mut screen).await,
                Err(failure) => {
                    tracing::debug!(%failure, session = self.session_id(), "failed to attend");
                    RECONNECT_INTERVAL
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    pub(super) fn session_id(&self) -> &str {
        &self.hands.session_id
    }

    pub(super) fn store(&self) -> &Store {
        &self.hands.store
    }

    pub(super) async fn linked(&self) -> Result<LinkedSession, Failure> {
        self.hands.linked().await
    }

    /// Gives how long to wait before the next time.
    async fn attend_once(&self, linked: &LinkedSession, screen: &mut ScreenWatch) -> Duration {
        let link = linked.link.as_ref();
        if let Some(socket) = link.and_then(|link| link.app_server_socket.as_ref()) {
            self.tell(linked, self.listen(socket.as_ref()).await);
            return RECONNECT_INTERVAL;
        }
        if link.is_some_and(|link| is_looked_into(link.recipe)) {
            self.tell(linked, self.look(linked).await);
        }
        if linked.session.tmux_session.is_some() {
            self.tell(linked, screen.attend(&self.hands, linked).await);
        }
        LOOK_INTERVAL
    }

    fn tell(&self, linked: &LinkedSession, outcome: Result<(), Failure>) {
        if let Err(failure) = outcome {
            tracing::debug!(%failure, session = linked.session.name, "failed to attend");
        }
    }

    /// Listens until the app-server goes away.
    async fn listen(&self, socket: &Path) -> Result<(), Failure> {
        let (server, events) = self.hands.connection.listen(socket).await?;
        // Where it went while nobody listened, which is not said again.
        let linked = self.linked().await?;
        self.tell(&linked, self.look(&linked).await);
        let heard = Hearing::new(self, server).listen(events).await;
        self.hands.connection.forget().await;
        heard
    }

    async fn look(&self, linked: &LinkedSession) -> Result<(), Failure> {
        let Some(thread_id) = linked.session.codex_session_id.clone() else { return Ok(()) };
        let link = linked.link.as_ref();
        let pid = link.and_then(|link| link.app_server_pid.or(link.tui_pid)).or(linked.session.pid);
        let Some(pid) = pid.and_then(|pid| u32::try_from(pid).ok()) else { return Ok(()) };
        let has_rollout = linked.session.codex_session_path.is_some();
        let moves = move || {
            let processes = system_processes();
            let now = session_of(&*processes, pid)?;
            if now.thread_id == thread_id && has_rollout {
                return Ok(Vec::new());
            }
            threads_since(&*processes, pid, &thread_id)
        };
        let threads = match blocking(moves).await? {
            Ok(threads) => threads,
            // It is ending, or has not written anything yet.
            Err(DiscoverError::NoSession { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // One after the other, so that each is read before it is left.
        for (thread_id, rollout) in threads {
            self.follow(&thread_id, &rollout).await?;
        }
        Ok(())
    }

    pub(super) async fn follow(&self, thread_id: &str, rollout: &Path) -> Result<(), Failure> {
        let session = self.linked().await?.session;
        // A session that was registered before its first prompt had no rollout then.
        let is_new = |current: &String| current != thread_id || session.codex_session_path.is_none();
        let Some(from_thread) = session.codex_session_id.filter(is_new) else { return Ok(()) };
        if session.codex_session_path.is_some() {
            ingest::read_out(self.store(), self.session_id()).await?;
        }
        let follow = FollowThread {
            session_id: self.session_id().to_owned(),
            from_thread,
            to_thread: thread_id.to_owned(),
            rollout_path: rollout.to_string_lossy().into_owned(),
        };
        if self.store().write(follow).await? {
            tracing::info!(
                session = session.name,
                thread = thread_id,
                "the session went on in another thread"
            );
        }
        Ok(())
    }
}
