//! A worker whose session moves on to other threads while nobody looks.

use super::{StandIn, bind, session, signals, texts};
use crate::support::codex::rollouts;
use crate::support::model::{run, say};
use crate::support::wait::{PATIENCE, poll};
use crate::support::{Script, Terminal, World, wait_for};
use conveyor::codex::discover::{session_of, system_processes};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// A task with a real worker, which no supervisor follows, and a manager.
struct Pair {
    _manager: StandIn,
    world: World,
}

impl Pair {
    fn start(flags: &str) -> Self {
        let world = World::with_codex(Script::new());
        let start = "start-worker --name w1 --timeout-seconds 120";
        let args: Vec<&str> = start.split(' ').chain(flags.split_whitespace()).collect();
        world.conveyor_in(&world.work_dir("w"), &args, "").ok();
        let manager = StandIn::start(&world, "m1");
        manager.register(&world, "manager", "m1");
        bind(&world);
        Self { _manager: manager, world }
    }

    /// Gives the worker a first turn, and others in a thread of their own each.
    fn works(&self, more_threads: usize) {
        let terminal = Terminal::of(&self.world, "codex-w1");
        terminal.shows("Ask Codex");
        terminal.submit("in the first thread");
        have_ended(&self.world, 1);
        for (before, prompt) in
            ["in the second thread", "in the third thread"][..more_threads].iter().enumerate()
        {
            self.clears();
            terminal.submit(prompt);
            have_ended(&self.world, before + 2);
        }
    }

    fn clears(&self) {
        clear(&self.world, "w1");
    }

    /// The ends of the worker's turns that are on record, by thread.
    fn turns(&self) -> Vec<String> {
        texts(&self.world, "SELECT thread_id FROM turn_facts ORDER BY id")
    }
}

/// Clears the session twice, with a turn in each thread, while no supervisor is alive.
fn check(flags: &str) {
    let pair = Pair::start(flags);
    pair.works(2);
    let world = &pair.world;
    world.conveyor(&["run", "--detach"]).ok();
    let read = "SELECT DISTINCT f.thread_id FROM turn_facts f ORDER BY f.id";
    let threads =
        wait_for("three threads", PATIENCE, || Some(texts(world, read)).filter(|threads| threads.len() == 3));
    assert!(threads.is_sorted(), "one after the other: {threads:?}");
    assert_eq!(session(world, "w1")["codex_session_id"], threads[2]);
    let told = "SELECT signal_type FROM routed_notifications";
    wait_for("the signals", PATIENCE, || (texts(world, told) == ["worker_task_complete"; 3]).then_some(()));
    world.conveyor(&["run", "--stop"]).ok();
}

#[test]
fn a_thread_that_was_begun_before_the_supervisor_is_followed() {
    let pair = Pair::start("");
    pair.works(0);
    pair.clears();
    pair.world.conveyor(&["run", "--detach"]).ok();
    let first = wait_for("the first turn", PATIENCE, || pair.turns().pop());
    let moved = || (session(&pair.world, "w1")["codex_session_id"] != *first).then_some(());
    wait_for("the other thread", PATIENCE, moved);
    Terminal::of(&pair.world, "codex-w1").submit("in the second thread");
    wait_for("the second turn", PATIENCE, || (pair.turns().len() == 2).then_some(()));
    pair.world.conveyor(&["run", "--stop"]).ok();
}

/// Waits until so many turns have completed, in whichever thread. The screen does not tell: a composer is
/// there before its turn has ended, and `/clear` in a turn interrupts it.
fn have_ended(world: &World, turns: usize) {
    let completed = |rollout: &PathBuf| {
        fs::read_to_string(rollout).unwrap_or_default().matches("\"task_complete\"").count()
    };
    wait_for("the end of the turn", PATIENCE, || {
        (rollouts(&world.codex_home()).iter().map(completed).sum::<usize>() >= turns).then_some(())
    });
}

