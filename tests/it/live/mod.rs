//! Sessions that die, wait and are waited for, with real processes.

mod approvals;
mod exits;
mod follow;
mod idle;
mod real;
mod unreadable;
mod wait;

use crate::support::rollout::Rollout;
use crate::support::wait::PATIENCE;
use crate::support::{World, wait_for};
use rusqlite::Connection;
use serde_json::Value;
use std::process::{Child, Stdio};

/// A process that has a rollout open, as a Codex without a terminal has.
struct StandIn {
    rollout: Rollout,
    process: Child,
}

impl StandIn {
    fn start(world: &World, name: &str) -> Self {
        let rollout = Rollout::create(&world.codex_home(), world.root()).unwrap();
        let ready = world.root().join(format!("{name}-is-ready"));
        let mut command = world.command("/bin/sh");
        let script = "exec 3>> \"$0\"; touch \"$1\"; exec sleep 1000";
        let process =
            command.args(["-c", script]).arg(&rollout.path).arg(&ready).stdin(Stdio::null()).spawn().unwrap();
        wait_for("the stand-in", PATIENCE, || ready.exists().then_some(()));
        Self { rollout, process }
    }

    fn register(&self, world: &World, role: &str, name: &str) {
        let (pid, register) = (self.process.id().to_string(), format!("register-{role}"));
        world.conveyor(&[&register, "--name", name, "--pid", &pid]).ok();
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Task `t1` with worker `w1` and manager `m1`, both stand-ins.
struct Pair {
    worker: StandIn,
    manager: StandIn,
    world: World,
}

impl Pair {
    fn new() -> Self {
        let world = World::new();
        let (worker, manager) = (StandIn::start(&world, "w1"), StandIn::start(&world, "m1"));
        worker.register(&world, "worker", "w1");
        manager.register(&world, "manager", "m1");
        bind(&world);
        Self { worker, manager, world }
    }
}

/// Binds `w1` and `m1` to a new task `t1`.
fn bind(world: &World) {
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    world.conveyor(&["bind", "--task", "t1", "--worker", "w1", "--manager", "m1"]).ok();
}

/// The rows of a query with one text column.
fn texts(world: &World, sql: &str) -> Vec<String> {
    let database = Connection::open(world.state_root().join("workerctl.db")).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// What `sessions` says of one session.
fn session(world: &World, name: &str) -> Value {
    world.conveyor(&["sessions", "--name", name]).ok().json()[0].take()
}

/// The signals in a manager's inbox, oldest first.
fn signals(world: &World) -> Vec<String> {
    let inbox = world.conveyor(&["manager-inbox", "t1", "--json"]).ok().json();
    let items = inbox["items"].as_array().unwrap();
    items.iter().map(|item| item["signal_type"].as_str().unwrap().to_owned()).collect()
}
