//! What a session's app-server says unasked, for as long as the connection lasts: that the session
//! went on in another thread, and that it waits for a person.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::attend::Attendant;
use super::transport::Events;
use super::whereabouts::{follow, place_of};
use crate::codex::app_server::{AppServer, Incoming, Notice, PersonRequest, Thread, ThreadStatus};
use crate::domain::{Asks, Failure, Wait};
use crate::store::waits::{EndWaits, Over, RecordWait};

#[cfg(test)]
mod tests;

/// How long a thread that waits gets to say what for. It says so at once, if it does.
const EXPLANATION: Duration = Duration::from_millis(500);

/// One connection to a session's app-server.
pub(super) struct Hearing<'a> {
    attendant: &'a Attendant,
    server: AppServer,
    /// The threads that were joined, so that they ask us too.
    joined: HashSet<String>,
    /// The threads that wait.
    waiting: HashSet<String>,
    /// A thread that waits and has not said what for, and until when it may.
    unexplained: Option<(Instant, Wait)>,
}

impl<'a> Hearing<'a> {
    pub(super) fn new(attendant: &'a Attendant, server: AppServer) -> Self {
        Self { attendant, server, joined: HashSet::new(), waiting: HashSet::new(), unexplained: None }
    }

    /// Listens until the connection ends.
    ///
    /// # Errors
    /// When something that was heard could not be recorded. A new connection hears it again.
    pub(super) async fn listen(mut self, mut events: Events) -> Result<(), Failure> {
        self.look().await?;
        loop {
            let heard = match &self.unexplained {
                None => Ok(events.recv().await),
                Some((until, _)) => timeout_at(*until, events.recv()).await,
            };
            match heard {
                Ok(Some(incoming)) => self.heard(incoming).await?,
                Ok(None) => return Ok(()),
                Err(_) => self.goes_unexplained().await?,
            }
        }
    }

    /// Reads how it stands now: what happened before, or was missed, is not said again.
    async fn look(&mut self) -> Result<(), Failure> {
        let linked = self.attendant.linked().await?;
        let Some(thread_id) = linked.session.codex_session_id else { return Ok(()) };
        match self.server.thread_read(&thread_id).await {
            Ok(thread) => {
                self.waiting.insert(thread_id.clone());
                self.stands(thread_id, &thread.status).await
            }
            Err(error) => {
                tracing::debug!(%error, thread_id, "failed to see how a thread stands");
                Ok(())
            }
        }
    }

    async fn heard(&mut self, incoming: Incoming) -> Result<(), Failure> {
        match Notice::read(incoming) {
            Some(Notice::ThreadStarted(thread)) => self.started(thread).await,
            Some(Notice::StatusChanged { thread_id, status }) => {
                return self.stands(thread_id, &status).await;
            }
            Some(Notice::PersonAsked(request)) => return self.asked(request).await,
            Some(Notice::RequestResolved { request_id, .. }) => {
                let id = serde_json::to_value(request_id).unwrap_or_default();
                return self.end(Over::Request(id)).await;
            }
            Some(Notice::Missed(_)) => return self.look().await,
            Some(Notice::ConfigWarning { summary }) => {
                tracing::warn!(
                    session = self.attendant.session_id(),
                    summary,
                    "Codex warns of its configuration"
                );
            }
            // The rollout tells how a turn ended.
            Some(Notice::TurnEnded { .. }) | None => {}
        }
        Ok(())
    }

    async fn started(&self, thread: Thread) {
        let Some((id, path)) = place_of(thread) else { return };
        if let Err(failure) = follow(self.attendant.store(), self.attendant.session_id(), &id, &path).await {
            tracing::warn!(%failure, session = self.attendant.session_id(), thread = id, "failed to follow a thread");
        }
    }

    async fn stands(&mut self, thread_id: String, status: &ThreadStatus) -> Result<(), Failure> {
        let asks = if status.waits_on_approval() {
            Asks::Approval
        } else if status.waits_on_user_input() {
            Asks::Answer
        } else {
            return self.goes_on(thread_id).await;
        };
        self.waiting.insert(thread_id.clone());
        self.join(&thread_id).await;
        // One thread's silence is not ended by another one's.
        if self.unexplained.as_ref().is_some_and(|(_, other)| other.thread_id.as_ref() != Some(&thread_id)) {
            self.goes_unexplained().await?;
        }
        let wait = Wait { thread_id: Some(thread_id), ..Wait::new(asks) };
        self.unexplained = Some((Instant::now() + EXPLANATION, wait));
        Ok(())
    }

    /// Whoever joins a thread is asked what it asks, also what it asked before.
    async fn join(&mut self, thread_id: &str) {
        if self.joined.contains(thread_id) {
            return;
        }
        match self.server.thread_resume(thread_id).await {
            Ok(_) => drop(self.joined.insert(thread_id.to_owned())),
            Err(error) => tracing::debug!(%error, thread_id, "failed to join a thread that waits"),
        }
    }

    async fn goes_on(&mut self, thread_id: String) -> Result<(), Failure> {
        self.explained(&thread_id);
        if self.waiting.remove(&thread_id) { self.end(Over::Thread(thread_id)).await } else { Ok(()) }
    }

    async fn asked(&mut self, request: PersonRequest) -> Result<(), Failure> {
        if let Some(thread_id) = &request.wait.thread_id {
            self.waiting.insert(thread_id.clone());
            self.explained(thread_id);
        }
        self.record(request.wait).await
    }

    fn explained(&mut self, thread_id: &str) {
        self.unexplained.take_if(|(_, wait)| wait.thread_id.as_deref() == Some(thread_id));
    }

    async fn goes_unexplained(&mut self) -> Result<(), Failure> {
        match self.unexplained.take() {
            Some((_, wait)) => self.record(wait).await,
            None => Ok(()),
        }
    }

    async fn record(&self, wait: Wait) -> Result<(), Failure> {
        let session_id = self.attendant.session_id().to_owned();
        self.attendant.store().write(RecordWait { session_id, wait }).await?;
        Ok(())
    }

    async fn end(&self, over: Over) -> Result<(), Failure> {
        let session_id = self.attendant.session_id().to_owned();
        self.attendant.store().write(EndWaits { session_id, over }).await?;
        Ok(())
    }
}
