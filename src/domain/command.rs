//! Durable commands: what Dispatch is asked to do, and how far it got.

use super::Role;
use super::words::words;

words! {
    /// How far a command got: `pending → attempted → succeeded | failed | blocked`.
    CommandState {
        /// Waits to be claimed.
        Pending = "pending",
        /// Claimed by a dispatcher.
        Attempted = "attempted",
        /// Carried out.
        Succeeded = "succeeded",
        /// Not carried out, or not known to be; never tried again.
        Failed = "failed",
        /// Refused by a loop policy before anything was sent.
        Blocked = "blocked",
    }
}

words! {
    /// How far one dispatcher's attempt at a command got.
    AttemptState {
        /// At it.
        Running = "running",
        /// Carried out.
        Succeeded = "succeeded",
        /// Not carried out, or not known to be.
        Failed = "failed",
        /// Refused by a loop policy before anything was sent.
        Blocked = "blocked",
        /// Its lease ran out before any side effect started.
        Abandoned = "abandoned",
    }
}

words! {
    /// The commands that Dispatch carries out. The table holds other types too, as records of what
    /// was done elsewhere.
    QueuedCommand {
        /// A message from the worker's side to the manager.
        NotifyManager = "notify_manager",
        /// A message from the manager's side to the worker.
        NudgeWorker = "nudge_worker",
        /// The manager asks the worker for the next pass of a loop.
        ContinueIteration = "continue_iteration",
    }
}

impl QueuedCommand {
    /// The role of the session the message goes to; it comes from the other one.
    pub fn target(self) -> Role {
        match self {
            Self::NotifyManager => Role::Manager,
            Self::NudgeWorker | Self::ContinueIteration => Role::Worker,
        }
    }
}
