//! `conveyor mcp`: as a client sees it, and from inside the real Codex.

mod codex;
mod tools;
mod waits;
