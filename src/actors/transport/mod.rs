//! The ways to push a text into a session, behind one trait.

mod app_server;
mod queue;
mod tmux;

use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use crate::domain::header::OriginHeader;
use crate::domain::transport::TransportKind;

pub use app_server::{AppServerTransport, Connection, Events};
pub use queue::QueueTransport;
pub use tmux::TmuxTransport;

/// What is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What it is, who sent it, and under which id.
    pub origin: OriginHeader,
    /// The text itself.
    pub text: String,
    /// Our id for the message, where the transport carries one.
    pub client_message_id: String,
}

/// Why a transport cannot be used now. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// What stands in the way.
    pub error: String,
    /// What the pane shows, when it was looked at.
    pub pane_class: Option<String>,
    /// The session is there, but waits for a person: no other transport may go around that.
    pub asks_a_person: bool,
}

impl NotReady {
    /// This way is closed; another may be open.
    pub fn closed(error: impl Into<String>) -> Self {
        Self { error: error.into(), pane_class: None, asks_a_person: false }
    }
}

/// How a push went.
#[derive(Debug, Clone, PartialEq)]
pub enum Sending {
    /// The transport took it; what it told about that, as a JSON object.
    Sent(Value),
    /// Nothing was sent.
    NotSent(String),
    /// It may have been sent.
    Unknown {
        /// What is known.
        error: String,
        /// What the pane shows, when it was looked at.
        pane_class: Option<String>,
    },
}

/// A way to push a text into one session.
pub trait Transport {
    /// Which way it is.
    fn kind(&self) -> TransportKind;

    /// Looks whether a push can be made now. Types nothing and tells the session nothing; its thread may be
    /// loaded for it.
    fn ready(&self) -> LocalBoxFuture<'_, Result<(), NotReady>>;

    /// Pushes. That it is about to happen must already be durable.
    fn send<'a>(&'a self, letter: &'a Letter) -> LocalBoxFuture<'a, Sending>;
}
