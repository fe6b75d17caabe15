//! A worker whose session moves on to other threads while nobody looks.

use super::{StandIn, bind, session, texts};
use crate::support::codex::rollouts;
use crate::support::wait::{PATIENCE, poll};
use crate::support::{Script, Terminal, World, wait_for};
use conveyor::codex::discover::{session_of, system_processes};
use std::path::PathBuf;
use std::time::Duration;

/// Clears the session twice, with a turn in each thread, while no supervisor is alive.
fn check(flags: &str) {
    let world = World::with_codex(Script::new());
    let start = "start-worker --name w1 --timeout-seconds 120";
    let args: Vec<&str> = start.split(' ').chain(flags.split_whitespace()).collect();
    world.conveyor_in(&world.work_dir("w"), &args, "").ok();
    let manager = StandIn::start(&world, "m1");
    manager.register(&world, "manager", "m1");
    bind(&world);

    let terminal = Terminal::of(&world, "codex-w1");
    terminal.shows("Ask Codex");
    terminal.submit("in the first thread");
    have_ended(&world, 1);
    for (ended, prompt) in [(2, "in the second thread"), (3, "in the third thread")] {
        terminal.shows("Ask Codex");
        clear(&world, &terminal);
        terminal.submit(prompt);
        have_ended(&world, ended);
    }
    world.conveyor(&["run", "--detach"]).ok();
    let read = "SELECT DISTINCT f.thread_id FROM turn_facts f ORDER BY f.id";
    let threads = wait_for("three threads", PATIENCE, || {
        Some(texts(&world, read)).filter(|threads| threads.len() == 3)
    });
    assert!(threads.is_sorted(), "one after the other: {threads:?}");
    assert_eq!(session(&world, "w1")["codex_session_id"], threads[2]);
    let told = "SELECT signal_type FROM routed_notifications";
    wait_for("the signals", PATIENCE, || (texts(&world, told) == ["worker_task_complete"; 3]).then_some(()));
    world.conveyor(&["run", "--stop"]).ok();
}

/// Waits until so many turns have completed, in whichever thread. The screen does not tell: a composer is
/// there before its turn has ended, and `/clear` in a turn interrupts it.
fn have_ended(world: &World, turns: usize) {
    let completed = |rollout: &PathBuf| {
        std::fs::read_to_string(rollout).unwrap_or_default().matches("\"task_complete\"").count()
    };
    wait_for("the end of the turn", PATIENCE, || {
        (rollouts(&world.codex_home()).iter().map(completed).sum::<usize>() >= turns).then_some(())
    });
}

/// Types `/clear`, and Enter until the session is in another thread: a starved Codex takes an early
/// Enter for a line break.
fn clear(world: &World, terminal: &Terminal<'_>) {
    let pid = u32::try_from(session(world, "w1")["pid"].as_i64().unwrap()).unwrap();
    let thread = || session_of(&*system_processes(), pid).unwrap().thread_id;
    let before = thread();
    world.tmux(&["send-keys", "-l", "-t", "=codex-w1:", "/clear"], "").ok();
    terminal.shows("/clear");
    wait_for("another thread", PATIENCE, || {
        terminal.press("Enter");
        poll(Duration::from_secs(3), || (thread() != before).then_some(()))
    });
}

#[test]
fn every_thread_of_an_embedded_session_is_read() {
    check("--recipe embedded");
}

#[test]
fn every_thread_of_a_session_on_an_app_server_is_read() {
    check("");
}
