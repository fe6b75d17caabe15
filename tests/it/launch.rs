//! Sessions started by the commands, with the real Codex and with stand-ins for it.

use crate::support::codex::rollouts;
use crate::support::model::say;
use crate::support::processes::Process;
use crate::support::run::Run;
use crate::support::wait::PATIENCE;
use crate::support::{Script, World, wait_for};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

/// Starting may take long on a loaded machine.
const LONG: [&str; 2] = ["--timeout-seconds", "120"];

/// A Codex that can do nothing but what the script says.
const VERSION: &str = "if [ \"$1\" = --version ]; then echo codex-cli 0.0.0-fake; exit 0; fi\n";

pub(crate) fn start(world: &World, directory: &Path, args: &[&str]) -> Run {
    world.conveyor_in(directory, &[args, &LONG].concat(), "")
}

/// Waits until `text` stands in the rollout of a started session.
pub(crate) fn rollout_has(started: &Value, text: &str) {
    let rollout = started["codex_session_path"].as_str().unwrap();
    wait_for(text, PATIENCE, || fs::read_to_string(rollout).ok()?.contains(text).then_some(()));
}

pub(crate) fn tmux_sessions(world: &World) -> Vec<String> {
    let list = world.tmux(&["list-sessions", "-F", "#{session_name}"], "").stdout;
    list.lines().map(str::to_owned).collect()
}

/// The one value that a query gives, as text.
pub(crate) fn value(world: &World, sql: &str) -> String {
    let database = Connection::open(world.state_root().join("workerctl.db")).unwrap();
    database.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).map_or_else(
        |error| panic!("{sql}: {error}"),
        |value| match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        },
    )
}

/// Nothing runs and nothing is registered.
#[track_caller]
fn nothing_is_left(world: &World) {
    assert_eq!(value(world, "SELECT count(*) FROM sessions"), "0");
    wait_for("the end of what was started", PATIENCE, || {
        world.processes().iter().all(|process| process.command.contains("tmux")).then_some(())
    });
    assert!(tmux_sessions(world).is_empty());
}

