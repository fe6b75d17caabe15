//! State roots, and real supervisors in them.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use conveyor::actors::calls::bindings::BindArgs;
use conveyor::actors::calls::registration::{RegisterManagerArgs, RegisterWorkerArgs, RegistrationArgs};
use conveyor::actors::calls::tasks::TasksArgs;
use conveyor::actors::paths::Paths;
use conveyor::actors::wire::{self, Answer, Envelope};
use conveyor::actors::{Caller, Request};
use conveyor::codex::rollout::RolloutWriter;
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with a state root, and everything else that is made. Removed when dropped.
pub(crate) struct StateRoot(TempDir);

impl StateRoot {
    /// A new one below `directory`.
    pub(crate) fn new(directory: &Path) -> Self {
        Self(TempDir::with_prefix_in("cv-bench-", directory).unwrap())
    }

    /// The directory that everything is in.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.paths().database
    }

    fn paths(&self) -> Paths {
        Paths::of(&self.path().join("state"), None)
    }

    /// conveyor, in this state root.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
        let state_root = self.path().join("state");
        command
            .args(args)
            .current_dir(self.path())
            .env("CONVEYOR_STATE_ROOT", state_root)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed; gives what it printed.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The rollout of a new Codex session.
    pub(crate) fn rollout(&self) -> RolloutWriter {
        RolloutWriter::create(&self.path().join("codex"), self.path()).unwrap()
    }
}

/// A supervisor of a state root.
pub(crate) struct Supervisor {
    process: Running,
    pub(crate) root: StateRoot,
}

impl Supervisor {
    /// Starts one, and waits until it listens.
    pub(crate) fn start(root: StateRoot) -> Self {
        let process = root.command(&["run"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let supervisor = Self { process: Running(process), root };
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(supervisor.root.paths().socket()).is_err() {
            assert!(Instant::now() < deadline, "the supervisor did not come up");
            thread::sleep(Duration::from_millis(5));
        }
        supervisor
    }

    /// Stops it; the state root stays.
    pub(crate) fn stop(self) -> StateRoot {
        self.root
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// A task with a worker and a manager that polls; gives the worker's rollout.
    pub(crate) fn bind_pair(&self, task: &str) -> RolloutWriter {
        let mut client = self.connect();
        let (worker, manager) = (format!("{task}-worker"), format!("{task}-manager"));
        let rollout = self.root.rollout();
        let session = registration(&worker, &rollout);
        client.call(RegisterWorkerArgs { session });
        let session = registration(&manager, &self.root.rollout());
        client.call(RegisterManagerArgs { session });
        let goal = Some("be measured".to_owned());
        client.call(TasksArgs { active: false, create: Some(task.to_owned()), goal, summary: None });
        client.call(BindArgs { task: task.to_owned(), worker, manager });
        rollout
    }

    /// A connection that is kept.
    pub(crate) fn connect(&self) -> Client {
        let socket = UnixStream::connect(self.root.paths().socket()).unwrap();
        Client { socket, database: self.root.database() }
    }
}

fn registration(name: &str, rollout: &RolloutWriter) -> RegistrationArgs {
    RegistrationArgs {
        name: name.to_owned(),
        pid: None,
        codex_session: Some(rollout.path.clone()),
        cwd: None,
        tmux_session: None,
        transport: Vec::new(),
    }
}

/// Killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which the measurement has noticed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Calls over one connection.
pub(crate) struct Client {
    socket: UnixStream,
    database: PathBuf,
}

impl Client {
    /// Makes a call that must succeed; gives its reply.
    pub(crate) fn call(&mut self, request: impl Into<Request>) -> Value {
        let envelope = Envelope {
            protocol: wire::PROTOCOL,
            version: wire::VERSION.to_owned(),
            database: self.database.clone(),
            caller: Caller::default(),
            request: serde_json::to_value(request.into()).unwrap(),
        };
        wire::send_blocking(&mut self.socket, &envelope).unwrap();
        match wire::receive_blocking(&mut self.socket).unwrap() {
            Answer::Done { reply, .. } => reply,
            other => panic!("{other:?}"),
        }
    }
}
