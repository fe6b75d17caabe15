//! Which thread a session is in.
//!
//! `/clear` and `/new` move a session to another thread and file without a word in the old one. An
//! attendant keeps up with that; where there is none, as in a command that serves itself, the session's
//! process is looked into before something is done that depends on the thread.

use std::path::{Path, PathBuf};

use actix::prelude::*;

use super::blocking::blocking;
use super::hands::Hands;
use super::ingest;
use super::liveness::{codex_home, main_process_of};
use super::session::Session;
use crate::codex::app_server::Thread;
use crate::codex::discover::{
    DiscoverError, rollout_for_thread, session_of, system_processes, threads_held_by, threads_since,
};
use crate::codex::exit::Process;
use crate::domain::{Failure, Recipe};
use crate::store::Store;
use crate::store::following::FollowThread;
use crate::store::sessions::{GetSession, LinkedSession};

/// Sees to it that the thread a session is in is the one on record.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), Failure>")]
pub struct Locate {
    /// The session's id.
    pub session_id: String,
}

impl Handler<Locate> for Session {
    type Result = ResponseFuture<Result<(), Failure>>;

    fn handle(&mut self, _: Locate, _: &mut Context<Self>) -> Self::Result {
        let hands = self.hands.clone();
        Box::pin(async move { hands.located().await.map(drop) })
    }
}

/// Whether its process shows the thread it is in.
pub(super) fn shows_its_thread(linked: &LinkedSession) -> bool {
    let link = linked.link.as_ref();
    link.is_some_and(|link| link.app_server_socket.is_some()) || is_looked_into(linked)
}

/// Whether nothing but its process shows it.
fn is_looked_into(linked: &LinkedSession) -> bool {
    let link = linked.link.as_ref();
    link.is_some_and(|link| matches!(link.recipe, Recipe::Embedded | Recipe::OpenFiles))
}

/// A thread that a person talks to, with its rollout, which may not exist yet. Sub-agents have a
/// parent, and the thread that only makes a title has no rollout.
pub(super) fn place_of(thread: Thread) -> Option<(String, PathBuf)> {
    let Thread { id, path: Some(path), parent_thread_id: None, .. } = thread else { return None };
    Some((id, path))
}

impl Hands {
    /// The session, in the thread that it is in now. An attendant is told of that by an app-server; without
    /// one it looks every so often, and the session may have moved since.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn located(&self) -> Result<LinkedSession, Failure> {
        let linked = self.linked().await?;
        if self.attended.get() && !is_looked_into(&linked) {
            return Ok(linked);
        }
        self.locate(&linked).await?;
        self.linked().await
    }

    /// Looks which thread the session is in, and follows it there. What cannot be seen is logged.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn locate(&self, linked: &LinkedSession) -> Result<(), Failure> {
        let session = &linked.session;
        let Some(thread_id) = session.codex_session_id.clone() else { return Ok(()) };
        if !session.is_active() || !shows_its_thread(linked) {
            return Ok(());
        }
        has_rollout(&self.store, linked).await?;
        let Some(process) = main_process_of(linked) else { return Ok(()) };
        let Sight { threads, without_rollout } = match blocking(move || look(&process, &thread_id)).await? {
            Ok(sight) => sight,
            Err(error) => {
                tracing::debug!(%error, session = session.name, "failed to see which thread a session is in");
                return Ok(());
            }
        };
        let fresh = match &without_rollout {
            Some(thread_id) => self.fresh_thread(linked, thread_id).await,
            None => None,
        };
        self.in_fresh_thread.set(without_rollout.is_some() && fresh.is_none());
        // One after the other, so that each is read before it is left.
        for (thread_id, rollout) in threads.into_iter().chain(fresh) {
            follow(&self.store, &session.id, &thread_id, &rollout).await?;
        }
        Ok(())
    }

    /// A thread that its first prompt has not given a file. Only an app-server tells of which it will be.
    async fn fresh_thread(&self, linked: &LinkedSession, thread_id: &str) -> Option<(String, PathBuf)> {
        let socket = linked.link.as_ref()?.app_server_socket.as_ref()?;
        let server = self.connection.get(socket.as_ref()).await.ok()?;
        place_of(server.thread_read(thread_id).await.ok()?)
    }
}

/// What a look into a session's process shows.
#[derive(Default)]
struct Sight {
    /// The threads with a rollout that it went through since the one on record, oldest first.
    threads: Vec<(String, PathBuf)>,
    /// The thread that it is in now, when that has no rollout.
    without_rollout: Option<String>,
}

/// Blocks for a moment.
fn look(process: &Process, thread_id: &str) -> Result<Sight, DiscoverError> {
    let Ok(pid) = u32::try_from(process.pid) else { return Ok(Sight::default()) };
    // Another process may have got its number.
    if !process.is_running() {
        return Ok(Sight::default());
    }
    let processes = system_processes();
    // Most sessions have not moved: then there is no file to look for.
    if threads_held_by(&*processes, pid)?.last().is_some_and(|newest| newest.thread_id == thread_id) {
        return Ok(Sight::default());
    }
    let now = match session_of(&*processes, pid) {
        Ok(now) => now,
        // It is ending, or has not written anything yet.
        Err(DiscoverError::NoSession { .. }) => return Ok(Sight::default()),
        Err(error) => return Err(error),
    };
    if now.thread_id == thread_id {
        return Ok(Sight::default());
    }
    let threads = threads_since(&*processes, pid, thread_id)?;
    let is_fresh = now.rollout.is_none() && now.thread_id.as_str() > thread_id;
    Ok(Sight { threads, without_rollout: is_fresh.then_some(now.thread_id) })
}

/// Whether a session has a rollout. One that its thread has got since it was recorded is so from now on.
///
/// # Errors
/// When the store fails.
pub(super) async fn has_rollout(store: &Store, linked: &LinkedSession) -> Result<bool, Failure> {
    let session = &linked.session;
    if session.codex_session_path.is_some() {
        return Ok(true);
    }
    let (Some(thread_id), Some(home)) = (session.codex_session_id.clone(), codex_home(linked)) else {
        return Ok(false);
    };
    let find = move || rollout_for_thread(&home, &thread_id).map(|rollout| (thread_id, rollout));
    let Some((thread_id, rollout)) = blocking(find).await? else { return Ok(false) };
    follow(store, &session.id, &thread_id, &rollout).await?;
    Ok(store.read(GetSession(session.id.clone())).await?.codex_session_path.is_some())
}

/// Records that a session went on in a thread; what is left in the rollout that it leaves is read first.
///
/// # Errors
/// When the store fails.
pub(super) async fn follow(
    store: &Store,
    session_id: &str,
    thread_id: &str,
    rollout: &Path,
) -> Result<(), Failure> {
    let session = store.read(GetSession(session_id.to_owned())).await?;
    // A session that was registered before its first prompt had no rollout then.
    let is_new = |current: &String| current != thread_id || session.codex_session_path.is_none();
    let Some(from_thread) = session.codex_session_id.filter(is_new) else { return Ok(()) };
    if session.codex_session_path.is_some() {
        ingest::read_out(store, session_id).await?;
    }
    let follow = FollowThread {
        session_id: session_id.to_owned(),
        from_thread,
        to_thread: thread_id.to_owned(),
        rollout_path: rollout.to_string_lossy().into_owned(),
    };
    if store.write(follow).await? {
        tracing::info!(session = session.name, thread = thread_id, "the session went on in another thread");
    }
    Ok(())
}
