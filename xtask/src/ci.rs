//! `cargo xtask ci`: what a change must pass.

use crate::error::Result;
use crate::process::{cargo, installed, run};

/// Format, lints, documentation, dependencies and tests; stops at the first that fails.
pub(crate) fn ci() -> Result {
    run(cargo().args(["fmt", "--all", "--", "--check"]))?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run(cargo().args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    if installed("cargo-deny") {
        // Not the advisories: they come from outside the package registries, and change by themselves.
        run(cargo().args(["deny", "check", "bans", "licenses", "sources"]))?;
    }
    crate::test::test(&[])
}
