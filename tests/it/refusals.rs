//! What is refused, and that each refusal names its object and what to try next.

use crate::codex::program;
use crate::support::rollout::Rollout;
use crate::support::{World, wait_for};
use conveyor::domain::shell::quoted;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// A world with task `t1`, and worker `w1` in a tmux session whose program has exited.
fn world() -> World {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    let rollout = Rollout::create(&world.codex_home(), world.root()).unwrap();
    let pane = ["new-session", "-d", "-s", "dead", "-x", "80", "-y", "24", "exec sleep 1000"];
    world.tmux(&[&pane[..], &[";", "set-option", "-p", "remain-on-exit", "on"]].concat(), "").ok();
    world.tmux(&["respawn-pane", "-k", "-t", "=dead:", "exit 3"], "").ok();
    let register = ["register-worker", "--name", "w1", "--tmux-session", "dead", "--codex-session"];
    world.conveyor(&[&register[..], &[rollout.path.to_str().unwrap()]].concat()).ok();
    world
}

#[test]
fn every_refusal_names_its_object_and_the_next_step() {
    let world = world();
    let check = |args: &[&str], status: i32, message: &str| {
        let run = world.conveyor(args).exits(status);
        assert!(run.stderr.contains(message), "{}", run.text());
        assert!(run.stderr.contains("  hint: "), "{}", run.text());
    };
    check(&["unbind", "--task", "t1"], 1, "task t1 has no active binding");
    check(&["session-interrupt", "w1"], 1, "its program has exited");
    check(&["session-nudge", "w1", " "], 2, "the text is empty");
    check(&["tasks", "--create", "t2", "--goal", " "], 2, "task t2 was not created: its goal is empty");
    check(&["record-decision", "t1", "wait", "--reason", ""], 2, "its reason is empty");
    check(&["cycle", ""], 1, "task \"\" does not exist");
    check(&["session-nudge", "a b", "hello"], 1, "session \"a b\" does not exist");
    program(&world, "codex", "echo codex-cli 0.169.0");
    check(&["start-worker", "--name", "w1"], 1, "w1");
    check(&["start-manager", "--name", "w1"], 1, "w1");
    check(&["start-worker", "--name", "a.b"], 2, "a.b");
    check(&["start-worker", "--name", ""], 2, "\"\"");
    program(&world, "codex", "[ $1 = --version ] && echo codex-cli 0.90.1 || echo nothing");
    let old = ["start-worker", "--name", "w2", "--recipe", "private-server"];
    check(&old, 1, "Codex 0.90.1 is too old for --recipe private-server, which 0.169.0 can do");
    let lost = world.root().join("not/there/workerctl.db");
    check(&["tasks", "--path", lost.to_str().unwrap()], 1, "not does not exist");
    assert!(!world.root().join("not").exists());
}

#[test]
fn a_codex_that_does_not_tell_its_version_in_time_is_given_up() {
    let world = world();
    program(&world, "codex", "exec sleep 9999");
    let begin = Instant::now();
    let start = ["start-worker", "--name", "w2", "--no-tmux", "--timeout-seconds", "1"];
    let run = world.conveyor(&start).exits(1);
    assert!(run.stderr.contains("did not end within 1s"), "{}", run.text());
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    wait_for("its end", Duration::from_secs(10), || {
        world.processes().iter().all(|process| !process.command.contains("sleep 9999")).then_some(())
    });
}

#[test]
fn a_pair_whose_worker_does_not_start_gives_its_name_back() {
    let world = world();
    program(&world, "codex", "echo Error: broken >&2; exit 1");
    let pair = "pair --task t3 --task-goal Ship --worker-name w3 --manager-name m3 --timeout-seconds 2";
    for _ in 0..2 {
        world.conveyor(&pair.split(' ').collect::<Vec<_>>()).exits(1);
    }
    let tasks = world.conveyor(&["tasks", "--json"]).ok().json();
    let states: Vec<_> = tasks
        .as_array()
        .unwrap()
        .iter()
        .filter(|task| task["name"] == "t3")
        .map(|task| task["state"].clone())
        .collect();
    assert_eq!(states, [json!("failed"), json!("failed")]);
}

