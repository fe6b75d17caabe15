//! Workers with a directory of files, made by the commands, with the real Codex and with stand-ins for it.

use crate::launch::{TRUST, asks, stand_in, tmux_sessions, value};
use crate::support::model::{call, run, say};
use crate::support::run::Run;
use crate::support::wait::PATIENCE;
use crate::support::{Script, World, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

/// Starting and answering may take long on a loaded machine.
const LONG: [&str; 4] = ["--wait-ready-timeout", "120", "--verify-timeout", "120"];

/// A Codex that shows its prompt and opens a session.
const READY: &str = r#"
[ $# -eq 1 ] && exit 0
mkdir -p "$CODEX_HOME/sessions/2026/01/01"
exec 3>> "$CODEX_HOME/sessions/2026/01/01/rollout-$$.jsonl"
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
echo '{"timestamp":"'$now'","type":"session_meta","payload":{"id":"thread-'$$'","cwd":"/","timestamp":"'$now'"}}' >&3
printf 'OpenAI Codex\n\342\200\272 ready\n'
exec cat"#;

fn create(world: &World, directory: &Path, args: &[&str]) -> Run {
    world.conveyor_in(directory, &[args, &LONG].concat(), "")
}

fn file(world: &World, name: &str) -> String {
    fs::read_to_string(world.state_root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn json_file(world: &World, name: &str) -> Value {
    serde_json::from_str(&file(world, name)).unwrap()
}

/// A command that a worker runs to say how it stands.
fn says(name: &str, state: &str, task: &str) -> String {
    let program = env!("CARGO_BIN_EXE_conveyor");
    format!("{program} update-status {name} --state {state} --current-task '{task}' --next-action none")
}

/// Nothing of the worker w1 runs or stands in a file, and its record says that it was not started.
#[track_caller]
fn nothing_is_left(world: &World) {
    assert!(!world.state_root().join("w1").exists());
    assert_eq!(value(world, "SELECT state FROM workers WHERE name = 'w1'"), "failed");
    assert_eq!(value(world, "SELECT count(*) FROM launches"), "0");
    assert!(tmux_sessions(world).is_empty());
}

#[test]
fn a_worker_is_made_says_how_it_stands_and_is_told_more() {
    let script = Script::new()
        .on("Refactor auth", [run(&says("w1", "editing", "auth")), say("Refactored.")])
        .on("and the tests", [run(&says("w1", "done", "tests")), say("Tested.")]);
    let world = World::with_codex(script);
    let directory = world.work_dir("a project");
    let made = create(&world, &directory, &["create", "w1", "--task", "Refactor auth", "--verify", "--json"]);
    let made = made.ok().json();
    assert_eq!(made["verification"]["ok"], true, "{made}");
    assert_eq!((&made["startup"], &made["initial_prompt"]), (&json!("launched"), &json!(true)));
    let thread = made["codex_session_id"].as_str().unwrap();
    assert!(made["startup_reason"].as_str().unwrap().contains(thread), "{made}");

    let told = world.model().requests().remove(0).user;
    assert_eq!(file(&world, "w1/contract.txt"), format!("{told}\n"));
    let config = json_file(&world, "w1/config.json");
    assert_eq!((&config["cwd"], &config["worker_id"]), (&json!(directory), &made["worker_id"]));
    let mode = |name: &str| fs::metadata(world.state_root().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("w1"), mode("w1/config.json"), mode("w1/events.jsonl")), (0o700, 0o600, 0o600));

    let state = || world.conveyor(&["status", "w1"]).ok().json()["state"].clone();
    assert_eq!(state(), "editing");
    let nudge = || world.conveyor(&["nudge", "w1", "and the tests"]).status == Some(0);
    wait_for("its prompt", PATIENCE, || nudge().then_some(()));
    wait_for("its answer", PATIENCE, || (state() == "done").then_some(()));
    assert_eq!(world.conveyor(&["stop", "w1"]).ok().stdout, "stopped w1\n");
    assert!(tmux_sessions(&world).is_empty());
    assert_eq!(value(&world, "SELECT state FROM workers"), "stopped");
}

#[test]
fn a_worker_whose_window_cannot_be_opened_is_there_all_the_same() {
    let world = World::new();
    stand_in(&world, READY);
    let run = create(&world, &world.work_dir("w"), &["create", "w1", "--open"]).ok();
    assert!(run.stdout.contains("no window shows w1: there is no display"), "{}", run.text());
}

#[test]
fn a_worker_in_a_sandbox_says_how_it_stands_with_a_tool() {
    let status = json!({"name": "w1", "state": "done", "current_task": "read", "next_action": "none"});
    let world = World::with_codex(
        Script::new().on("Only read", [call(Some("mcp__conveyor"), "update_status", status), say("Read.")]),
    );
    let directory = world.work_dir("w");
    fs::write(directory.join("conveyor.toml"), "[codex]\nsandbox = 'read-only'\n").unwrap();
    let made = create(&world, &directory, &["create", "w1", "--task", "Only read", "--verify", "--json"]);
    assert_eq!(made.ok().json()["verification"]["state"], "done");
    assert!(file(&world, "w1/contract.txt").contains("the tool `update_status`"));
}

#[test]
fn a_trial_shows_that_workers_can_be_made() {
    let world =
        World::with_codex(Script::new().on("This is a trial", [run(&says("live-test", "done", "trial"))]));
    let run = create(&world, &world.work_dir("w"), &["start-test", "--stop-after"]).ok();
    for line in [
        "created live-test\n",
        "verification: ok (",
        "state: done\ncurrent task: trial\n",
        "\nstopped live-test",
    ] {
        assert!(run.stdout.contains(line), "{}", run.text());
    }
    assert!(
        run.stdout.contains("startup: ready") || run.stdout.contains("startup: working"),
        "{}",
        run.text()
    );
    assert!(tmux_sessions(&world).is_empty());
    let verified = world.conveyor(&["events", "live-test", "--type", "verify"]).ok();
    assert_eq!(verified.json()["ok"], true);
}

#[test]
fn what_a_worker_writes_itself_is_put_on_record() {
    let world = World::new();
    let writes =
        r#"echo '{"state": "done", "current_task": "by hand"}' > "$CONVEYOR_STATE_ROOT/w1/status.json""#;
    stand_in(&world, &format!("{writes}\n{READY}"));
    let made = create(&world, &world.work_dir("w"), &["create", "w1", "--verify", "--stop-after"]).ok();
    assert!(made.stdout.contains("current task: by hand"), "{}", made.text());
    assert_eq!(world.conveyor(&["status", "w1"]).ok().json()["current_task"], "by hand");
    assert_eq!(world.conveyor(&["idle-check", "w1"]).ok().json()["health"], "stopped");
}

#[test]
fn a_worker_that_says_nothing_is_told_of() {
    let world = World::new();
    let directory = world.work_dir("w");
    stand_in(&world, READY);
    let args = ["create", "w1", "--no-send-contract", "--verify", "--verify-timeout", "1"];
    let run = world.conveyor_in(&directory, &args, "").ok();
    assert!(
        run.stdout.contains("verification: not seen (it has written down nothing within 1 s)"),
        "{}",
        run.text()
    );
    assert!(
        run.stdout.contains("it was told nothing") && run.stdout.contains("conveyor stop w1"),
        "{}",
        run.text()
    );
    world.conveyor(&["stop", "w1"]).ok();

    let ends = r#"until grep -q launched "$CONVEYOR_STATE_ROOT/w2/config.json"; do sleep 0.1; done"#;
    stand_in(&world, &READY.replace("exec cat", ends));
    let run = create(&world, &directory, &["create", "w2", "--verify"]).ok();
    assert!(run.stdout.contains("not seen (its terminal has closed)"), "{}", run.text());
}

#[test]
fn a_worker_that_cannot_be_started_leaves_nothing() {
    let world = World::new();
    let directory = world.work_dir("w");
    let refused = |args: &[&str], told: &[&str]| {
        let run = create(&world, &directory, &[&["create", "w1"], args].concat()).exits(1);
        assert!(told.iter().all(|words| run.stderr.contains(words)), "{}", run.text());
    };
    refused(&[], &["codex is not on the PATH"]);
    stand_in(&world, "echo no license; sleep 0.5; exit 3");
    refused(&["--cwd", "no where"], &["no where does not exist"]);
    assert!(!world.state_root().join("w1").exists());
    refused(&[], &["ended at once", "no license"]);
    nothing_is_left(&world);
    stand_in(&world, &asks(TRUST));
    refused(&[], &["Trust this folder?", "--accept-trust"]);
    nothing_is_left(&world);
    create(&world, &directory, &["create", "w1", "--accept-trust"]).ok();
    world.conveyor(&["stop", "w1"]).ok();
}

#[test]
fn a_worker_that_was_there_before_stays_when_it_cannot_be_started_anew() {
    let world = World::new();
    let directory = world.work_dir("w");
    stand_in(&world, READY);
    create(&world, &directory, &["create", "w1"]).ok();
    let token = json_file(&world, "w1/config.json")["identity_token"].clone();
    let refused = |args: &[&str], told: &str| {
        let run = create(&world, &directory, &[&["create", "w1"], args].concat()).exits(1);
        assert!(run.stderr.contains(told), "{}", run.text());
    };
    refused(&["--reuse"], "codex-w1");
    world.conveyor(&["stop", "w1"]).ok();
    refused(&[], "--reuse");
    stand_in(&world, "echo no license; exit 3");
    refused(&["--reuse"], "no license");
    assert_eq!(world.conveyor(&["status", "w1"]).ok().json()["startup"], "failed");
    stand_in(&world, READY);
    create(&world, &directory, &["create", "w1", "--reuse"]).ok();
    assert_eq!(json_file(&world, "w1/config.json")["identity_token"], token);
    assert_eq!(value(&world, "SELECT group_concat(name || ' ' || state) FROM workers"), "w1 active");
}

#[test]
fn a_name_that_a_session_has_is_refused() {
    let world = World::new();
    let directory = world.work_dir("w");
    stand_in(&world, READY);
    let start = ["start-worker", "--name", "w1", "--timeout-seconds", "60"];
    world.conveyor_in(&directory, &start, "").ok();
    world.tmux(&["rename-session", "-t", "=codex-w1", "elsewhere"], "").ok();
    let run = create(&world, &directory, &["create", "w1"]).exits(1);
    assert!(run.stderr.contains("one of that name is registered"), "{}", run.text());
    for name in ["two words", "../w1", "-w", "w;id", ""] {
        create(&world, &directory, &["create", "--", name]).exits(2);
    }
    create(&world, &directory, &["create", "w2", "--open", "--stop-after"]).exits(2);
    world.conveyor(&["create", "w2", "--wait-ready-timeout", "0"]).exits(2);
    assert!(!world.state_root().join("w2").exists());
    // The state root has directories that are no worker's.
    fs::create_dir(world.state_root().join("logs")).unwrap();
    fs::write(world.state_root().join("logs/today.log"), "").unwrap();
    let run = create(&world, &directory, &["create", "logs"]).exits(1);
    assert!(run.stderr.contains("has other things in it"), "{}", run.text());
    // A terminal of that name is not taken over.
    world.tmux(&["new-session", "-d", "-s", "codex-w3", "cat"], "").ok();
    let run = create(&world, &directory, &["create", "w3"]).exits(1);
    assert!(run.stderr.contains("tmux has a session codex-w3"), "{}", run.text());
    assert!(!world.state_root().join("w3").exists());
}

#[test]
fn of_two_that_make_one_worker_one_does() {
    let world = World::new();
    let directory = world.work_dir("w");
    stand_in(&world, READY);
    for more in [&[][..], &["--reuse"]] {
        let args = [&["create", "w1"], more].concat();
        let runs = thread::scope(|scope| {
            let starts = [(), ()].map(|()| scope.spawn(|| create(&world, &directory, &args)));
            starts.map(|start| start.join().unwrap())
        });
        let made = runs.iter().filter(|run| run.status == Some(0)).count();
        assert_eq!(made, 1, "{}\n{}", runs[0].text(), runs[1].text());
        assert_eq!(json_file(&world, "w1/config.json")["startup"], "launched");
        assert_eq!(value(&world, "SELECT state FROM workers"), "active");
        world.conveyor(&["stop", "w1"]).ok();
    }
}
