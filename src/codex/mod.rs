//! The only code that knows Codex: rollouts, sessions, its app-server, its screen.

pub mod app_server;
pub mod pane;
pub mod policy;
pub mod rollout;