#[test]
fn a_database_is_for_its_owner_alone_and_found_where_it_is_named() {
    let world = World::new();
    let database = world.root().join("it's here, 日本").join("w.db");
    world
        .conveyor(&["tasks", "--create", "t1", "--goal", "Ship it", "--path", database.to_str().unwrap()])
        .ok();
    let listed = world.conveyor(&["tasks", "--json", "--path", database.to_str().unwrap()]).ok().json();
    assert_eq!(listed[0]["name"], "t1");
    assert_eq!(fs::metadata(&database).unwrap().permissions().mode() & 0o777, 0o600);

    let refused = world.conveyor(&["cycle", "t2", "--path", database.to_str().unwrap()]).exits(1);
    let hint = format!("hint: with --path {} there, too", quoted(database.to_str().unwrap()));
    assert!(refused.stderr.contains(&hint), "{}", refused.stderr);
    assert!(!world.conveyor(&["cycle", "t2"]).exits(1).stderr.contains("--path"));
}

#[test]
fn a_registration_elsewhere_reads_the_former_rollout_to_its_end() {
    let world = World::new();
    let register = |rollout: &Rollout| {
        let path = rollout.path.to_str().unwrap();
        world.conveyor(&["register-worker", "--name", "w1", "--codex-session", path]).ok();
    };
    let mut former = Rollout::create(&world.codex_home(), world.root()).unwrap();
    register(&former);
    world.conveyor(&["ingest", "w1"]).ok();
    let turn = former.begin("one").unwrap();
    former.complete("done").unwrap();
    register(&Rollout::create(&world.codex_home(), world.root()).unwrap());
    let database = rusqlite::Connection::open(world.state_root().join("workerctl.db")).unwrap();
    let told: String = database.query_row("SELECT turn_key FROM turn_facts", [], |row| row.get(0)).unwrap();
    assert_eq!(told, turn);
}

#[test]
fn a_name_of_several_words_is_one_word_of_a_suggested_command() {
    let world = World::new();
    world.conveyor(&["create-disposable-binding", "my task"]).ok();
    world.conveyor(&["tasks", "--create", "other task", "--goal", "Ship it"]).ok();
    let worker = &world.conveyor(&["sessions", "--state", "all", "--role", "worker"]).ok().json()[0];
    let worker = worker["name"].as_str().unwrap().to_owned();
    assert!(worker.contains(' '), "{worker}");
    let check = |args: &[&str], expect: &str| {
        let refused = world.conveyor(args);
        assert!(refused.status != Some(0) && refused.stderr.contains(expect), "{}", refused.text());
    };
    check(&["cycle", "other task"], "conveyor bind --task 'other task' --worker");
    check(&["deregister", &worker], "conveyor unbind --task 'my task'");
    check(&["finish-task", "my task", "--strict-decisions"], "conveyor record-decision 'my task' stop");
    check(&["finish-task", "my task", "--require-acks"], "conveyor worker-ack 'my task'");
    check(&["finish-task", "my task", "--require-executed-evidence"], "conveyor criteria 'my task' --list");
    check(&["session-nudge", &worker, " "], &format!("conveyor session-nudge '{worker}' TEXT"));
    check(&["tasks", "--create", "a b"], "conveyor tasks --create 'a b' --goal");
    let finished = world.conveyor(&["finish-task", "my task"]).ok();
    assert_eq!(finished.status, Some(0));
    check(&["finish-task", "my task"], "conveyor finish-task 'my task' --stop-worker");
    let replay = world.conveyor(&["replay", "my task"]).ok().stdout;
    assert!(replay.contains("conveyor mutation-audit 'my task' --json"), "{replay}");
}
