//! The only code that knows Codex: rollouts, sessions, its app-server, its screen.

pub mod alive;
pub mod app_server;
mod blocking;
pub mod discover;
pub mod exit;
pub mod install;
pub mod launch;
pub mod pane;
pub mod policy;
pub(crate) mod process;
pub mod queue;
pub mod rollout;
pub mod settings;
pub mod stand_in;
pub mod version;

pub use process::RunError;
