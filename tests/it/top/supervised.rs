//! The live view while a supervisor serves its calls.

use super::View;
use crate::supervisor::Supervisor;
use crate::support::model::{hold, say};
use crate::support::rollout::Rollout;
use crate::support::wait::PATIENCE;
use crate::support::{Script, World, wait_for};
use rustix::process::Signal;
use std::fs;
use std::path::PathBuf;

/// Task `t1` with worker `w1`, in a terminal of nobody, and manager `m1`, without one.
fn pair_by_hand() -> World {
    let world = World::new();
    world.tmux(&["new-session", "-d", "-s", "codex-w1", "cat"], "").ok();
    let pid = std::process::id().to_string();
    for (role, name, terminal) in
        [("worker", "w1", &["--tmux-session", "codex-w1"][..]), ("manager", "m1", &[])]
    {
        let rollout = Rollout::create(&world.codex_home(), &world.work_dir("project")).unwrap();
        let register = format!("register-{role}");
        let found = ["--name", name, "--pid", &pid, "--codex-session", rollout.path.to_str().unwrap()];
        world.conveyor(&[&[&*register], &found[..], terminal].concat()).ok();
    }
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    world.conveyor(&["bind", "--task", "t1", "--worker", "w1", "--manager", "m1"]).ok();
    world
}

/// Makes tmux hang when somebody looks into the worker's pane.
fn hold_tmux(world: &World) -> Held {
    let pane = world.tmux(&["display-message", "-p", "-t", "=codex-w1:", "#{pane_id}"], "").ok().stdout;
    let (held, released) = (world.root().join("held"), world.root().join("released"));
    world.before_tmux(&format!(
        "case \"$*\" in *{}*) touch {}; while [ ! -e {} ]; do sleep 0.05; done;; esac",
        pane.trim_end(),
        held.display(),
        released.display(),
    ));
    Held { held, released }
}

/// What a held tmux is seen by, and released with.
struct Held {
    held: PathBuf,
    released: PathBuf,
}

#[test]
fn a_pair_of_real_sessions_is_acted_on() {
    let script = Script::new()
        .on("long story", [hold("the story"), say("The end.")])
        .on("", [say("I have heard it.")]);
    let world = World::with_codex(script);
    let pair = "pair --task t1 --worker-name w1 --manager-name m1 --timeout-seconds 60 --json --task-goal x";
    world.conveyor_in(&world.work_dir("project"), &pair.split(' ').collect::<Vec<_>>(), "").ok();
    let view = View::open(&world);
    view.shows("1 pair, supervised");

    view.press(&["c"]);
    view.shows("cycle 1 of t1: the worker is unknown");
    view.send("w1", "Tell a long story");
    view.shows("sent to w1");
    view.shows("busy");
    view.press(&["i"]);
    view.shows("interrupt w1? y/n");
    view.press(&["y"]);
    view.shows("w1 was interrupted");
    view.shows("interrupted  m1");

    view.press(&["Enter"]);
    view.shows("Tell a long story");
    world.tmux(&["detach-client", "-s", "=codex-w1"], "").ok();
    view.shows("back from codex-w1");
    view.shows("1 pair, supervised");

    view.press(&["C-c"]);
    view.has_ended();

    world.conveyor(&["finish-task", "t1", "--reason", "seen", "--stop-worker", "--stop-manager"]).ok();
    world.conveyor(&["run", "--stop"]).ok();
}

#[test]
fn the_view_stays_alive_while_a_text_is_pushed() {
    let world = pair_by_hand();
    let supervisor = Supervisor::start(&world);
    let held = hold_tmux(&world);
    let view = View::open(&world);
    view.shows("1 pair, supervised");
    view.send("w1", "hello");
    view.shows("sending to w1 ...");
    wait_for("the push", PATIENCE, || held.held.exists().then_some(()));
    view.press(&["Tab"]);
    view.shows("manager m1: unknown");
    view.press(&["q"]);
    view.shows("end before it is known how that goes? y/n");
    view.press(&["n"]);
    view.shows("q quit");
    fs::write(&held.released, "").unwrap();
    view.shows("sent to w1");
    view.shows_no_more("sending to w1 ...");
    view.press(&["q"]);
    view.has_ended();
    supervisor.stop();
}

#[test]
fn a_supervisor_that_dies_is_told_of_and_found_again() {
    let world = pair_by_hand();
    let mut supervisor = Supervisor::start(&world);
    let held = hold_tmux(&world);
    let view = View::open(&world);
    view.shows("1 pair, supervised");
    view.send("w1", "hello");
    wait_for("the push", PATIENCE, || held.held.exists().then_some(()));
    supervisor.kill();
    view.shows("the supervisor went away before it answered");
    view.shows("1 pair, no supervisor");
    fs::write(&held.released, "").unwrap();
    let supervisor = Supervisor::start(&world);
    view.shows("1 pair, supervised");
    view.press(&["C-c"]);
    view.has_ended();
    supervisor.stop();
}

#[test]
fn a_supervisor_that_does_not_answer_is_told_of() {
    let world = pair_by_hand();
    let supervisor = Supervisor::start(&world);
    let view = View::open(&world);
    view.shows("1 pair, supervised");
    supervisor.signal(Signal::STOP);
    view.shows("not up to date: no answer for");
    view.press(&["Tab"]);
    view.shows("manager m1: unknown");
    supervisor.signal(Signal::CONT);
    view.shows("1 pair, supervised");
    view.press(&["q"]);
    view.has_ended();
    supervisor.stop();
}
