//! The real Codex CLI.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The Codex program under test: `$CONVEYOR_TEST_CODEX`, else the one that `cargo xtask setup`
/// fetched. Panics when there is neither.
pub(crate) fn program() -> PathBuf {
    let fetched = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/codex/native/bin/codex");
    let program = env::var_os("CONVEYOR_TEST_CODEX").map_or_else(fetched, PathBuf::from);
    assert!(program.is_file(), "no Codex at {}; run `cargo xtask setup`", program.display());
    program
}

/// The rollouts below a Codex home.
pub(crate) fn rollouts(codex_home: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![codex_home.join("sessions")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { directories.push(path) } else { found.push(path) }
        }
    }
    found
}
