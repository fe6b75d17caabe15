//! What a call is served with: the store, the other actors' addresses, and who is asking.

use std::path::PathBuf;

use actix::{Message, Recipient};
use serde::{Deserialize, Serialize};

use serde_json::Value;

use super::calls::Request;
use super::dispatcher::MakePass;
use super::ending::End;
use super::paths::Paths;
use super::session::{Attend, Interrupt, Look, Nudge};
use super::slash::Slash;
use super::task::ServeInTask;
use super::whereabouts::Locate;
use crate::domain::Failure;
use crate::store::{Store, tasks};

/// Who is asking, and from where: the facts about the calling process that an answer depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The caller's working directory, absolute.
    pub cwd: PathBuf,
    /// The Codex thread the caller runs in (`CODEX_THREAD_ID`), when it runs in one.
    pub thread_id: Option<String>,
    /// The caller's `CODEX_HOME`, or the default one.
    pub codex_home: Option<PathBuf>,
    /// The tmux server the caller would talk to, as a socket path.
    pub tmux_socket: Option<PathBuf>,
    /// The name the program was called by: `conveyor` or `workerctl`.
    pub program: String,
}

/// The addresses a call may use. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    /// The database.
    pub store: Store,
    /// The files of this state root.
    pub paths: Paths,
    /// Whether this is the supervisor, which reads and watches every bound session by itself.
    pub supervises: bool,
    /// Reads and watches a session for as long as the runtime lives.
    pub attend: Recipient<Attend>,
    /// Serves a call inside its task's actor.
    pub tasks: Recipient<ServeInTask>,
    /// Makes a pass of Dispatch.
    pub dispatch: Recipient<MakePass>,
    /// Sees to it that the thread a session is in is the one on record.
    pub locate: Recipient<Locate>,
    /// Looks at a session's pane.
    pub look: Recipient<Look>,
    /// Sends a text to a session at once.
    pub nudge: Recipient<Nudge>,
    /// Interrupts a session.
    pub interrupt: Recipient<Interrupt>,
    /// Has Codex carry out a command of its own in a session.
    pub slash: Recipient<Slash>,
    /// Ends a session.
    pub end: Recipient<End>,
}

impl Hub {
    /// Serves a call: in its task's actor when it changes a task, else at once.
    ///
    /// # Errors
    /// The call's own refusal or failure.
    pub async fn serve(&self, request: Request, caller: Caller) -> Result<Value, Failure> {
        let Some(task) = request.changes_task() else {
            return request.serve(self, &caller).await;
        };
        match self.store.read(tasks::TaskIdOf(task.to_owned())).await? {
            // The call itself says best what is wrong with an unknown name.
            None => request.serve(self, &caller).await,
            Some(task_id) => {
                let call = ServeInTask { task_id, request, caller, hub: self.clone() };
                ask(&self.tasks, call, "task's actor").await
            }
        }
    }

    /// Sees to it that the thread a session is in is the one on record, before that thread is read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn locate(&self, session_id: &str) -> Result<(), Failure> {
        ask(&self.locate, Locate { session_id: session_id.to_owned() }, "session's actor").await
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Sends a message to an actor and waits for its answer.
///
/// # Errors
/// The actor's own, or that it has stopped.
pub async fn ask<M, T>(to: &Recipient<M>, message: M, who: &str) -> Result<T, Failure>
where
    M: Message<Result = Result<T, Failure>> + Send + 'static,
    T: Send + 'static,
{
    to.send(message).await.unwrap_or_else(|_| Err(gone(who)))
}

/// An actor that should answer has stopped.
pub fn gone(who: &str) -> Failure {
    Failure::internal(format!("the {who} has stopped")).hint("the supervisor may be shutting down; try again")
}
