//! Where a session sits: at a terminal, or at its mailbox.

use std::io;

use super::DemoSessionArgs;
use super::mailbox::Mailbox;
use crate::cli::demo::scene::{Scene, session_name};
use crate::codex::stand_in::StandIn;
use crate::domain::Failure;

/// How a session gets its prompts, and who sees it work.
pub(super) enum Seat {
    /// Prompts are typed; a screen shows the turns.
    Terminal(StandIn),
    /// Prompts are fetched; nobody watches.
    Mailbox(Mailbox),
}

impl Seat {
    pub(super) fn take(args: &DemoSessionArgs, scene: &Scene) -> Result<Self, Failure> {
        if args.no_tmux {
            return Ok(Self::Mailbox(Mailbox::new(args.role, &args.task)));
        }
        StandIn::open(&session_name(args.role), &scene.work()).map(Self::Terminal).map_err(gone)
    }

    /// Waits for the next prompt. `None` when there will be none.
    pub(super) fn next_prompt(&self, thread: &str) -> Result<Option<String>, Failure> {
        match self {
            Self::Terminal(stand_in) => Ok(stand_in.next_prompt()),
            Self::Mailbox(mailbox) => mailbox.next_prompt(thread).map(Some),
        }
    }

    pub(super) fn begin_turn(&self, prompt: &str) -> Result<(), Failure> {
        self.show(|stand_in| stand_in.begin_turn(prompt))
    }

    pub(super) fn say(&self, text: &str) -> Result<(), Failure> {
        self.show(|stand_in| stand_in.say(text))
    }

    pub(super) fn ran(&self, command: &str, result: &str) -> Result<(), Failure> {
        self.show(|stand_in| stand_in.ran(command, result))
    }

    pub(super) fn end_turn(&self) -> Result<(), Failure> {
        self.show(StandIn::end_turn)
    }

    fn show(&self, show: impl FnOnce(&StandIn) -> io::Result<()>) -> Result<(), Failure> {
        match self {
            Self::Terminal(stand_in) => show(stand_in).map_err(gone),
            Self::Mailbox(_) => Ok(()),
        }
    }
}

fn gone(error: io::Error) -> Failure {
    Failure::external(format!("the terminal is gone: {error}"))
}
