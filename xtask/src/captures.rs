//! `cargo xtask captures`: what the README shows of the program, written anew by the program.
//!
//! A test holds the text against a run; told to, it writes it.

use crate::error::Result;
use crate::process::{cargo, run};

/// Has the test write what it sees.
pub(crate) fn captures() -> Result {
    crate::setup::setup()?;
    let test = ["test", "--package", "conveyor", "--test", "it", "--", "readme::the_readme_shows"];
    run(cargo().args(test).env("CONVEYOR_CAPTURES", "1"))
}
