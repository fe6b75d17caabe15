//! Sessions and tasks by hand: register, bind, list, finish, stop.

use crate::supervisor::Supervisor;
use crate::support::model::{run, say};
use crate::support::rollout::Rollout;
use crate::support::run::Run;
use crate::support::wait::PATIENCE;
use crate::support::{Script, Terminal, World, wait_for};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread;

/// A task `t1` with worker `w1` in tmux and manager `m1` without, bound.
fn pair_by_hand(world: &World) {
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    world.tmux(&["new-session", "-d", "-s", "codex-w1", "cat"], "").ok();
    register(world, "worker", "w1", &["--tmux-session", "codex-w1"]);
    register(world, "manager", "m1", &[]);
    world.conveyor(&["bind", "--task", "t1", "--worker", "w1", "--manager", "m1"]).ok();
}

fn register(world: &World, role: &str, name: &str, more: &[&str]) -> Value {
    let rollout = Rollout::create(&world.codex_home(), &world.work_dir("project")).unwrap();
    let (command, pid) = (format!("register-{role}"), std::process::id().to_string());
    let mut args =
        vec![&*command, "--name", name, "--pid", &pid, "--codex-session", rollout.path.to_str().unwrap()];
    args.extend(more);
    world.conveyor(&args).ok().json()
}

