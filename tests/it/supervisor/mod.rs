//! `conveyor run`, as a process: started, stopped, killed, and with a database that fails it.

mod at_once;
mod crowd;
mod faults;
mod life;

use crate::support::World;
use crate::support::rollout::Rollout;
use crate::support::run::Run;
use crate::support::wait::{PATIENCE, wait_for};
use conveyor::actors::Caller;
use conveyor::actors::wire::{self, Answer, Envelope};
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A supervisor in the foreground of nobody's terminal.
pub(crate) struct Supervisor {
    pub(crate) process: Child,
    said: PathBuf,
}

impl Supervisor {
    /// Starts one and waits until it listens.
    pub(crate) fn start(world: &World) -> Self {
        let supervisor = Self::spawn(world, &mut run(world));
        wait_for("the supervisor", PATIENCE, || UnixStream::connect(socket(world)).ok());
        supervisor
    }

    /// Starts one that suffers `faults`, and waits until it listens.
    pub(crate) fn suffering(world: &World, faults: &str) -> Self {
        let supervisor = Self::spawn(world, run(world).env("CONVEYOR_FAULT", faults));
        wait_for("the supervisor", PATIENCE, || UnixStream::connect(socket(world)).ok());
        supervisor
    }

    pub(crate) fn spawn(world: &World, command: &mut Command) -> Self {
        let said = world.root().join(format!("supervisor-{}", uuid::Uuid::new_v4()));
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = command.stderr(File::create(&said).unwrap()).spawn().unwrap();
        Self { process, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits for its end; gives its exit code, none when a signal ended it.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> Option<i32> {
        wait_for("the end of the supervisor", PATIENCE, || self.process.try_wait().unwrap()).code()
    }

    /// Kills it, which it cannot prepare for.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        assert_eq!(self.ends(), None);
    }

    /// Asks it to end, and waits for it.
    #[track_caller]
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        assert_eq!(self.ends(), Some(0), "{}", self.said());
        self.said()
    }

    /// What it has said on its standard error.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }
}

pub(crate) fn run(world: &World) -> Command {
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    command.arg("run");
    command
}

pub(crate) fn socket(world: &World) -> PathBuf {
    world.state_root().join("run/conveyor.sock")
}

pub(crate) fn database(world: &World) -> PathBuf {
    world.state_root().join("workerctl.db")
}

pub(crate) fn open(world: &World) -> Connection {
    Connection::open(database(world)).unwrap()
}

pub(crate) fn texts(world: &World, sql: &str) -> Vec<String> {
    let database = open(world);
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The supervisor that `run --status` tells of; none when none is alive.
fn status(world: &World) -> Option<Value> {
    let run = world.conveyor(&["run", "--status", "--json"]);
    let alive = run.status == Some(0);
    assert_eq!(run.json()["running"], alive, "{}", run.text());
    alive.then(|| run.json()["supervisor"].clone())
}

pub(crate) fn create(world: &World, task: &str) -> Run {
    world.conveyor(&["tasks", "--create", task, "--goal", "be counted", "--json"])
}

/// A client that keeps its connection.
pub(crate) struct Client {
    stream: UnixStream,
    database: PathBuf,
}

impl Client {
    fn connect(world: &World) -> Self {
        Self::try_connect(world).unwrap()
    }

    /// An error when the supervisor is gone.
    pub(crate) fn try_connect(world: &World) -> io::Result<Self> {
        Ok(Self { stream: UnixStream::connect(socket(world))?, database: database(world) })
    }

    /// Creates a task; an error when the supervisor is gone.
    fn create(&mut self, name: &str, goal: &str) -> io::Result<Answer> {
        self.call("tasks", &json!({"active": false, "create": name, "goal": goal}))
    }

    /// Makes a call; an error when the supervisor is gone.
    pub(crate) fn call(&mut self, call: &str, args: &Value) -> io::Result<Answer> {
        let envelope = Envelope {
            protocol: wire::PROTOCOL,
            version: wire::VERSION.to_owned(),
            database: self.database.clone(),
            caller: Caller::default(),
            request: json!({"call": call, "args": args}),
        };
        wire::send_blocking(&mut self.stream, &envelope)?;
        wire::receive_blocking(&mut self.stream)
    }
}
