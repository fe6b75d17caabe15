//! What this program does with Codex, done with the real one.

pub(crate) mod app_server;
mod discover;
mod queue;
mod screen;
mod terminal;

use crate::support::World;
use crate::support::run::Run;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The whole lines of a rollout; none when there is no such file.
fn rollout_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The Codex configuration of an MCP server that only makes the file `proof`.
fn mcp_server_that_makes(world: &World, proof: &Path) -> Map<String, Value> {
    let command = program(world, "mcp-server", "touch \"$1\"");
    let config = json!({"mcp_servers": {"proof": {"command": command, "args": [proof]}}});
    config.as_object().unwrap().clone()
}

/// Puts a shell script where the world looks for programs. Another process writes it, because a
/// program cannot run while a child that some other test is just starting has it open for writing.
pub(crate) fn program(world: &World, name: &str, script: &str) -> PathBuf {
    let path = world.bin().join(name);
    let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
    Run::of(world.command("/bin/sh").args(["-c", write]).arg(&path).arg(script), "").ok();
    path
}
