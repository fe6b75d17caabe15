//! Workers as the first agent-conveyor knew them: by a name and a directory of files, with a status
//! that they write themselves.

use serde::{Deserialize, Serialize};

use super::words::words;

words! {
    /// What a worker says it is doing.
    WorkerState {
        /// It makes a plan.
        Planning = "planning",
        /// It changes files.
        Editing = "editing",
        /// It runs tests.
        RunningTests = "running_tests",
        /// It cannot go on.
        Blocked = "blocked",
        /// It waits to be told what to do.
        Waiting = "waiting",
        /// It has done what it was told.
        Done = "done",
        /// It has not said.
        Unknown = "unknown",
    }
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// What it is doing.
    pub state: WorkerState,
    /// What it works on.
    #[serde(default)]
    pub current_task: Option<String>,
    /// What comes next.
    #[serde(default)]
    pub next_action: Option<String>,
    /// What keeps it from going on.
    #[serde(default)]
    pub blocker: Option<String>,
    /// When it said so.
    #[serde(default)]
    pub last_update: Option<String>,
}

impl WorkerStatus {
    /// That of a worker that has not said anything.
    pub fn unknown() -> Self {
        Self {
            state: WorkerState::Unknown,
            current_task: None,
            next_action: None,
            blocker: None,
            last_update: None,
        }
    }
}

words! {
    /// How a worker is doing, as far as its files and its terminal tell.
    Health {
        /// It does not run.
        Stopped = "stopped",
        /// It says that it cannot go on.
        Blocked = "blocked",
        /// It says that it has done its work.
        Done = "done",
        /// Its terminal could not be read.
        Unknown = "unknown",
        /// Its screen asks for attention.
        BusyWait = "busy_wait",
        /// Neither its status nor its terminal has changed for long.
        Stale = "stale",
        /// Its terminal has not changed for long.
        Quiet = "quiet",
        /// Its status has not changed for long.
        StatusStale = "status_stale",
        /// It works.
        Active = "active",
    }
}

words! {
    /// What to do about a worker.
    IdleAction {
        /// Nothing.
        None = "none",
        /// Read why it cannot go on.
        ReadBlocker = "read_blocker",
        /// Look at what it has done.
        ReviewResult = "review_result",
        /// Look at its terminal.
        InspectTerminal = "inspect_terminal",
        /// Ask it how it stands.
        AskForStatus = "ask_for_status",
        /// Give it time.
        Wait = "wait",
    }
}

/// What is known of a worker at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Signs {
    /// Its terminal exists.
    pub running: bool,
    /// What it says it is doing.
    pub state: WorkerState,
    /// Its terminal was to be read, and could not be.
    pub capture_failed: bool,
    /// Its screen asks for attention.
    pub busy_wait: bool,
    /// Its status has not changed for long.
    pub status_is_stale: bool,
    /// Its terminal has not changed for long.
    pub terminal_is_stale: bool,
}

impl Signs {
    /// The first that applies.
    pub fn health(&self) -> Health {
        match (self.status_is_stale, self.terminal_is_stale) {
            _ if !self.running => Health::Stopped,
            _ if self.state == WorkerState::Blocked => Health::Blocked,
            _ if self.state == WorkerState::Done => Health::Done,
            _ if self.capture_failed => Health::Unknown,
            _ if self.busy_wait => Health::BusyWait,
            (true, true) => Health::Stale,
            (false, true) => Health::Quiet,
            (true, false) => Health::StatusStale,
            (false, false) => Health::Active,
        }
    }
}

impl Health {
    /// What to do about it.
    pub fn action(self) -> IdleAction {
        match self {
            Self::Stopped | Self::Active => IdleAction::None,
            Self::Blocked => IdleAction::ReadBlocker,
            Self::Done => IdleAction::ReviewResult,
            Self::Unknown | Self::BusyWait => IdleAction::InspectTerminal,
            Self::Stale => IdleAction::AskForStatus,
            Self::Quiet | Self::StatusStale => IdleAction::Wait,
        }
    }

    /// In a sentence.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Stopped => "its tmux session does not exist",
            Self::Blocked => "it says that it cannot go on",
            Self::Done => "it says that it has done its work",
            Self::Unknown => "its terminal could not be read",
            Self::BusyWait => "its screen asks for attention",
            Self::Stale => "neither its status nor its terminal has changed for long",
            Self::Quiet => "its terminal has not changed for long",
            Self::StatusStale => "its status has not changed for long, but its terminal has",
            Self::Active => "its status and its terminal have changed lately",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sign_that_applies_is_the_health() {
        fn check(change: impl FnOnce(&mut Signs), health: Health, action: IdleAction) {
            let mut signs = Signs {
                running: true,
                state: WorkerState::Editing,
                capture_failed: false,
                busy_wait: false,
                status_is_stale: false,
                terminal_is_stale: false,
            };
            change(&mut signs);
            assert_eq!((signs.health(), signs.health().action()), (health, action), "{signs:?}");
        }
        let all = |signs: &mut Signs| {
            (signs.capture_failed, signs.busy_wait) = (true, true);
            (signs.status_is_stale, signs.terminal_is_stale) = (true, true);
        };
        check(|signs| (all(signs), signs.running = false).1, Health::Stopped, IdleAction::None);
        check(
            |signs| (all(signs), signs.state = WorkerState::Blocked).1,
            Health::Blocked,
            IdleAction::ReadBlocker,
        );
        check(
            |signs| (all(signs), signs.state = WorkerState::Done).1,
            Health::Done,
            IdleAction::ReviewResult,
        );
        check(all, Health::Unknown, IdleAction::InspectTerminal);
        check(
            |signs| (all(signs), signs.capture_failed = false).1,
            Health::BusyWait,
            IdleAction::InspectTerminal,
        );
        check(
            |signs| (signs.status_is_stale, signs.terminal_is_stale) = (true, true),
            Health::Stale,
            IdleAction::AskForStatus,
        );
        check(|signs| signs.terminal_is_stale = true, Health::Quiet, IdleAction::Wait);
        check(|signs| signs.status_is_stale = true, Health::StatusStale, IdleAction::Wait);
        check(|_| {}, Health::Active, IdleAction::None);
    }
}
