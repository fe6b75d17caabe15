//! The supervision contract as people and sessions meet it: reviews, compaction, refusals, and a
//! manager that holds its worker to it.

mod compaction;
mod refusals;
mod reviewer;
mod story;

use crate::support::World;
use crate::support::rollout::Rollout;
use rusqlite::Connection;
use std::path::Path;

/// Task `t1` with worker `w1` and manager `m1`, which have a rollout each and no terminal.
fn bound(world: &World) -> [Rollout; 2] {
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    let directory = world.work_dir("project");
    let rollouts = [(); 2].map(|()| Rollout::create(&world.codex_home(), &directory).unwrap());
    for (rollout, (role, name)) in rollouts.iter().zip([("worker", "w1"), ("manager", "m1")]) {
        register(world, role, name, &rollout.path);
    }
    world.conveyor(&["bind", "--task", "t1", "--worker", "w1", "--manager", "m1"]).ok();
    rollouts
}

fn register(world: &World, role: &str, name: &str, rollout: &Path) {
    let (command, pid) = (format!("register-{role}"), std::process::id().to_string());
    let rollout = rollout.to_str().unwrap();
    world.conveyor(&[&command, "--name", name, "--pid", &pid, "--codex-session", rollout]).ok();
}

/// The rows of a query with one text column.
fn texts(world: &World, sql: &str) -> Vec<String> {
    let database = Connection::open(world.state_root().join("workerctl.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}
