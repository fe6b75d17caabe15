//! This program, run again: as the keeper, the supervisor, a session, or a command.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::scene::Scene;
use crate::domain::Failure;
use crate::domain::shell::quoted;

/// How long a program gets to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// The file of the running program.
///
/// # Errors
/// When the system does not tell.
pub(super) fn path() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::external(format!("failed to find this program's own file: {error}")))
}

/// A command of this program, as a person would type it.
pub(super) fn command_line(args: &[&str]) -> String {
    let words = args.iter().map(|word| quoted(word));
    std::iter::once("conveyor".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

fn again<S: AsRef<OsStr>>(args: &[S]) -> Result<Command, Failure> {
    let mut command = Command::new(path()?);
    command.args(args);
    Ok(command)
}

fn again_in<S: AsRef<OsStr>>(scene: &Scene, args: &[S]) -> Result<Command, Failure> {
    let mut command = again(args)?;
    command.envs(scene.environment());
    for name in Scene::unset_environment() {
        command.env_remove(name);
    }
    Ok(command)
}

fn start(mut command: Command) -> Result<Child, Failure> {
    command.spawn().map_err(|error| Failure::external(format!("failed to start this program again: {error}")))
}

/// The keeper, which ends when everything that writes to its standard input is gone. It is out of
/// reach of the terminal's C-c.
///
/// # Errors
/// When it does not start.
pub(super) fn start_keeper(scene: &Scene, args: &[String], input: Stdio) -> Result<Child, Failure> {
    let mut command = again_in(scene, args)?;
    command.stdin(input).stdout(Stdio::piped()).process_group(0);
    start(command)
}

/// A program of the scene that runs in the background, in a process group of its own, and writes
/// what it says into its log.
///
/// # Errors
/// When it does not start, or its log cannot be made.
pub(super) fn start_logged(scene: &Scene, name: &str, args: &[String]) -> Result<Child, Failure> {
    let log = scene.log(name);
    let failed =
        |error: std::io::Error| Failure::external(format!("failed to make {}: {error}", log.display()));
    let log_file = File::create(&log).map_err(failed)?;
    let mut command = again_in(scene, args)?;
    command
        .current_dir(scene.work())
        .stdin(Stdio::null())
        .stdout(log_file.try_clone().map_err(failed)?)
        .stderr(log_file)
        .process_group(0);
    start(command)
}

/// Ends a background program and everything in its process group: with `signal`, and by force when
/// that does not help.
pub(super) fn end(mut child: Child, signal: Signal) {
    // Not waited for yet, so the number is still its own.
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let send = |signal| {
        // It may have ended already.
        let _ = group.map(|group| kill_process_group(group, signal));
    };
    send(signal);
    let deadline = Instant::now() + GRACE;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            send(Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a command in the scene to its end, with `input` as its standard input.
///
/// # Errors
/// When it does not start, or does not end in time.
pub(super) fn run_within(
    scene: &Scene,
    args: &[&str],
    input: Stdio,
    deadline: Duration,
) -> Result<Output, Failure> {
    let mut command = again_in(scene, args)?;
    command.current_dir(scene.work()).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = start(command)?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match ended.recv_timeout(deadline) {
        Ok(output) => output.map_err(|error| {
            Failure::external(format!("failed to read what `{}` says: {error}", command_line(args)))
        }),
        Err(_) => {
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
            Err(Failure::unknown(format!(
                "`{}` did not end within {} s",
                command_line(args),
                deadline.as_secs_f64()
            )))
        }
    }
}

/// Runs a command as the session of a Codex thread does: with the session's own environment and the
/// thread's id in it. It stays in the session's process group, and ends with it.
///
/// # Errors
/// When it does not start.
pub(super) fn run_in_session(thread: &str, args: &[&str]) -> Result<Output, Failure> {
    let mut command = again(args)?;
    command.env("CODEX_THREAD_ID", thread).stdin(Stdio::null());
    command
        .output()
        .map_err(|error| Failure::external(format!("failed to start this program again: {error}")))
}
