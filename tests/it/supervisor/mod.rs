//! `conveyor run`, as a process: started, stopped, killed, and with a database that fails it.

mod at_once;
mod crowd;
mod faults;
mod life;

use crate::support::World;
use crate::support::rollout::Rollout;
use crate::support::run::Run;
use crate::support::wait::{PATIENCE, wait_for};
use conveyor::actors::calls::tasks::TasksArgs;
use conveyor::actors::wire::{self, Answer, Envelope};
use conveyor::actors::{Caller, Request};
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A supervisor in the foreground of nobody's terminal.
struct Supervisor {
    process: Child,
    said: PathBuf,
}

impl Supervisor {
    /// Starts one and waits until it listens.
    fn start(world: &World) -> Self {
        let supervisor = Self::spawn(world, &mut run(world));
        wait_for("the supervisor", PATIENCE, || UnixStream::connect(socket(world)).ok());
        supervisor
    }

    fn spawn(world: &World, command: &mut Command) -> Self {
        let said = world.root().join(format!("supervisor-{}", uuid::Uuid::new_v4()));
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = command.stderr(File::create(&said).unwrap()).spawn().unwrap();
        Self { process, said }
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits for its end; gives its exit code, none when a signal ended it.
    #[track_caller]
    fn ends(&mut self) -> Option<i32> {
        wait_for("the end of the supervisor", PATIENCE, || self.process.try_wait().unwrap()).code()
    }

    /// Kills it, which it cannot prepare for.
    fn kill(&mut self) {
        self.signal(Signal::KILL);
        assert_eq!(self.ends(), None);
    }

    /// What it has said on its standard error.
    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }
}

fn run(world: &World) -> Command {
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    command.arg("run");
    command
}

fn socket(world: &World) -> PathBuf {
    world.state_root().join("run/conveyor.sock")
}

fn database(world: &World) -> PathBuf {
    world.state_root().join("workerctl.db")
}

fn open(world: &World) -> Connection {
    Connection::open(database(world)).unwrap()
}

fn texts(world: &World, sql: &str) -> Vec<String> {
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

fn create(world: &World, task: &str) -> Run {
    world.conveyor(&["tasks", "--create", task, "--goal", "be counted", "--json"])
}

/// A client that keeps its connection.
struct Client {
    stream: UnixStream,
    database: PathBuf,
}

impl Client {
    fn connect(world: &World) -> Self {
        Self { stream: UnixStream::connect(socket(world)).unwrap(), database: database(world) }
    }

    /// Creates a task; an error when the supervisor is gone.
    fn create(&mut self, name: &str, goal: &str) -> io::Result<Answer> {
        let (name, goal) = (Some(name.to_owned()), Some(goal.to_owned()));
        let call = TasksArgs { active: false, create: name, goal, summary: None };
        let envelope = Envelope {
            protocol: wire::PROTOCOL,
            version: wire::VERSION.to_owned(),
            database: self.database.clone(),
            caller: Caller::default(),
            request: serde_json::to_value(Request::from(call)).unwrap(),
        };
        wire::send_blocking(&mut self.stream, &envelope)?;
        wire::receive_blocking(&mut self.stream)
    }
}
