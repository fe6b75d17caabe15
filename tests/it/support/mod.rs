//! What the integration tests share.

pub(crate) mod codex;
pub(crate) mod mcp;
pub(crate) mod model;
pub(crate) mod processes;
pub(crate) mod rollout;
pub(crate) mod run;
pub(crate) mod terminal;
pub(crate) mod wait;
pub(crate) mod world;

pub(crate) use mcp::McpClient;
pub(crate) use model::{Model, Script};
pub(crate) use terminal::Terminal;
pub(crate) use wait::wait_for;
pub(crate) use world::World;
