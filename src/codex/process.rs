//! Running a program to its end, with a deadline.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

/// Why a program gave no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started: nothing happened.
    #[error("could not run {program}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It did not end in time, or nobody waited for it any more, and it was killed: what it did until
    /// then is unknown.
    #[error("{program} did not end within {after:?} and was killed")]
    TimedOut {
        /// The program.
        program: String,
        /// The time it had.
        after: Duration,
    },
}

/// How often it is asked whether a program's answer is still wanted.
const ASKS: Duration = Duration::from_millis(50);

/// Runs `command` without input and returns what it said. Blocks for up to `deadline`; after that
/// the program is killed, with all it has started.
///
/// # Errors
/// See [`RunError`]. A program that reports failure by its exit status is no error here.
pub(crate) fn output_within(command: Command, deadline: Duration) -> Result<Output, RunError> {
    output_while(command, deadline, || true)
}

/// The same; the program is also killed as soon as its answer is not `wanted` any more.
///
/// # Errors
/// As [`output_within`].
pub(crate) fn output_while(
    mut command: Command,
    deadline: Duration,
    wanted: impl Fn() -> bool,
) -> Result<Output, RunError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |source| RunError::Spawn { program: program.clone(), source };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().map_err(failed)?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let started = Instant::now();
    while wanted() && started.elapsed() < deadline {
        if let Ok(output) = ended.recv_timeout(ASKS.min(deadline.saturating_sub(started.elapsed()))) {
            return output.map_err(failed);
        }
    }
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
    Err(RunError::TimedOut { program, after: deadline.min(started.elapsed()) })
}

/// The first line a program wrote to its standard error that says something.
pub(super) fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("WARNING:"));
    lines.map(|line| line.trim_start_matches("Error: ")).next().unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, deadline: Duration) -> Result<Output, RunError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        output_within(command, deadline)
    }

    #[test]
    fn a_program_says_something_and_ends() {
        let output =
            shell("echo out; echo WARNING: old >&2; echo Error: no >&2; exit 3", Duration::MAX).unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), b"out\n".as_slice()));
        assert_eq!(complaint(&output), "no");
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let begin = Instant::now();
        let error = shell("sleep 1000 & echo started; wait", Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, RunError::TimedOut { .. }), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(100));
    }

    #[test]
    fn a_program_that_is_not_there() {
        let error = output_within(Command::new("/nonexistent"), Duration::MAX).unwrap_err();
        assert!(matches!(error, RunError::Spawn { .. }), "{error}");
    }
}
