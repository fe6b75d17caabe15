//! A task whose closing is killed is closed by doing it again.

use super::{Way, way};
use crate::supervisor::{Supervisor, texts};
use crate::support::World;
use crate::support::rollout::Rollout;
use crate::support::run::Run;
use conveyor::fault::Point;

const FINISH: [&str; 4] = ["finish-task", "t", "--stop-worker", "--stop-manager"];

/// A task with a worker and a manager in terminals.
fn pair(world: &World) {
    world.conveyor(&["tasks", "--create", "t", "--goal", "be closed"]).ok();
    for role in ["worker", "manager"] {
        world.tmux(&["new-session", "-d", "-s", role, "cat"], "").ok();
        let rollout = Rollout::create(&world.codex_home(), &world.work_dir("project")).unwrap();
        let (command, rollout) = (format!("register-{role}"), rollout.path.to_str().unwrap());
        world.conveyor(&[&command, "--name", role, "--codex-session", rollout, "--tmux-session", role]).ok();
    }
    world.conveyor(&["bind", "--task", "t", "--worker", "worker", "--manager", "manager"]).ok();
}

fn run(world: &World, faults: &str) -> Run {
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    command.env("CONVEYOR_FAULT", faults);
    Run::of(command.args(FINISH), "")
}

#[test]
fn a_killed_closing_is_open_until_it_is_done_again() {
    for point in Point::ALL.iter().copied().filter(|point| way(*point) == Way::Closing) {
        for by_supervisor in [false, true] {
            let world = World::new();
            pair(&world);
            let open = texts(&world, "SELECT state FROM tasks");
            if by_supervisor {
                let mut supervisor = Supervisor::suffering(&world, point.name());
                world.conveyor(&FINISH).exits(1);
                assert_eq!(supervisor.ends(), None, "{}", supervisor.said());
            } else {
                let killed = run(&world, point.name());
                assert_eq!(killed.status, None, "{}", killed.text());
            }
            assert_eq!(texts(&world, "SELECT state FROM tasks"), open, "{point:?}");
            let report = world.conveyor(&FINISH).ok().json();
            let ended_before = point == Point::ClosingEnded;
            assert_eq!(report["killed_worker"], !ended_before, "{point:?} {report}");
            assert_eq!(texts(&world, "SELECT state FROM tasks"), ["done"]);
            assert_eq!(texts(&world, "SELECT state FROM sessions"), ["gone", "gone"], "{point:?}");
            assert_eq!(texts(&world, "SELECT state FROM commands ORDER BY rowid"), ["failed", "succeeded"]);
            world.tmux(&["has-session"], "").exits(1);
        }
    }
}
