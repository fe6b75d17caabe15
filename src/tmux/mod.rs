//! The only tmux argument lists and tmux process spawning.
//!
//! Every call blocks, for at most the deadline of its [`TmuxServer`]: run it on a blocking thread.
//!
//! What holds here:
//! - User text reaches tmux on standard input only ([`TmuxServer::load_text`]); it is never a key
//!   name, a format, or part of a command line, and never passes through a shell.
//! - Targets are pane ids or exact session names; tmux never guesses by prefix or pattern.
//! - One call is one tmux process, even where it takes several tmux commands: the server runs them
//!   without anything happening in between.
//! - A deadline that passes means the effect is unknown ([`TmuxError::effect_unknown`]): a server
//!   that wakes up later still carries the command out.

mod attach;
mod command;
mod error;
mod key;
mod pane;
mod paste;
mod server;
mod session;
mod target;
#[cfg(test)]
mod testing;
mod text;
mod window;

pub use error::TmuxError;
pub use key::KeyName;
pub use pane::{DEFAULT_HISTORY_LINES, Pane, PaneView, is_shell};
pub use paste::LoadedText;
pub use server::TmuxServer;
pub use session::{PaneSize, SpawnOptions};
pub use target::{PaneId, SessionName, Target};
pub use text::typeable;
pub use window::{Desk, NoWindow, TerminalApp, Window};
