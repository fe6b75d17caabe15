//! What a reviewer is told of the repository: what has changed, and which pull requests there are.
//! Names and numbers, no contents.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::actors::git;
use crate::codex::process::output_within;

/// Files that are named at most.
const MAX_FILES: usize = 200;

/// How long the forge may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What differs from the last commit.
pub(super) fn diff(directory: &Path) -> Value {
    let Some(commit) = git::ask(directory, &["rev-parse", "HEAD"]) else {
        return json!({ "available": false, "reason": "not in a git repository with a commit" });
    };
    let lines = |question: &[&str]| -> Vec<String> {
        let answer = git::ask(directory, question).unwrap_or_default();
        answer.lines().take(MAX_FILES).map(str::to_owned).collect()
    };
    json!({
        "available": true,
        "branch": git::ask(directory, &["rev-parse", "--abbrev-ref", "HEAD"]),
        "commit": commit,
        "recent_commits": lines(&["log", "-5", "--format=%h %s"]),
        "stat": lines(&["diff", "--stat", "HEAD"]),
        "untracked": lines(&["ls-files", "--others", "--exclude-standard"]),
    })
}

/// The newest pull requests, where somebody allowed to look at them.
pub(super) fn pull_requests(directory: &Path, allowed: bool) -> Value {
    if !allowed {
        return json!({ "available": false, "reason": "context.fetch_prs is not granted" });
    }
    let mut command = Command::new("gh");
    command.args([
        "pr",
        "list",
        "--state",
        "all",
        "--limit",
        "5",
        "--json",
        "number,title,state,url,updatedAt",
    ]);
    command.current_dir(directory);
    let listed = output_within(command, PATIENCE).ok().filter(|output| output.status.success());
    match listed.and_then(|output| serde_json::from_slice::<Value>(&output.stdout).ok()) {
        Some(listed) => json!({ "available": true, "pull_requests": listed }),
        None => json!({ "available": false, "reason": "gh is not there or gave no list" }),
    }
}
