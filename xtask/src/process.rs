//! Running the programs that do the work.

use crate::error::{Error, Result};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `command` with its output shown and fails unless it exits with 0.
pub(crate) fn run(command: &mut Command) -> Result {
    let line = render(command);
    eprintln!("$ {line}");
    let status = command.status().map_err(|source| Error::Start { command: line.clone(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Failed { command: line, status }) }
}

/// The cargo that runs this program, in the root of the repository.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::root());
    command
}

/// Whether `program` is on `PATH`.
pub(crate) fn installed(program: &str) -> bool {
    let Some(path) = env::var_os("PATH") else { return false };
    env::split_paths(&path).any(|dir| is_program(&dir.join(program)))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The command as a person would type it: the program without its directory.
fn render(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_zero_exit_is_success() {
        assert!(run(&mut Command::new("true")).is_ok());
        let failed = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(failed.to_string(), "`sh -c exit 3` failed (exit status: 3)");
        let absent = run(&mut Command::new("/nowhere/prog")).unwrap_err();
        assert!(absent.to_string().starts_with("cannot start `prog`: "), "{absent}");
    }

    #[test]
    fn a_program_is_an_executable_file_on_the_path() {
        assert!(installed("sh"));
        assert!(!installed("no-such-program-here"));
        assert!(!is_program(Path::new("/")), "a directory is no program");
    }
}
