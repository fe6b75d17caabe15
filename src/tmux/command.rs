//! The one place that starts a tmux process.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use tmux_interface::TmuxCommand;

use super::{TmuxError, TmuxServer};

const EXIT_POLL: Duration = Duration::from_millis(1);

impl TmuxServer {
    /// Runs tmux commands one after the other in one tmux process, and returns what they print.
    /// The first command that fails ends the sequence.
    pub(super) fn run(&self, commands: &[TmuxCommand<'_>]) -> Result<String, TmuxError> {
        self.run_with_input(commands, None)
    }

    /// Like `run`, with `input` on standard input.
    pub(super) fn run_with_input(
        &self,
        commands: &[TmuxCommand<'_>],
        input: Option<&str>,
    ) -> Result<String, TmuxError> {
        self.refuse_foreign_directory()?;
        let names: Vec<&str> = commands.iter().filter_map(|command| command.name.as_deref()).collect();
        let called = names.join("; ");
        let finished = match self.spawn(commands, input.is_some())?.finish(input, self.deadline) {
            Ok(Some(finished)) => finished,
            Ok(None) => return Err(TmuxError::TimedOut { command: called, deadline: self.deadline }),
            Err(error) => return Err(TmuxError::CutShort { command: called, reason: error.to_string() }),
        };
        if finished.status.success() {
            return Ok(String::from_utf8_lossy(&finished.stdout).into_owned());
        }
        if let Some(signal) = finished.status.signal() {
            return Err(TmuxError::CutShort { command: called, reason: format!("signal {signal}") });
        }
        Err(TmuxError::classify(called, &String::from_utf8_lossy(&finished.stderr), &self.socket))
    }

    fn spawn(&self, commands: &[TmuxCommand<'_>], with_input: bool) -> Result<Running, TmuxError> {
        let spawned = Command::new(&self.program)
            .args(self.arguments(commands))
            // Not the server we run inside, nor its current pane.
            .env_remove("TMUX")
            .env_remove("TMUX_PANE")
            // C-c in the terminal of the caller must not cut a call short.
            .process_group(0)
            .stdin(if with_input { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        spawned.map(Running).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => TmuxError::NoProgram { program: self.program.clone() },
            io::ErrorKind::PermissionDenied => {
                TmuxError::NotPermitted { message: format!("{}: {source}", self.program.display()) }
            }
            _ => TmuxError::NotStarted { program: self.program.clone(), source },
        })
    }

    fn arguments(&self, commands: &[TmuxCommand<'_>]) -> Vec<OsString> {
        // -u: without it tmux replaces everything but ASCII in what it prints.
        let mut arguments = vec!["-u".into(), "-S".into(), self.socket.clone().into_os_string()];
        if let Some(config) = &self.config {
            arguments.extend([OsStr::new("-f").to_owned(), config.clone().into_os_string()]);
        }
        for (index, command) in commands.iter().enumerate() {
            if index > 0 {
                arguments.push(";".into());
            }
            arguments.extend(command.to_vec().iter().map(|argument| literal(argument).into()));
        }
        arguments
    }
}

/// tmux takes a `;` at the end of an argument for the end of the command, unless a backslash
/// stands before it.
fn literal(argument: &str) -> String {
    match argument.strip_suffix(';') {
        Some(rest) => format!("{rest}\\;"),
        None => argument.to_owned(),
    }
}

/// A tmux client that is killed if nobody waits for its end.
struct Running(Child);

struct Finished {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Running {
    /// Feeds and drains the process until it exits; `None` when it has not by the deadline.
    fn finish(mut self, input: Option<&str>, deadline: Duration) -> io::Result<Option<Finished>> {
        let deadline = Instant::now() + deadline;
        if let (Some(mut stdin), Some(input)) = (self.0.stdin.take(), input) {
            let input = input.to_owned();
            // A failed write shows as tmux's own failure.
            thread::Builder::new().spawn(move || stdin.write_all(input.as_bytes()))?;
        }
        let stdout = drain(self.0.stdout.take())?;
        let stderr = drain(self.0.stderr.take())?;
        let (Ok(stdout), Ok(stderr)) = (stdout.recv_deadline(deadline), stderr.recv_deadline(deadline))
        else {
            return Ok(None);
        };
        let (stdout, stderr) = (stdout?, stderr?);
        Ok(self.exit_status(deadline)?.map(|status| Finished { status, stdout, stderr }))
    }

    /// Both pipes are closed, so the process is about to exit: the wait is short.
    fn exit_status(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(EXIT_POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            // Only fails for a process that has exited.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Reads a pipe to its end on a thread of its own, which ends with the pipe's writers.
fn drain(pipe: Option<impl Read + Send + 'static>) -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver) = bounded(1);
    thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes));
        // Nobody listens any more once the deadline has passed.
        let _ = sender.send(read.map(|_| bytes));
    })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn arguments_reach_tmux_literally() {
        let server = TmuxServer::at("/s").with_config("/dev/null");
        let mut first = TmuxCommand::with_name("set-buffer");
        first.push_param("a;").push_param("b\\;").push_param(";").push_param("c;d");
        let second = TmuxCommand::with_name("list-sessions");
        let expect = [
            "-u",
            "-S",
            "/s",
            "-f",
            "/dev/null",
            "set-buffer",
            "a\\;",
            "b\\\\;",
            "\\;",
            "c;d",
            ";",
            "list-sessions",
        ];
        assert_eq!(server.arguments(&[first, second]), expect);
    }

    #[test]
    fn a_missing_program_is_named() {
        let server = TmuxServer::at("/s").with_program("/nonexistent/tmux");
        let error = server.run(&[TmuxCommand::with_name("list-sessions")]).unwrap_err();
        assert!(
            matches!(&error, TmuxError::NoProgram { program } if program == Path::new("/nonexistent/tmux"))
        );
    }

    #[test]
    fn a_program_that_may_not_run_is_not_permitted() {
        let server = TmuxServer::at("/s").with_program("/dev/null");
        let error = server.run(&[TmuxCommand::with_name("list-sessions")]).unwrap_err();
        assert!(matches!(error, TmuxError::NotPermitted { .. }), "{error}");
    }
}
