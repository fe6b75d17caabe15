//! The calls that the view makes.

use std::fmt;

use crate::actors::Caller;
use crate::actors::calls::act::{SessionInterruptArgs, SessionNudgeArgs};
use crate::actors::calls::cycle::CycleArgs;
use crate::actors::calls::top::TopArgs;
use crate::actors::paths::Paths;
use crate::cli::connection::Connection;
use crate::domain::busy_wait::DEFAULT_BUSY_WAIT_SECONDS;
use crate::domain::{Failure, FailureKind};
use crate::store::top::TopFrame;

/// A call that a key asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ActingCall {
    /// Send a text.
    Nudge { session: String, text: String },
    /// Interrupt this session.
    Interrupt(String),
    /// Look at this task as its manager does.
    Cycle(String),
}

/// What is under way, as the person is told.
impl fmt::Display for ActingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nudge { session, .. } => write!(f, "sending to {session}"),
            Self::Interrupt(session) => write!(f, "interrupting {session}"),
            Self::Cycle(task) => write!(f, "looking at {task}"),
        }
    }
}

/// Makes them. Each finds the supervisor anew: it may come and go meanwhile.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) args: TopArgs,
    pub(super) paths: Paths,
    pub(super) caller: Caller,
}

impl Calls {
    fn connection(&self) -> Result<Connection, Failure> {
        Connection::open(self.paths.clone(), self.caller.clone())
    }

    /// Looks at all pairs. A look changes nothing, so one is taken again when the supervisor went
    /// away over it.
    pub(super) fn look(&self) -> Result<TopFrame, Failure> {
        let look = || self.connection()?.call(self.args.clone());
        look().or_else(|failure| if failure.kind == FailureKind::Unknown { look() } else { Err(failure) })
    }

    /// Makes a call, and says how it went.
    pub(super) fn make(&self, call: ActingCall) -> Result<String, Failure> {
        let mut connection = self.connection()?;
        match call {
            ActingCall::Nudge { session, text } => {
                let said = format!("sent to {session}");
                connection.call(SessionNudgeArgs { name: session, text, dry_run: false }).map(|_| said)
            }
            ActingCall::Interrupt(session) => {
                let said = format!("{session} was interrupted");
                let interrupt = SessionInterruptArgs {
                    name: session,
                    key: None,
                    followup: None,
                    dry_run: false,
                    force: false,
                };
                connection.call(interrupt).map(|_| said)
            }
            ActingCall::Cycle(task) => {
                let cycle = CycleArgs { task: task.clone(), busy_wait_seconds: DEFAULT_BUSY_WAIT_SECONDS };
                let report = connection.call(cycle)?;
                Ok(format!("cycle {} of {task}: the worker is {}", report.cycle_id, report.worker.state))
            }
        }
    }
}
