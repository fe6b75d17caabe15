//! The running system: actors, what they say to each other, and the calls they serve.
//!
//! Only [`runtime`] and [`guardian`] name concrete actors; everybody else holds a `Recipient`.

mod attend;
pub mod blocking;
pub mod calls;
pub mod client;
pub mod cycle;
pub mod dispatcher;
pub mod doubt;
pub mod ending;
pub mod evidence;
pub mod export;
pub mod file_watch;
mod foreground;
pub mod gateway;
mod git;
pub mod guardian;
mod hands;
mod hearing;
pub mod hub;
mod idle;
mod in_use;
pub mod ingest;
mod interrupt_key;
mod job;
pub mod launch;
mod legacy;
mod liveness;
pub mod lock;
#[cfg(test)]
mod model;
mod pane_class;
pub mod paths;
mod pictures;
mod record;
pub mod reviewer;
pub mod runtime;
pub mod sandbox;
mod screen_watch;
pub mod session;
pub mod slash;
pub mod tailer;
pub mod task;
mod template_files;
#[cfg(test)]
mod testing;
pub mod tmux;
mod told_to_end;
mod tools;
pub mod transport;
mod turn;
pub mod whereabouts;
pub mod window;
pub mod wire;

pub use calls::{Call, Request};
pub use hub::{Caller, Hub};
