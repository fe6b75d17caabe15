//! Whether the tools that a task's contract names are there: each is asked for its version.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::blocking::blocking;
use crate::codex::process::{RunError, output_within};
use crate::domain::Failure;
use crate::store::epilogue::ToolOutcome;

/// How long a tool may take to say its version.
const PATIENCE: Duration = Duration::from_secs(30);

/// The exit code by which a shell says that there is no such program.
const NOT_FOUND: i32 = 127;

/// Characters of a tool's output that are kept.
const KEPT_CHARS: usize = 2000;

/// Asks one tool after the other, in this directory and with this process's environment.
///
/// # Errors
/// When the runtime is shutting down.
pub async fn ask_all(tools: Vec<String>, cwd: PathBuf) -> Result<Vec<ToolOutcome>, Failure> {
    blocking(move || tools.into_iter().map(|tool| ask(tool, &cwd)).collect()).await
}

/// A tool is a program and the arguments that always go with it, separated by spaces.
fn ask(tool: String, cwd: &Path) -> ToolOutcome {
    let mut words = tool.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).arg("--version").current_dir(cwd);
    let (returncode, stdout, stderr) = match output_within(command, PATIENCE) {
        Ok(output) => (output.status.code(), kept(&output.stdout), kept(&output.stderr)),
        Err(error @ RunError::Spawn { .. }) => (Some(NOT_FOUND), String::new(), error.to_string()),
        Err(error @ RunError::TimedOut { .. }) => (None, String::new(), error.to_string()),
    };
    ToolOutcome { tool, returncode, stdout, stderr }
}

fn kept(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().chars().take(KEPT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_answers_with_its_exit_code_or_is_not_there() {
        let check = |tool: &str, returncode: Option<i32>, says: &str| {
            let outcome = ask(tool.to_owned(), Path::new("/"));
            assert_eq!(outcome.returncode, returncode, "{outcome:?}");
            assert!(format!("{}{}", outcome.stdout, outcome.stderr).contains(says), "{outcome:?}");
        };
        check("true", Some(0), "");
        check("false", Some(1), "");
        check("env printf %s", Some(0), "--version");
        check("no-such-tool-here", Some(127), "could not run");
        check("", Some(127), "could not run");
    }
}