/// Puts a program called `codex` in front of the real one.
pub(crate) fn stand_in(world: &World, script: &str) {
    let program = world.bin().join("codex");
    let _ = fs::remove_file(&program);
    fs::write(&program, format!("#!/bin/sh\n{VERSION}{script}\n")).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_worker_on_an_app_server_of_its_own() {
    let world = World::with_codex(Script::new().on("Refactor", [say("Refactored.")]));
    let directory = world.work_dir("w");
    let run = start(&world, &directory, &["start-worker", "--name", "w1", "--task", "Refactor auth"]).ok();
    let started = run.json();
    assert_eq!(
        (&started["recipe"], &started["role"], &started["tmux_session"], &started["prompt_sent"]),
        (&json!("private_server"), &json!("worker"), &json!("codex-w1"), &json!(true))
    );
    assert!(run.stderr.contains("starting its app-server"), "{}", run.text());
    rollout_has(&started, "task_complete");
    assert_eq!(world.model().requests()[0].user, "Refactor auth");

    // What was sent first is proven by the rollout, as any delivery is.
    assert_eq!(value(&world, "SELECT state FROM deliveries"), "sent");
    world.conveyor(&["ingest", "w1"]).ok();
    assert_eq!(value(&world, "SELECT state FROM deliveries"), "observed");

    // The app-server lives on and takes more.
    world.conveyor(&["session-nudge", "w1", "Refactor more"]).ok();
    rollout_has(&started, "Refactor more");
    let run = start(&world, &directory, &["start-worker", "--name", "w1"]).exits(1);
    assert!(run.stderr.contains("one of that name is registered"), "{}", run.text());
}

#[test]
fn an_embedded_worker() {
    let world = World::with_codex(Script::new().on("Refactor", [say("Refactored.")]));
    let directory = world.work_dir("w");
    let args = ["start-worker", "--name", "w1", "--recipe", "embedded", "--task", "-Refactor 'auth'"];
    let started = start(&world, &directory, &args).ok().json();
    assert_eq!(started["recipe"], "embedded");
    rollout_has(&started, "task_complete");
    let rollout = started["codex_session_path"].as_str().unwrap();
    assert!(rollout.contains(started["codex_session_id"].as_str().unwrap()));
    assert_eq!(world.model().requests()[0].user, "-Refactor 'auth'");
}

#[test]
fn a_rollout_that_comes_later_is_found() {
    let world = World::with_codex(Script::new().on("Refactor", [say("Refactored.")]));
    let directory = world.work_dir("w");
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    let args = ["start-worker", "--name", "w1", "--recipe", "embedded", "--transport", "tmux"];
    let started = start(&world, &directory, &args).ok().json();
    assert_eq!((&started["prompt_sent"], &started["codex_session_path"]), (&json!(false), &Value::Null));
    start(&world, &directory, &["start-manager", "--name", "m1", "--transport", "mailbox"]).ok();
    world.conveyor(&["bind", "--task", "t1", "--worker", "w1", "--manager", "m1"]).ok();
    world.conveyor(&["run", "--detach"]).ok();
    world.conveyor(&["session-nudge", "w1", "Refactor auth"]).ok();
    let inbox = ["manager-inbox", "t1", "--consume-next", "--wait", "--timeout", "50", "--json"];
    let told = world.conveyor(&inbox).ok().json();
    assert_eq!(told["consumed"]["payload"]["worker_receipt"]["last_agent_message"], "Refactored.");
}

#[test]
fn sessions_that_start_together_in_one_directory_are_told_apart() {
    let world = World::with_codex(Script::new().on("Task (?<name>[a-e])", [say("{name} done")]));
    let directory = world.work_dir("shared");
    let starts = [
        ("a", "private-server"),
        ("b", "private-server"),
        ("c", "embedded"),
        ("d", "embedded"),
        ("e", "open-files"),
    ];
    let started = thread::scope(|scope| {
        let threads = starts.map(|(name, recipe)| {
            let (world, directory, task) = (&world, &directory, format!("Task {name}"));
            scope.spawn(move || {
                let args = ["start-worker", "--name", name, "--recipe", recipe, "--task", &task];
                start(world, directory, &args).ok().json()
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    for (started, (name, _)) in started.iter().zip(starts) {
        rollout_has(started, &format!("{name} done"));
        let (path, thread) = (&started["codex_session_path"], &started["codex_session_id"]);
        assert!(path.as_str().unwrap().contains(thread.as_str().unwrap()), "{started}");
    }
}

#[test]
fn a_manager_is_told_how_to_supervise() {
    let world = World::with_codex(Script::new());
    let directory = world.work_dir("m");
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    let args = ["start-manager", "--name", "m1", "--task", "t1", "--worker", "w1"];
    let started = start(&world, &directory, &args).ok().json();
    rollout_has(&started, "task_complete");
    let request = &world.model().requests()[0];
    // Found also by a login shell, whose PATH is another.
    let cycle = format!("`{} cycle t1`", env!("CARGO_BIN_EXE_conveyor"));
    for words in ["Goal: Ship it", "worker session w1", &cycle] {
        assert!(request.user.contains(words), "{}", request.user);
    }
    assert_eq!(value(&world, "SELECT mcp FROM session_links"), "1");
}

#[test]
fn a_session_without_a_terminal() {
    let world = World::with_codex(Script::new());
    let directory = world.work_dir("w");
    let args = ["start-worker", "--name", "w1", "--no-tmux", "--task", "go"];
    let started = start(&world, &directory, &args).ok().json();
    assert_eq!((&started["tmux_session"], &started["attach_command"]), (&Value::Null, &Value::Null));
    rollout_has(&started, "task_complete");
    assert!(tmux_sessions(&world).is_empty());
    let args = ["start-worker", "--name", "w2", "--no-tmux", "--recipe", "embedded"];
    start(&world, &directory, &args).exits(1);
}

#[test]
fn a_session_is_gone_on_with() {
    let world = World::with_codex(Script::new().on("number", [say("42 it is")]));
    let directory = world.work_dir("w");
    let mut codex = world.codex(&directory);
    codex.args(["exec", "--skip-git-repo-check", "-s", "danger-full-access", "Think of a number"]);
    Run::of(&mut codex, "").ok();
    let rollout = rollouts(&world.codex_home()).pop().unwrap();
    let rollout = rollout.to_str().unwrap();
    for (name, recipe) in [("w1", "private-server"), ("w2", "embedded")] {
        let task = format!("Which one, {name}?");
        let args =
            ["start-worker", "--name", name, "--recipe", recipe, "--codex-session", rollout, "--task", &task];
        let started = start(&world, &directory, &args).ok().json();
        assert_eq!(started["codex_session_path"], rollout);
        let is_asked = || world.model().requests().into_iter().find(|request| request.user == task);
        wait_for("the request", PATIENCE, is_asked);
        rollout_has(&started, &task);
        // A session that runs is not started a second time.
        let run = start(&world, &directory, &["start-worker", "--name", "w3", "--codex-session", rollout]);
        assert!(run.exits(1).stderr.contains("is running, in process"));
        world.conveyor(&["deregister", name]).ok();
        end(&world, name);
    }
}

/// Ends the processes of a session.
fn end(world: &World, name: &str) {
    world.tmux(&["kill-session", "-t", &format!("=codex-{name}")], "").ok();
    let pid = value(world, &format!("SELECT pid FROM sessions WHERE name = '{name}'"));
    let of_session = |process: &Process| process.pid.to_string() == pid;
    wait_for("its end", PATIENCE, || {
        let running: Vec<_> = world.processes().into_iter().filter(of_session).collect();
        running.iter().for_each(|process| process.signal(rustix::process::Signal::TERM));
        running.is_empty().then_some(())
    });
}

#[test]
fn flags_stand_over_the_settings_file() {
    let world = World::with_codex(Script::new());
    let directory = world.work_dir("w");
    let file = "[codex]\nmodel = 'from-the-file'\nsandbox = 'read-only'\napproval_policy = 'on-request'\n";
    fs::write(directory.join("conveyor.toml"), file).unwrap();
    let args = [
        "start-worker",
        "--name",
        "w1",
        "--task",
        "go",
        "--ask-for-approval",
        "never",
        "-c",
        "developer_instructions=\"Mind the gap\"",
        "--transport",
        "tmux",
        "--transport",
        "app-server",
    ];
    let started = start(&world, &directory, &args).ok().json();
    assert_eq!(started["communication"]["transports"], json!(["tmux", "app_server", "mailbox"]));
    rollout_has(&started, "task_complete");
    rollout_has(&started, "Mind the gap");
    rollout_has(&started, "from-the-file");
    let text = fs::read_to_string(started["codex_session_path"].as_str().unwrap()).unwrap();
    let context = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let context = context.into_iter().find(|line| line["type"] == "turn_context").unwrap();
    assert_eq!(context["payload"]["approval_policy"], "never");
    assert_eq!(context["payload"]["sandbox_policy"]["type"], "read-only");

    fs::write(directory.join("conveyor.toml"), "[codex]\nmodl = 'x'\n").unwrap();
    let run = start(&world, &directory, &["start-worker", "--name", "w2"]).exits(2);
    assert!(run.stderr.contains("`modl`"), "{}", run.text());
}

/// Draws a screen, and opens a session when Enter is pressed there.
pub(crate) fn asks(screen: &str) -> String {
    format!(
        r#"
[ $# -eq 1 ] && exit 0
printf '{screen}'
read -r line && touch "$HOME/entered"
mkdir -p "$CODEX_HOME/sessions/2026/01/01"
exec 3>> "$CODEX_HOME/sessions/2026/01/01/rollout-1.jsonl"
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
echo '{{"timestamp":"'$now'","type":"session_meta","payload":{{"id":"thread-1","cwd":"/","timestamp":"'$now'"}}}}' >&3
exec cat"#
    )
}

pub(crate) const TRUST: &str = r"  Folder access\n\n  Trust this folder?\n\n› 1. Trust and continue\n  2. Back\n\n  enter continue · esc back\n";
const UPDATE: &str =
    r"  Update available · v1\n\n› 1. Update now\n  2. Skip\n\n  enter continue · esc skip\n";

#[test]
fn a_trust_screen_is_answered_only_when_that_is_allowed() {
    let world = World::new();
    let directory = world.work_dir("w");
    let entered = world.home().join("entered");
    let args = ["start-worker", "--name", "w1"];
    let accepting = ["start-worker", "--name", "w1", "--accept-trust"];

    stand_in(&world, &asks(TRUST));
    let run = start(&world, &directory, &args).exits(1);
    let told = ["Trust this folder?", "--accept-trust", "blocked:trust"];
    assert!(told.iter().all(|words| run.stderr.contains(words)), "{}", run.text());
    nothing_is_left(&world);

    // Enter would install a program here.
    stand_in(&world, &asks(UPDATE));
    let run = start(&world, &directory, &accepting).exits(1);
    assert!(run.stderr.contains("blocked:update"), "{}", run.text());
    nothing_is_left(&world);
    assert!(!entered.exists());

    stand_in(&world, &asks(TRUST));
    let started = start(&world, &directory, &accepting).ok().json();
    assert_eq!(
        (&started["codex_session_id"], &started["recipe"]),
        (&json!("thread-1"), &json!("open_files"))
    );
    assert!(entered.exists());
}

#[test]
fn a_codex_that_ends_at_once_is_shown() {
    let world = World::new();
    let directory = world.work_dir("w");
    stand_in(&world, "echo no license for $# words; sleep 0.5; exit 3");
    for command in ["start-worker", "start-manager"] {
        let run = start(&world, &directory, &[command, "--name", "s1"]).exits(1);
        assert!(run.stderr.contains("ended at once") && run.stderr.contains("no license"), "{}", run.text());
    }
    let run = start(&world, &directory, &["start", "s1"]).exits(1);
    assert!(run.stderr.contains("no license"), "{}", run.text());
    nothing_is_left(&world);
}

#[test]
fn a_server_that_ends_at_once_is_shown() {
    let world = World::new();
    let directory = world.work_dir("w");
    stand_in(&world, "");
    let script = "#!/bin/sh\nif [ \"$1\" = --version ]; then echo codex-cli 9.9.9; exit 0; fi\necho no license; exit 3\n";
    fs::write(world.bin().join("codex"), script).unwrap();
    let run = start(&world, &directory, &["start-worker", "--name", "w1"]).exits(1);
    assert!(run.stderr.contains("no license"), "{}", run.text());
    nothing_is_left(&world);
}

#[test]
fn without_codex_or_tmux_it_is_said_what_is_missing() {
    let world = World::new();
    let directory = world.work_dir("w");
    let run = start(&world, &directory, &["start-worker", "--name", "w1"]).exits(1);
    assert!(run.stderr.contains("codex is not on the PATH"), "{}", run.text());
    let run = start(&world, &directory, &["start-worker", "--name", "w1", "--cwd", "nowhere"]).exits(1);
    assert!(run.stderr.contains("nowhere does not exist"), "{}", run.text());
    stand_in(&world, "exec cat");
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    command.env("CONVEYOR_TMUX", "/nonexistent/tmux").args(["start-worker", "--name", "w1"]);
    let run = Run::of(&mut command, "").exits(1);
    assert!(run.stderr.contains("--no-tmux"), "{}", run.text());
}

#[test]
fn a_refused_model_leaves_nothing() {
    let world = World::with_codex(Script::new());
    let directory = world.work_dir("w");
    let args = ["start-worker", "--name", "w1", "--model-provider", "nobody"];
    let run = start(&world, &directory, &args).exits(1);
    assert!(run.stderr.contains("nobody"), "{}", run.text());
    nothing_is_left(&world);
}

#[test]
fn of_two_that_want_one_name_one_gets_it() {
    let world = World::with_codex(Script::new());
    let directory = world.work_dir("w");
    let statuses = thread::scope(|scope| {
        let starts = ["a", "b"]
            .map(|_| scope.spawn(|| start(&world, &directory, &["start-worker", "--name", "w1"]).status));
        starts.map(|start| start.join().unwrap())
    });
    assert_eq!(statuses.iter().filter(|status| **status == Some(0)).count(), 1, "{statuses:?}");
    assert_eq!(value(&world, "SELECT count(*) FROM sessions"), "1");
    let servers =
        || world.processes().iter().filter(|process| process.command.contains("app-server --listen")).count();
    wait_for("the end of the other server", PATIENCE, || (servers() == 1).then_some(()));
    let pid = value(&world, "SELECT app_server_pid FROM session_links");
    assert!(world.processes().iter().any(|process| process.pid.to_string() == pid));
}

#[test]
fn a_start_that_is_interrupted_takes_everything_back() {
    let world = World::new();
    let directory = world.work_dir("w");
    stand_in(&world, "[ $# -gt 1 ] && exec cat");
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    command.current_dir(&directory).args(["start-worker", "--name", "w1"]).args(LONG);
    thread::scope(|scope| {
        let run = scope.spawn(|| Run::of(&mut command, ""));
        let pane = || world.tmux(&["list-panes", "-a", "-F", "#{pane_id}"], "").stdout;
        wait_for("the terminal", PATIENCE, || pane().contains('%').then_some(()));
        let is_ours = |process: &Process| process.command.contains("start-worker");
        let ours = world.processes().into_iter().find(is_ours).unwrap();
        ours.signal(rustix::process::Signal::INT);
        let run = run.join().unwrap().exits(1);
        assert!(run.stderr.contains("interrupted"), "{}", run.text());
    });
    nothing_is_left(&world);
}

#[test]
fn a_plain_session_registers_itself_later() {
    let world = World::with_codex(Script::new());
    let directory = world.work_dir("p");
    let args = ["start", "p1", "--search", "-c", "model_verbosity=\"low\"", "--timeout-seconds", "120"];
    let started = world.conveyor_in(&directory, &args, "").ok().json();
    assert_eq!(started["start_prompt_sent"], true);
    let told = wait_for("the request", PATIENCE, || world.model().requests().pop()).user;
    assert_eq!(fs::read_to_string(started["start_prompt_path"].as_str().unwrap()).unwrap(), told + "\n");
    assert_eq!(value(&world, "SELECT count(*) FROM sessions"), "0");
    let command = started["register_worker_command_template"].as_str().unwrap().replace("<worker>", "w1");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let registered = wait_for("its rollout", PATIENCE, || {
        let run = world.conveyor(&words);
        (run.status == Some(0)).then(|| run.json())
    });
    assert_eq!(registered["codex_session_id"], started["codex_session_id"]);
}

#[test]
fn a_session_is_queued_to_by_the_codex_that_runs_it() {
    let world = World::with_codex(Script::new());
    let directory = world.work_dir("w");
    let (own, asked) = (world.bin().join("own-codex"), world.root().join("asked"));
    let real = fs::read_link(world.bin().join("codex")).unwrap();
    let script = format!("#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n", asked.display(), real.display());
    fs::write(&own, script).unwrap();
    fs::set_permissions(&own, Permissions::from_mode(0o755)).unwrap();
    stand_in(&world, "echo \"unrecognized subcommand '$1'\" >&2; exit 2");
    let worker =
        ["start-worker", "--name", "w1", "--transport", "codex-queue", "--codex", own.to_str().unwrap()];
    start(&world, &directory, &worker).ok();
    world.conveyor(&["session-nudge", "w1", "Go on"]).ok();
    let asked = fs::read_to_string(asked).unwrap();
    assert!(asked.lines().any(|line| line.starts_with("queue --thread")), "{asked}");
}