fn texts(world: &World, sql: &str) -> Vec<String> {
    let database = Connection::open(world.state_root().join("workerctl.db")).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn states(world: &World) -> Vec<String> {
    texts(world, "SELECT state FROM tasks UNION ALL SELECT name || ' ' || state FROM sessions ORDER BY 1")
}

#[test]
fn a_pair_is_found_bound_and_finished() {
    let world = World::new();
    pair_by_hand(&world);
    let sessions = world.conveyor(&["sessions"]).ok().json();
    assert_eq!(sessions[0]["communication"]["transports"], json!(["tmux", "mailbox"]));
    assert_eq!(sessions[1]["communication"]["transports"], json!(["mailbox"]));
    let shared = world.conveyor(&["sessions", "--name", "w1", "--redact-identity-token"]).ok();
    assert!(!shared.stdout.contains("session-token-"), "{}", shared.text());
    let found = world.conveyor(&["discover", "w1"]).ok().json();
    assert_eq!(found["bindings"][0]["task_name"], "t1");

    let finish = ["finish-task", "t1", "--stop-worker", "--stop-manager", "--reason", "merged"];
    let report = world.conveyor(&finish).ok().json();
    assert_eq!((&report["killed_worker"], &report["killed_manager"]), (&json!(true), &json!(false)));
    assert_eq!(states(&world), ["done", "m1 active", "w1 gone"]);
    world.tmux(&["has-session", "-t", "codex-w1"], "").exits(1);

    let again = world.conveyor(&finish).ok().json();
    assert_eq!((&again["already_done_followup"], &again["killed_worker"]), (&json!(true), &json!(false)));
    let refused = world.conveyor(&["finish-task", "t1"]).exits(1);
    assert!(refused.stderr.contains("is done already"), "{}", refused.text());
}

#[test]
fn what_tmux_refuses_leaves_the_task_as_it_is() {
    let world = World::new();
    pair_by_hand(&world);
    let refuse = "case \"$*\" in *kill-session*) echo 'error connecting to x (Operation not permitted)' >&2; exit 1;; esac";
    world.before_tmux(refuse);

    let refused = world.conveyor(&["finish-task", "t1", "--stop-worker"]).exits(1);
    assert!(
        refused.stderr.contains("task t1 was left as it is: not permitted to use tmux"),
        "{}",
        refused.text()
    );
    assert_eq!(states(&world), ["candidate", "m1 active", "w1 active"]);
    assert_eq!(
        texts(
            &world,
            "SELECT type || ' ' || state || ' ' || json_extract(result_json, '$.failure_stage') FROM commands"
        ),
        ["finish_task failed live_lifecycle_side_effects"]
    );
    world.conveyor(&["stop", "w1"]).exits(1);
    assert_eq!(texts(&world, "SELECT state FROM commands WHERE type = 'stop_session'"), ["failed"]);
}

#[test]
fn an_interrupt_that_cannot_be_recorded_was_on_record_before() {
    let world = World::new();
    pair_by_hand(&world);
    let database = Connection::open(world.state_root().join("workerctl.db")).unwrap();
    let fails = "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.type = 'session_interrupted'
                 BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    database.execute_batch(fails).unwrap();
    let failed = world.conveyor(&["session-interrupt", "w1", "--followup", "go on"]).exits(1);
    for says in ["w1 was interrupted by Escape, which is not on record", "the text after it was not sent"] {
        assert!(failed.stderr.contains(says), "{}", failed.text());
    }
    let commands = "SELECT state FROM commands WHERE type = 'interrupt_session'";
    assert_eq!(texts(&world, commands), ["attempted"]);
    assert!(!world.pane("codex-w1").contains("go on"));
}

#[test]
fn a_session_is_nudged_and_interrupted_by_its_supervisor_also_by_the_commands_for_workers() {
    let world = World::new();
    pair_by_hand(&world);
    let supervisor = Supervisor::start(&world);
    let callers = world.root().join("callers");
    let note = format!("case \"$*\" in *send-keys*) echo $PPID >> {};; esac", callers.display());
    world.before_tmux(&note);
    world.conveyor(&["nudge", "w1", "go on"]).ok();
    let interrupted = world.conveyor(&["interrupt", "w1", "--no-followup"]).ok().json();
    assert_eq!(interrupted["session"], "w1");
    let callers = fs::read_to_string(callers).unwrap();
    let pid = supervisor.pid().to_string();
    assert_eq!(callers.lines().collect::<Vec<_>>(), [&*pid, &pid]);
    supervisor.stop();
}

/// Two processes that finish the task, each with its own end of a session under way when the other's is.
fn finish_at_once(world: &World, flags: &[&str]) -> Vec<Run> {
    let arrivals = world.root().join("arrivals");
    world.before_tmux(&format!(
        "case \"$*\" in *kill-session*) echo x >> {0}; while [ $(wc -l < {0}) -lt 2 ]; do sleep 0.01; done;; esac",
        arrivals.display()
    ));
    let finish = || world.conveyor(&[&["finish-task", "t1", "--json"], flags].concat());
    thread::scope(|scope| [0, 1].map(|_| scope.spawn(finish)).map(|run| run.join().unwrap())).into()
}

#[test]
fn a_task_that_two_finish_at_once_is_finished_once() {
    let world = World::new();
    pair_by_hand(&world);
    let mut reports: Vec<Value> =
        finish_at_once(&world, &["--stop-worker"]).into_iter().map(|run| run.ok().json()).collect();
    reports.sort_by_key(|report| report["already_done_followup"] == true);
    assert_eq!(
        reports.iter().map(|report| report["already_done_followup"].clone()).collect::<Vec<_>>(),
        [json!(false), json!(true)]
    );
    assert_eq!(states(&world), ["done", "m1 active", "w1 gone"]);
    let ended = "SELECT type FROM events WHERE type = 'finish_task_succeeded' AND payload_json ->> 'already_done_followup' = 0";
    assert_eq!(texts(&world, ended), ["finish_task_succeeded"]);
    assert_eq!(
        texts(&world, "SELECT state FROM commands WHERE type = 'finish_task' AND state = 'attempted'"),
        [""; 0]
    );
}

#[test]
fn a_session_is_stopped_once() {
    let world = World::new();
    pair_by_hand(&world);
    let near = world.conveyor(&["stop", "w11"]).exits(1);
    assert!(near.stderr.contains("did you mean w1?"), "{}", near.text());
    assert_eq!(world.conveyor(&["stop", "w1"]).ok().stdout, "stopped w1\n");
    assert_eq!(world.conveyor(&["stop", "w1"]).ok().stdout, "w1 was not running\n");
    let refused = world.conveyor(&["stop", "m1"]).exits(1);
    assert!(refused.stderr.contains("conveyor deregister m1"), "{}", refused.text());
    assert_eq!(states(&world), ["candidate", "m1 active", "w1 gone"]);
}

/// From now on the store refuses `what`, as on a full disk.
fn store_refuses(world: &World, what: &str) {
    let database = Connection::open(world.state_root().join("workerctl.db")).unwrap();
    let trigger =
        format!("CREATE TRIGGER refused BEFORE {what} BEGIN SELECT RAISE(ABORT, 'the disk is full'); END");
    database.execute_batch(&trigger).unwrap();
}

#[test]
fn what_was_done_or_went_wrong_is_told_although_it_is_not_on_record() {
    let world = World::new();
    pair_by_hand(&world);
    store_refuses(&world, "UPDATE ON commands WHEN new.type = 'stop_session' AND new.state = 'succeeded'");
    let stopped = world.conveyor(&["stop", "w1"]).exits(1);
    assert!(
        stopped.stderr.contains("session w1 was stopped, but that is not on record"),
        "{}",
        stopped.text()
    );
    world.tmux(&["has-session", "-t", "codex-w1"], "").exits(1);

    let world = World::new();
    pair_by_hand(&world);
    store_refuses(&world, "INSERT ON events WHEN new.type LIKE '%nudge%'");
    let refused = world.conveyor(&["session-nudge", "w1", " "]).exits(2);
    let (text, said) =
        (refused.text(), ["there is nothing to send", "not on record: database: the disk is full"]);
    assert!(said.iter().all(|said| refused.stderr.contains(said)), "{text}");
}

#[test]
fn a_task_that_is_finished_from_a_session_that_cannot_be_ended_is_told_to_be_done() {
    let world = World::new();
    pair_by_hand(&world);
    world.before_tmux("case \"$*\" in *kill-session*) echo 'error connecting to x (Operation not permitted)' >&2; exit 1;; esac");
    let thread = &texts(&world, "SELECT codex_session_id FROM sessions WHERE name = 'w1'")[0];
    let mut conveyor = world.command(env!("CARGO_BIN_EXE_conveyor"));
    let finish = ["finish-task", "t1", "--stop-worker"];
    let run = Run::of(conveyor.env("CODEX_THREAD_ID", thread).args(finish), "").exits(1);
    assert!(
        run.stderr.contains("task t1 is done, but session w1 was not ended: not permitted"),
        "{}",
        run.text()
    );
    assert!(run.stderr.contains("`conveyor stop w1`"), "{}", run.text());
    assert_eq!(states(&world), ["done", "m1 active", "w1 active"]);
}

#[test]
fn what_a_session_wrote_last_is_told_although_it_was_stopped() {
    let world = World::new();
    pair_by_hand(&world);
    let path = texts(&world, "SELECT codex_session_path FROM sessions WHERE name = 'w1'").remove(0);
    let turn = r#"{"type":"event_msg","payload":{"type":"task_started","turn_id":"a"}}
{"type":"event_msg","payload":{"type":"task_complete","turn_id":"a"}}
"#;
    OpenOptions::new().append(true).open(path).unwrap().write_all(turn.as_bytes()).unwrap();
    world.conveyor(&["stop", "w1"]).ok();
    assert_eq!(states(&world), ["candidate", "m1 active", "w1 gone"]);
    world.conveyor(&["dispatch", "--once"]).ok();
    let inbox = world.conveyor(&["session-inbox", "m1", "--json"]).ok().json();
    assert_eq!(inbox["items"][0]["signal_type"], "worker_task_complete", "{inbox}");
}

#[test]
fn no_command_is_a_question_that_the_usage_answers() {
    let world = World::new();
    let usage = world.conveyor(&[]).ok();
    assert!(usage.stdout.starts_with("usage: conveyor"), "{}", usage.text());
    assert_eq!(world.conveyor(&["--help"]).ok().stdout.lines().next(), usage.stdout.lines().next());
    assert!(!world.state_root().join("workerctl.db").exists());
}

#[test]
fn scripts_and_pages_are_texts_in_json() {
    let world = World::new();
    let check = |args: &[&str], field: &str| {
        let text = world.conveyor(args).ok().stdout;
        let json = world.conveyor(&[args, &["--json"]].concat()).ok().json();
        assert_eq!(json[field].as_str().unwrap(), text.trim_end(), "{args:?}");
    };
    check(&["completions", "bash"], "script");
    check(&["man"], "page");
    check(&["man", "tasks"], "page");
    let dir = world.root().join("man1");
    let written = world.conveyor(&["man", "--dir", dir.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(written["directory"], dir.to_str().unwrap());
    let pages = written["pages"].as_array().unwrap();
    assert_eq!(pages.len(), dir.read_dir().unwrap().count());
    assert!(pages.contains(&json!("conveyor-tasks")), "{written}");
    world.conveyor(&["man", "nothing", "--json"]).exits(1);
    world.conveyor(&["completions", "nothing", "--json"]).exits(2);
}

#[test]
fn the_doctors_say_what_is_missing() {
    let world = World::new();
    let machine = world.conveyor(&["doctor"]).exits(1).json();
    let failed: Vec<&str> = machine["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["ok"] == false)
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["codex"]);
    assert_eq!(machine["supervisor"], Value::Null);

    let own = world.conveyor(&["doctor-self", "--session", "nowhere"]).exits(1).json();
    assert_eq!(own["supported"], false);
    assert!(own["why_or_why_not"].as_str().unwrap().contains("nowhere"), "{own}");
    assert!(!world.state_root().join("workerctl.db").exists(), "a doctor only looks");
    assert_eq!(world.conveyor(&["db-doctor"]).ok().json()["ok"], true);
}

#[test]
fn a_session_of_the_real_codex_registers_itself_and_is_found_by_its_process() {
    let conveyor = env!("CARGO_BIN_EXE_conveyor");
    let itself = run(&format!("{conveyor} doctor-self; {conveyor} register-manager --name itself"));
    let world = World::with_codex(Script::new().on("register", [itself, say("registered")]));
    let terminal =
        Terminal::start(&world, "tui", &world.work_dir("project"), "-s danger-full-access -a never");
    terminal.submit("please register");
    terminal.shows("registered");

    let told = world.model().requests().pop().unwrap().tool_outputs.join("\n");
    assert!(told.contains("\"supported\": true"), "{told}");
    let itself = &world.conveyor(&["sessions", "--name", "itself"]).ok().json()[0];
    assert_eq!(itself["communication"]["transports"], json!(["codex_queue", "mailbox"]), "{itself}");

    let pane_pid = world.tmux(&["display-message", "-p", "-t", "tui", "#{pane_pid}"], "").ok();
    let pid = pane_pid.stdout.trim();
    let by_process = world.conveyor(&["register-worker", "--name", "w1", "--pid", pid]).ok().json();
    assert_eq!(by_process["codex_session_id"], itself["codex_session_id"]);
    assert_eq!(
        texts(&world, "SELECT DISTINCT recipe || ' ' || codex_home FROM session_links"),
        [format!("embedded {}", world.codex_home().display())]
    );
}

#[test]
fn a_private_app_server_ends_with_its_session() {
    let world = World::with_codex(Script::new());
    let socket = world.root().join("as.sock");
    // Started by a shell that ends at once, so that its parent takes note when it ends.
    let listen =
        format!("\"$0\" app-server --listen unix://{} </dev/null >/dev/null 2>&1 &", socket.display());
    let mut shell = world.command("/bin/sh");
    Run::of(shell.args(["-c", &listen]).arg(world.bin().join("codex")), "").ok();
    wait_for("the app-server", PATIENCE, || UnixStream::connect(&socket).ok());
    register(&world, "worker", "w1", &[]);
    world.conveyor(&["stop", "w1"]).exits(1);
    let database = Connection::open(world.state_root().join("workerctl.db")).unwrap();
    let started = "UPDATE session_links SET recipe = 'private_server', app_server_socket = ?1";
    database.execute(started, [socket.to_str().unwrap()]).unwrap();

    assert_eq!(world.conveyor(&["stop", "w1"]).ok().stdout, "stopped w1\n");
    assert!(UnixStream::connect(&socket).is_err());
    assert_eq!(world.conveyor(&["stop", "w1"]).ok().stdout, "w1 was not running\n");
}
