//! What the command line adds to a call: its input, and how its reply is shown.

use crate::actors::Call;
use crate::domain::Failure;

/// The command line's side of a call. JSON needs nothing: every reply is serialisable.
pub trait Show: Call {
    /// Completes the arguments with what only a command line has: standard input.
    ///
    /// # Errors
    /// When the input cannot be read.
    fn take_input(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// The reply as text for people, without a trailing newline; `None` where the answer is always JSON.
    fn text(&self, _reply: &Self::Reply) -> Option<String> {
        None
    }

    /// Whether the text has colours of its own, and so takes care itself of what others wrote in it.
    fn is_styled(&self) -> bool {
        false
    }

    /// The exit code for a reply that is an answer, but a negative one.
    fn exit_code(&self, _reply: &Self::Reply) -> u8 {
        0
    }
}
