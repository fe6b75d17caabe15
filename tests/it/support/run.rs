//! Running a program to its end and looking at what it said.

use super::wait::{PATIENCE, poll};
use regex::{Captures, Regex};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// A finished program.
#[derive(Debug)]
pub(crate) struct Run {
    /// The program's name and its arguments.
    pub(crate) line: String,
    /// The exit code; `None` when a signal ended it.
    pub(crate) status: Option<i32>,
    /// All of its standard output.
    pub(crate) stdout: String,
    /// All of its standard error.
    pub(crate) stderr: String,
}

impl Run {
    /// Runs `command` with `input` on its standard input. Panics when it does not end in time, or
    /// ends but leaves a process behind that holds its output open.
    pub(crate) fn of(command: &mut Command, input: &str) -> Self {
        let line = render(command);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        // A program that reads no input may be gone by now.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let Some(status) = poll(PATIENCE, || child.try_wait().unwrap()) else { abandon(&mut child, &line) };
        let read = |output: Receiver<String>| {
            output.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("`{line}` ended, its output stays open"))
        };
        Self { status: status.code(), stdout: read(stdout), stderr: read(stderr), line }
    }

    /// Panics, showing everything, unless the program exited with 0.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.exits(0)
    }

    /// Panics, showing everything, unless the program exited with `status`.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}", self.text());
        self
    }

    /// The standard output as JSON; panics, showing everything, when it is none.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON: {error}\n{}", self.text()))
    }

    /// The command, its exit code and both outputs.
    pub(crate) fn text(&self) -> String {
        let status = self.status.map_or("by signal".to_owned(), |code| code.to_string());
        let mut text = format!("$ {}\nexit: {status}\n", self.line);
        for (name, output) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !output.is_empty() {
                text += &format!("--- {name}\n{}\n", output.trim_end());
            }
        }
        text
    }

    /// The same with everything that differs from run to run replaced, for a snapshot: paths below
    /// `root` by `[ROOT]`, instants by `[TIME]`, and each distinct UUID by `[ID n]`, so that equal
    /// identifiers stay equal.
    pub(crate) fn snapshot(&self, root: &Path) -> String {
        filtered(&self.text(), root)
    }
}

fn filtered(text: &str, root: &Path) -> String {
    let uuid = Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
    let instant = Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").unwrap();
    let text = text.replace(&root.display().to_string(), "[ROOT]");
    let text = instant.replace_all(&text, "[TIME]");
    let mut known = HashMap::new();
    let number = |found: &Captures<'_>| {
        let next = known.len() + 1;
        format!("[ID {}]", known.entry(found[0].to_owned()).or_insert(next))
    };
    uuid.replace_all(&text, number).into_owned()
}

fn collect(mut output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = output.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

fn abandon(child: &mut Child, line: &str) -> ! {
    let _ = child.kill();
    panic!("`{line}` did not end within {PATIENCE:?}");
}

fn render(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &str) -> Run {
        Run::of(Command::new("sh").args(["-c", script]), input)
    }

    #[test]
    fn a_run_has_both_outputs_and_the_exit_code() {
        let run = shell("cat; echo oops >&2; exit 3", "fed").exits(3);
        assert_eq!(
            run.text(),
            "$ sh -c cat; echo oops >&2; exit 3\nexit: 3\n--- stdout\nfed\n--- stderr\noops\n"
        );
        assert_eq!(shell(r#"echo '{"a": 1}'"#, "").ok().json()["a"], 1);
        assert_eq!(shell("kill -9 $$", "").status, None);
    }

    #[test]
    #[should_panic(expected = "exit: 1")]
    fn a_failed_run_is_not_ok() {
        shell("exit 1", "").ok();
    }

    #[test]
    fn a_snapshot_keeps_which_identifiers_are_equal() {
        let (a, b) = ("0a1b2c3d-0000-4000-8000-000000000001", "0a1b2c3d-0000-4000-8000-000000000002");
        let text = format!("task-{a} in /tmp/w/x at 2026-01-02T03:04:05.678Z; {b}; task-{a}");
        let expect = "task-[ID 1] in [ROOT]/x at [TIME]; [ID 2]; task-[ID 1]";
        assert_eq!(filtered(&text, Path::new("/tmp/w")), expect);
    }
}
