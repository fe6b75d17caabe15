//! `cargo xtask bench [NAME]`: what is measured, optimised.

use crate::error::Result;
use crate::process::{cargo, run};

/// Runs the benchmarks of `benches/`, or the one that `args` name.
pub(crate) fn bench(args: &[String]) -> Result {
    run(cargo().args(["bench", "--package", "conveyor", "--bench", "bench", "--"]).args(args))
}
