//! Asking git about a directory.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::codex::process::output_while;

/// How long git may take. A large tree that was never looked at has to be read once.
const PATIENCE: Duration = Duration::from_secs(120);

/// Git in this directory, whichever repository this program's caller may be working for.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new("git");
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(variable);
    }
    command.args(["-c", "core.fsmonitor=false", "-c", "advice.addEmbeddedRepo=false"]);
    command.env("GIT_OPTIONAL_LOCKS", "0").current_dir(directory);
    command
}

/// What git says when it succeeds.
pub fn run(command: &mut Command) -> Option<String> {
    run_while(command, &|| true)
}

/// The same, as long as the answer is `wanted`.
pub fn run_while(command: &mut Command, wanted: &dyn Fn() -> bool) -> Option<String> {
    let output = output_while(std::mem::replace(command, Command::new("git")), PATIENCE, wanted).ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim_end().to_owned())
}

/// The answer to a question about this directory.
pub fn ask(directory: &Path, question: &[&str]) -> Option<String> {
    run(command(directory).args(question))
}