/// Types `/clear`, and Enter until the session is in another thread: a starved Codex takes an early
/// Enter for a line break.
fn clear(world: &World, name: &str) {
    let target = format!("codex-{name}");
    let terminal = Terminal::of(world, &target);
    terminal.shows("Ask Codex");
    let pid = u32::try_from(session(world, name)["pid"].as_i64().unwrap()).unwrap();
    let thread = || session_of(&*system_processes(), pid).unwrap().thread_id;
    let before = thread();
    world.tmux(&["send-keys", "-l", "-t", &format!("={target}:"), "/clear"], "").ok();
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

/// Ends a worker that went through so many more threads, without a supervisor.
fn check_stopped(flags: &str, more_threads: usize) {
    let pair = Pair::start(flags);
    pair.works(more_threads);
    pair.world.conveyor(&["stop", "w1"]).ok();
    pair.world.conveyor(&["dispatch", "--once"]).ok();
    assert_eq!(signals(&pair.world), vec!["worker_task_complete"; more_threads + 1]);
}

#[test]
fn an_embedded_session_that_is_ended_is_read_to_its_end_although_nobody_followed_it() {
    check_stopped("--recipe embedded", 0);
    check_stopped("--recipe embedded", 1);
}

#[test]
fn a_session_on_an_app_server_that_is_ended_is_read_to_its_end_although_nobody_followed_it() {
    check_stopped("", 1);
}

#[test]
fn a_task_that_is_finished_has_every_turn_of_the_worker_that_ends_with_it() {
    let pair = Pair::start("--recipe embedded");
    pair.works(1);
    pair.world.conveyor(&["finish-task", "t1", "--stop-worker"]).ok();
    assert_eq!(pair.turns().len(), 2);
}

/// Looks at a worker that went on to other threads, and tells it something, without a supervisor.
fn check_unsupervised(flags: &str) {
    let pair = Pair::start(flags);
    let world = &pair.world;
    pair.works(1);
    let wait = |since: &str| {
        let wait =
            ["wait", "--for", "turn-end", "--session", "w1", "--timeout", "0", "--json", "--since", since];
        world.conveyor(&wait).exits(3).json()["cursor"].to_string()
    };
    let cursor = wait("now");
    let cycle = world.conveyor(&["cycle", "t1"]).ok().json();
    assert_eq!(pair.turns().len(), 2);
    let newest = pair.turns().remove(1);
    assert_eq!(session(world, "w1")["codex_session_id"], newest);
    assert_eq!((&cycle["state"], &cycle["last_turn"]["outcome"]), (&json!("idle"), &json!("completed")));
    // Both had ended before the first wait.
    assert_eq!(wait(&cursor), cursor);

    pair.clears();
    world.conveyor(&["session-nudge", "w1", "and one more"]).ok();
    have_ended(world, 3);
    world.conveyor(&["ingest", "w1"]).ok();
    let turns = pair.turns();
    assert_eq!(turns.len(), 3);
    assert!(turns[2] > newest, "it was told in the thread that it is in: {turns:?}");
    let deliveries = world.conveyor(&["deliveries", "--session", "w1", "--json"]).ok().json();
    assert_eq!(deliveries[0]["state"], "observed", "{deliveries}");
}

#[test]
fn an_embedded_session_is_seen_and_told_things_in_the_thread_it_is_in_without_a_supervisor() {
    check_unsupervised("--recipe embedded");
}

#[test]
fn a_session_on_an_app_server_is_seen_and_told_things_in_the_thread_it_is_in_without_a_supervisor() {
    check_unsupervised("");
}

#[test]
fn a_manager_that_went_on_to_another_thread_and_ends_its_task_is_ended_after_that_is_on_record() {
    let finish = format!("{} finish-task t1 --stop-manager > finished.json", env!("CARGO_BIN_EXE_conveyor"));
    let world = World::with_codex(Script::new().on("finish it", [run(&finish), say("done")]));
    let directory = world.work_dir("m");
    // The thread that it clears into has the settings of its Codex home.
    let config = world.codex_home().join("config.toml");
    let settings = "sandbox_mode = \"danger-full-access\"\napproval_policy = \"never\"\n";
    fs::write(&config, format!("{settings}{}", fs::read_to_string(&config).unwrap())).unwrap();
    let start = ["start-manager", "--name", "m1", "--timeout-seconds", "120"];
    world.conveyor_in(&directory, &start, "").ok();
    let worker = StandIn::start(&world, "w1");
    worker.register(&world, "worker", "w1");
    bind(&world);
    let terminal = Terminal::of(&world, "codex-m1");
    terminal.shows("Ask Codex");
    terminal.submit("say something");
    have_ended(&world, 1);
    clear(&world, "m1");
    terminal.submit("finish it");
    let ended = || world.tmux(&["has-session", "-t", "=codex-m1"], "").status == Some(1);
    wait_for("the manager's end", PATIENCE, || ended().then_some(()));
    assert_eq!(texts(&world, "SELECT state FROM tasks"), ["done"]);
    assert_eq!(texts(&world, "SELECT state FROM commands WHERE type = 'finish_task'"), ["succeeded"]);
}

#[test]
fn texts_that_two_processes_type_at_once_are_two_messages() {
    let pair = Pair::start("--recipe embedded --transport tmux");
    Terminal::of(&pair.world, "codex-w1").shows("Ask Codex");
    let world = &pair.world;
    thread::scope(|both| {
        for text in ["one of two", "the other of two"] {
            both.spawn(move || world.conveyor(&["session-nudge", "w1", text]).ok());
        }
    });
    wait_for("both receipts", PATIENCE, || {
        // Its rollout comes with the first turn.
        world.conveyor(&["ingest", "w1"]);
        (texts(world, "SELECT state FROM deliveries") == ["observed"; 2]).then_some(())
    });
}
