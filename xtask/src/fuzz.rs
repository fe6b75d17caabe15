//! `cargo xtask fuzz`: the fuzz tests, for longer.

use crate::error::Result;
use crate::process::{cargo, run};
use std::process::Command;

/// How many fuzz tests there are at least: they share the time.
const TARGETS: u64 = 6;

/// Runs every fuzz test for its part of `seconds`.
pub(crate) fn fuzz(seconds: u64) -> Result {
    run(&mut command(seconds))
}

/// What runs them.
pub(crate) fn command(seconds: u64) -> Command {
    let mut command = cargo();
    command.args([
        "test",
        "--package",
        "conveyor",
        "--test",
        "it",
        "--",
        "--test-threads",
        "1",
        "--nocapture",
        "fuzz::",
    ]);
    let each = (seconds.saturating_mul(1000) / TARGETS).max(1);
    command.env("BOLERO_RANDOM_TEST_TIME_MS", each.to_string());
    command.env("BOLERO_RANDOM_ITERATIONS", "1000000000");
    command
}
