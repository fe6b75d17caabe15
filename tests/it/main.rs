//! The integration tests: one binary, one module per subject.
//!
//! `support` holds what they share: a scripted model for the real Codex CLI, a `World` per test
//! that leaves nothing running, and a writer of rollouts. `tidy` holds the tree to its rules.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by panicking")]

mod agreements;
mod codex;
mod contract;
mod control;
mod crash;
mod create;
mod database;
mod demo;
mod evidence;
mod export;
mod foreground;
mod fuzz;
mod harness;
mod import;
mod launch;
mod legacy;
mod live;
mod loops;
mod mcp;
mod observe;
mod open;
mod pair;
mod pairing;
mod qa;
mod readme;
mod record;
mod refusals;
mod replay;
mod skills;
mod supervisor;
mod support;
mod telemetry;
mod tidy;
mod tmux;
mod told;
mod top;
