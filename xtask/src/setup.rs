//! `cargo xtask setup`: everything the tests need besides Rust.

use crate::error::Result;
use crate::{codex, packages};

/// Installs what is missing. With nothing missing it runs no program and takes milliseconds.
pub(crate) fn setup() -> Result {
    let mut programs = vec!["tmux"];
    let fetch_codex = codex::is_missing();
    if fetch_codex {
        programs.extend(["node", "npm"]);
    }
    packages::ensure(&programs)?;
    if fetch_codex {
        codex::fetch()?;
    }
    Ok(())
}
