//! The real Codex CLI.

use std::env;
use std::path::{Path, PathBuf};

/// The Codex program under test: `$CONVEYOR_TEST_CODEX`, else the one that `cargo xtask setup`
/// fetched. Panics when there is neither.
pub(crate) fn program() -> PathBuf {
    let fetched = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/codex/native/bin/codex");
    let program = env::var_os("CONVEYOR_TEST_CODEX").map_or_else(fetched, PathBuf::from);
    assert!(program.is_file(), "no Codex at {}; run `cargo xtask setup`", program.display());
    program
}
