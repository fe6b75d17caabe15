//! Finding a session by its process, where no Codex is needed.

use crate::support::rollout::Rollout;
use crate::support::wait::PATIENCE;
use crate::support::{World, wait_for};
use conveyor::codex::discover::{
    DiscoverError, Lsof, ProcessTable, rollouts_open_by, session_of, system_processes,
};
use std::process::{Child, Command};

/// A process that keeps `rollout` open and has started another one.
fn stand_in(world: &World, rollout: &Rollout) -> Child {
    let script = "exec 3>> \"$0\"; touch \"$1\"; sleep 1000 & wait";
    let ready = world.root().join("ready");
    let mut command: Command = world.command("/bin/sh");
    let child = command.args(["-c", script]).arg(&rollout.path).arg(&ready).spawn().unwrap();
    wait_for("the stand-in", PATIENCE, || ready.exists().then_some(()));
    child
}

#[test]
fn a_process_with_an_open_rollout_is_a_session() {
    let world = World::new();
    let rollout = Rollout::create(&world.codex_home(), world.root()).unwrap();
    let mut child = stand_in(&world, &rollout);
    let system = system_processes();
    for processes in [&*system, &Lsof as &dyn ProcessTable] {
        let found = session_of(processes, child.id()).unwrap();
        assert_eq!((found.thread_id, found.rollout), (rollout.thread.clone(), Some(rollout.path.clone())));
        let after_it_began = Some(jiff::Timestamp::now());
        assert_eq!(rollouts_open_by(processes, child.id(), after_it_began).unwrap(), []);
    }
    drop(world);
    child.wait().unwrap();
    assert!(matches!(session_of(&*system, child.id()), Err(DiscoverError::Process(_))));
}
