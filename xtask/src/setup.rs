//! `cargo xtask setup`: everything the tests need besides Rust.

use crate::error::Result;
use crate::process::installed;
use crate::{codex, packages};
use std::path::Path;

/// The programs that can draw a page, by the names they are found under.
const BROWSERS: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"];

/// The browser of a Mac is on no `PATH`.
const MAC_BROWSERS: [&str; 2] = ["/Applications/Chromium.app", "/Applications/Google Chrome.app"];

/// Installs what is missing. With nothing missing it runs no program and takes milliseconds.
pub(crate) fn setup() -> Result {
    let mut programs = vec!["tmux"];
    if !has_browser() {
        programs.push(BROWSERS[0]);
    }
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

fn has_browser() -> bool {
    BROWSERS.into_iter().any(installed) || MAC_BROWSERS.into_iter().any(|app| Path::new(app).exists())
}
