//! A real supervisor in a state root of its own.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use conveyor::actors::paths::Paths;
use conveyor::actors::wire::{self, Answer, Envelope};
use conveyor::actors::{Caller, Request};
use conveyor::codex::rollout::RolloutWriter;
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// Stopped, and its directory removed, when dropped.
pub(crate) struct Supervisor {
    root: TempDir,
    process: Child,
}

impl Supervisor {
    /// Starts one in a new directory below `directory`, and waits until it listens.
    pub(crate) fn start(directory: &Path) -> Self {
        let root = TempDir::with_prefix_in("cv-bench-", directory).unwrap();
        let process = command(root.path(), &["run"]).stderr(Stdio::null()).spawn().unwrap();
        let supervisor = Self { root, process };
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(supervisor.paths().socket()).is_err() {
            assert!(Instant::now() < deadline, "the supervisor did not come up");
            thread::sleep(Duration::from_millis(5));
        }
        supervisor
    }

    /// The directory that everything is in.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    fn paths(&self) -> Paths {
        Paths::of(&state_root(self.root()), None)
    }

    /// conveyor, in this state root.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        command(self.root(), args)
    }

    /// Runs a command that must succeed.
    pub(crate) fn run(&self, args: &[&str]) {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A task with a worker and a manager that polls; gives the worker's rollout.
    pub(crate) fn bind_pair(&self, task: &str) -> RolloutWriter {
        let [worker, manager] = ["worker", "manager"].map(|role| {
            let rollout = RolloutWriter::create(&self.root().join("codex"), self.root()).unwrap();
            let name = format!("{task}-{role}");
            let path = rollout.path.to_str().unwrap();
            self.run(&[&format!("register-{role}"), "--name", &name, "--codex-session", path]);
            (name, rollout)
        });
        self.run(&["tasks", "--create", task, "--goal", "be measured"]);
        self.run(&["bind", "--task", task, "--worker", &worker.0, "--manager", &manager.0]);
        worker.1
    }

    /// A connection that is kept.
    pub(crate) fn connect(&self) -> Client {
        let socket = UnixStream::connect(self.paths().socket()).unwrap();
        Client { socket, database: self.paths().database }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // It may have ended by itself, which the measurement has noticed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn state_root(root: &Path) -> PathBuf {
    root.join("state")
}

fn command(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
    command.args(args).current_dir(root).env("CONVEYOR_STATE_ROOT", state_root(root)).stdin(Stdio::null());
    command
}

/// Calls over one connection.
pub(crate) struct Client {
    socket: UnixStream,
    database: PathBuf,
}

impl Client {
    /// Makes a call that must succeed; gives its reply.
    pub(crate) fn call(&mut self, request: Request) -> Value {
        let envelope = Envelope {
            protocol: wire::PROTOCOL,
            version: wire::VERSION.to_owned(),
            database: self.database.clone(),
            caller: Caller::default(),
            request: serde_json::to_value(request).unwrap(),
        };
        wire::send_blocking(&mut self.socket, &envelope).unwrap();
        match wire::receive_blocking(&mut self.socket).unwrap() {
            Answer::Done { reply, .. } => reply,
            other => panic!("{other:?}"),
        }
    }
}
