//! Keeps up with a bound session beside its rollout: which thread it is in, and whether it waits for a
//! person.
//!
//! `/clear` and `/new` move a session to another thread and file without a word in the old one, and
//! no rollout shows that something is asked. An app-server tells of both; the process and the screen
//! of an embedded Codex are looked into.

use std::path::Path;
use std::time::Duration;

use super::hands::Hands;
use super::hearing::Hearing;
use super::screen_watch::ScreenWatch;
use super::whereabouts::shows_its_thread;
use crate::domain::Failure;
use crate::store::Store;
use crate::store::sessions::LinkedSession;

/// Between two looks into an embedded Codex's process.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Between two attempts to reach an app-server that is gone.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(2);

/// Whether there is anything beside its rollout that tells of a session.
pub(super) fn can_be_attended(linked: &LinkedSession) -> bool {
    shows_its_thread(linked) || linked.session.tmux_session.is_some()
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
                Ok(linked) if !linked.session.is_active() || !can_be_attended(&linked) => break,
                Ok(linked) => self.attend_once(&linked, &mut screen).await,
                Err(failure) => {
                    tracing::debug!(%failure, session = self.session_id(), "failed to attend");
                    RECONNECT_INTERVAL
                }
            };
            tokio::time::sleep(wait).await;
        }
        self.hands.attended.set(false);
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
        if shows_its_thread(linked) {
            self.locate(linked).await;
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
        self.locate(&self.linked().await?).await;
        let heard = Hearing::new(self, server).listen(events).await;
        self.hands.attended.set(false);
        self.hands.connection.forget().await;
        heard
    }

    /// Nobody else needs to look which thread the session is in while this keeps up with it.
    async fn locate(&self, linked: &LinkedSession) {
        self.tell(linked, self.hands.locate(linked).await);
        self.hands.attended.set(true);
    }
}
