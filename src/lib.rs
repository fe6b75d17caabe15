//! conveyor: the supervision runtime that lets one AI coding session steer another.
//!
//! Dependencies point one way: `cli → actors → {reports, store, codex, tmux} → domain`.

pub mod actors;
pub mod cli;
pub mod codex;
pub mod domain;
pub mod store;
pub mod tmux;
