//! The supervision contract as people and sessions meet it: reviews, compaction, refusals, and a
//! manager that holds its worker to it.

mod compaction;
mod refusals;
mod reviewer;
mod story;

use crate::support::rollout::Rollout;
use crate::support::wait::PATIENCE;
use crate::support::{World, wait_for};
use rusqlite::Connection;
use std::path::Path;

#[test]
fn a_person_is_asked_for_the_contract_in_a_terminal() {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    let ask = format!("exec {} manager-config t1 --interactive", env!("CARGO_BIN_EXE_conveyor"));
    world.tmux(&["new-session", "-d", "-s", "ask", &ask], "").ok();
    wait_for("the first question", PATIENCE, || world.pane("=ask:").contains("\n>").then_some(()));
    // The mode and the objective; everything else is left as it is.
    let answers = ["strict", "Enter", "be careful", "Enter"];
    let target = ["send-keys", "-t", "=ask:"];
    world.tmux(&[&target[..], &answers, &["Enter"; 8]].concat(), "").ok();
    wait_for("the contract", PATIENCE, || {
        let recorded = texts(&world, "SELECT supervision_mode || ': ' || objective FROM manager_configs");
        (recorded == ["strict: be careful"]).then_some(())
    });
}

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
