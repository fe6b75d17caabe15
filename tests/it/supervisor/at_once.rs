//! The supervisor notices what other processes write to the database, and to rollouts, without
//! being told.

use super::*;
use std::time::{Duration, Instant};

/// Well under the periodic sweeps, which would find it too.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Attempts at being noticed that soon, on a machine that may be busy with other things.
const ATTEMPTS: usize = 10;

/// A worker and a manager without terminals, registered and bound by somebody who knows of no
/// supervisor; gives the worker's rollout.
pub(super) fn bind_pair(world: &World, task: &str) -> Rollout {
    let directory = world.work_dir("project");
    let command = |args: &[&str]| drop(foreign(world, args).ok());
    let register = |role: &str| {
        let rollout = Rollout::create(&world.codex_home(), &directory).unwrap();
        let name = format!("{task}-{role}");
        let path = rollout.path.to_str().unwrap();
        command(&[&format!("register-{role}"), "--name", &name, "--codex-session", path]);
        (name, rollout)
    };
    let ((worker, rollout), (manager, _)) = (register("worker"), register("manager"));
    command(&["tasks", "--create", task, "--goal", "be noticed"]);
    command(&["bind", "--task", task, "--worker", &worker, "--manager", &manager]);
    rollout
}

/// Runs a command as somebody who knows of no supervisor, but of the database.
fn foreign(world: &World, args: &[&str]) -> Run {
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    command.env("CONVEYOR_STATE_ROOT", world.root().join("elsewhere"));
    Run::of(command.args(["--path", database(world).to_str().unwrap()]).args(args), "")
}

/// Holds when `act` is followed by the query that it gives finding a row within [`AT_ONCE`], in one of the
/// attempts.
///
/// The first counts for nothing: a sweep may have been due. If it was a sweep that found it, the next one
/// is a whole interval away.
#[track_caller]
fn noticed_at_once(world: &World, what: &str, mut act: impl FnMut(&str) -> String) {
    let mut time = |attempt: usize| {
        let sql = act(&format!("t{attempt}"));
        let begun = Instant::now();
        wait_for(what, PATIENCE, || (!texts(world, &sql).is_empty()).then_some(()));
        begun.elapsed()
    };
    let mut times = vec![time(0)];
    while times[1..].iter().all(|time| *time >= AT_ONCE) {
        assert!(times.len() <= ATTEMPTS, "{what}: {times:?}");
        times.push(time(times.len()));
    }
}

#[test]
fn a_pair_that_another_process_registered_and_bound_is_followed() {
    let world = World::new();
    let _supervisor = Supervisor::start(&world);
    noticed_at_once(&world, "a completed turn", |task| {
        let mut worker = bind_pair(&world, task);
        worker.begin("do it").unwrap();
        worker.complete("done").unwrap();
        format!(
            "SELECT n.state FROM routed_notifications n JOIN tasks t ON t.id = n.task_id
             WHERE t.name = '{task}' AND n.state = 'delivered'"
        )
    });
}

#[test]
fn a_turn_that_completed_before_its_binding_is_routed_after_it() {
    let world = World::new();
    let _supervisor = Supervisor::start(&world);
    let mut worker = bind_pair(&world, "t0");
    foreign(&world, &["unbind", "--task", "t0"]).ok();
    worker.begin("do it").unwrap();
    worker.complete("done").unwrap();
    foreign(&world, &["bind", "--task", "t0", "--worker", "t0-worker", "--manager", "t0-manager"]).ok();
    wait_for("the fact", PATIENCE, || {
        (texts(&world, "SELECT state FROM routed_notifications") == ["delivered"]).then_some(())
    });
}

#[test]
fn a_command_that_another_process_queued_is_carried_out() {
    let world = World::new();
    let _supervisor = Supervisor::start(&world);
    bind_pair(&world, "t");
    noticed_at_once(&world, "a queued command", |attempt| {
        let key = ["--idempotency-key", attempt, "--message", "go on"];
        foreign(&world, &[&["enqueue-nudge-worker", "t"][..], &key].concat()).ok();
        format!("SELECT id FROM commands WHERE idempotency_key = '{attempt}' AND state = 'succeeded'")
    });
}

#[test]
fn a_reader_that_waits_gets_what_another_process_delivers() {
    let world = World::new();
    let _supervisor = Supervisor::start(&world);
    bind_pair(&world, "t");
    let mut reader = world.command(env!("CARGO_BIN_EXE_conveyor"));
    reader.args(["worker-inbox", "t", "--consume-next", "--wait", "--timeout", "3600", "--interval", "3600"]);
    let reader = std::thread::scope(|scope| {
        let reader = scope.spawn(|| Run::of(reader.arg("--json"), ""));
        foreign(&world, &["enqueue-nudge-worker", "t", "--message", "go on"]).ok();
        reader.join().unwrap().ok().json()
    });
    assert_eq!(reader["consumed"]["payload"]["message"], "go on");
}
