//! Codex's app-server: JSON-RPC over a WebSocket over a Unix socket.
//!
//! `codex app-server generate-ts --experimental` prints the protocol this module speaks; what is
//! here was checked against Codex 0.169.0.

mod answer;
mod calls;
mod client;
mod error;
mod notice;
mod pending;
mod server;
mod server_log;
mod socket;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use answer::{Answered, answer_request};
pub use calls::{Approval, Thread, ThreadStart, ThreadStatus, TurnStart};
pub use client::{AppServer, Events, Incoming, RequestId};
pub use error::RpcError;
pub use notice::{Notice, PersonRequest};
pub use server::{RunningServer, ServerStart, StartError, Stopped, start_server, stop_server};
pub use socket::socket_path;
