//! What this program does with Codex, done with the real one.

mod app_server;
mod discover;
mod queue;
mod screen;
mod terminal;

use crate::support::World;
use crate::support::run::Run;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The whole lines of a rollout; none when there is no such file.
fn rollout_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Puts a shell script where the world looks for programs. Another process writes it, because a
/// program cannot run while a child that some other test is just starting has it open for writing.
fn program(world: &World, name: &str, script: &str) -> PathBuf {
    let path = world.bin().join(name);
    let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
    Run::of(world.command("/bin/sh").args(["-c", write]).arg(&path).arg(script), "").ok();
    path
}
