//! `cargo xtask test`: every test of the workspace.

use crate::error::Result;
use crate::process::{cargo, installed, run};

/// Prepares the machine and runs the tests, with `args` passed on to the runner. Documentation
/// examples, which nextest does not run, are tested when nothing was selected.
pub(crate) fn test(args: &[String]) -> Result {
    crate::setup::setup()?;
    if !installed("cargo-nextest") {
        return run(cargo().args(["test", "--workspace"]).args(args));
    }
    run(cargo().args(["nextest", "run", "--workspace"]).args(args))?;
    if args.is_empty() {
        run(cargo().args(["test", "--workspace", "--doc"]))?;
    }
    Ok(())
}
