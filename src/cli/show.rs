//! How a reply is shown.

use crate::actors::Call;

/// The text form of a call's reply, for people. JSON needs nothing: every reply is serialisable.
pub trait Show: Call {
    /// The reply as text, without a trailing newline; `None` where the answer is always JSON.
    fn text(&self, _reply: &Self::Reply) -> Option<String> {
        None
    }

    /// The exit code for a reply that is an answer, but a negative one.
    fn exit_code(&self, _reply: &Self::Reply) -> u8 {
        0
    }
}
