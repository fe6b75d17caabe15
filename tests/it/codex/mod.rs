//! What this program does with Codex, done with the real one.

mod app_server;
mod screen;

use serde_json::Value;
use std::fs;
use std::path::Path;

/// The whole lines of a rollout; none when there is no such file.
fn rollout_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap()).collect()
}
