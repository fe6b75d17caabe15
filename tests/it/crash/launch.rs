//! A start that is killed leaves nothing that nobody knows.

use crate::supervisor::{Supervisor, open, texts};
use crate::support::codex::rollouts;
use crate::support::model::say;
use crate::support::run::Run;
use crate::support::wait::PATIENCE;
use crate::support::{Script, World, wait_for};
use conveyor::fault::Point;

const START: [&str; 7] = ["start-worker", "--name", "w", "--task", "hello", "--timeout-seconds", "120"];

/// Starts a session that nobody registers.
const PLAIN: [&str; 5] = ["start", "codex-w", "hello", "--timeout-seconds", "120"];

/// Starts a worker with a directory of files.
const WORKER: [&str; 6] = ["create", "w", "--task", "hello", "--wait-ready-timeout", "120"];

/// Starts a session; the command is killed at `point`.
fn killed_at(world: &World, point: Point, start: &[&str]) {
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    command.current_dir(world.work_dir("w")).env("CONVEYOR_FAULT", point.name());
    let killed = Run::of(command.args(start), "");
    assert_eq!(killed.status, None, "{}", killed.text());
}

/// Waits until nothing that was started runs.
#[track_caller]
fn nothing_runs(world: &World) {
    let codex = world.bin().join("codex").display().to_string();
    wait_for("the end of what was left behind", PATIENCE, || {
        (!world.processes().iter().any(|process| process.command.contains(&codex))).then_some(())
    });
    world.tmux(&["has-session", "-t", "=codex-w"], "").exits(1);
}

/// Starts that are on record.
fn launches(world: &World) -> usize {
    texts(world, "SELECT id FROM launches").len()
}

/// Long enough has passed for whatever was started to be there.
fn time_passes(world: &World) {
    open(world).execute("UPDATE launches SET begun_at = '2026-01-01T00:00:00.000Z'", []).unwrap();
}

fn start_again(world: &World, start: &[&str]) {
    world.conveyor_in(&world.work_dir("w"), start, "").ok();
    assert_eq!(launches(world), 0);
    wait_for("its rollout", PATIENCE, || rollouts(&world.codex_home()).pop());
}

fn check(start: &[&str]) {
    let world = || World::with_codex(Script::new().on("hello", [say("Hello.")]));

    let planned = world();
    killed_at(&planned, Point::LaunchPlanned, start);
    assert_eq!(launches(&planned), 1);
    // Somebody's terminal that has the name by chance is not ours.
    planned.tmux(&["new-session", "-d", "-s", "codex-w", "cat"], "").ok();
    time_passes(&planned);
    let supervisor = Supervisor::start(&planned);
    wait_for("a sweep", PATIENCE, || (launches(&planned) == 0).then_some(()));
    planned.tmux(&["kill-session", "-t", "=codex-w"], "").ok();
    drop(supervisor.stop());
    start_again(&planned, start);

    let started = world();
    killed_at(&started, Point::LaunchStarted, start);
    assert_eq!((texts(&started, "SELECT name FROM sessions").len(), launches(&started)), (0, 1));
    let supervisor = Supervisor::start(&started);
    nothing_runs(&started);
    drop(supervisor.stop());
    time_passes(&started);
    start_again(&started, start);
}

#[test]
fn a_start_that_is_killed_when_it_is_registered_is_known_and_can_be_told_what_to_do() {
    let world = World::with_codex(Script::new().on("hello", [say("Hello.")]));
    killed_at(&world, Point::LaunchRegistered, &START);
    assert_eq!((texts(&world, "SELECT name FROM sessions"), launches(&world)), (vec!["w".to_owned()], 0));
    world.conveyor(&["session-nudge", "w", "hello"]).ok();
    wait_for("its answer", PATIENCE, || (!world.model().requests().is_empty()).then_some(()));
}

#[test]
fn a_killed_start_on_an_app_server_is_swept_away() {
    check(&START);
}

#[test]
fn a_killed_start_in_a_terminal_is_swept_away() {
    check(&[&START[..], &["--recipe", "embedded"]].concat());
}

#[test]
fn a_killed_start_of_a_session_that_nobody_registers_is_swept_away() {
    check(&PLAIN);
}

#[test]
fn a_killed_start_of_a_worker_with_files_is_swept_away_and_can_be_made_again() {
    let world = || World::with_codex(Script::new().on("hello", [say("Hello.")]));
    for point in [Point::LaunchPlanned, Point::LaunchStarted] {
        let world = world();
        killed_at(&world, point, &WORKER);
        assert_eq!(
            (texts(&world, "SELECT state FROM workers"), launches(&world)),
            (vec!["candidate".to_owned()], 1)
        );
        // The next start sweeps as well.
        time_passes(&world);
        world.conveyor_in(&world.work_dir("w"), &WORKER, "").ok();
        assert_eq!(
            (texts(&world, "SELECT state FROM workers"), launches(&world)),
            (vec!["active".to_owned()], 0)
        );
        world.conveyor(&["stop", "w"]).ok();
        nothing_runs(&world);
    }
}
