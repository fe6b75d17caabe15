//! A loop between two sessions of the real Codex that have no terminal: both poll their inboxes.

use crate::support::model::{Action, Request, call, hold, run, say};
use crate::support::wait::poll;
use crate::support::{Script, World, wait_for};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// Two Codex sessions and three passes, on a machine that may be busy.
const DEADLINE: Duration = Duration::from_secs(120);

/// A poll that outlasts the other side's work.
const POLL_SECONDS: u64 = 300;

fn tool(name: &str, arguments: Value) -> Action {
    call(Some("mcp__conveyor"), name, arguments)
}

/// It is this session from now on, and told nothing unless it asks.
fn register(role: &str) -> Action {
    let session = json!({"name": format!("t1-{role}"), "transport": ["mailbox"]});
    tool(&format!("register_{role}"), session)
}

fn poll_inbox(of: &str, seconds: u64) -> Action {
    tool(of, json!({"task": "t1", "consume_next": true, "wait": true, "timeout": seconds}))
}

/// Makes the artifact of a pass and tells the manager.
fn work(pass: u32) -> [Action; 2] {
    let done = json!({"task": "t1", "message": format!("pass {pass} is done")});
    [run(&format!("touch pass-{pass}")), tool("enqueue_notify_manager", done)]
}

fn worker() -> Vec<Action> {
    [
        vec![register("worker")],
        work(1).to_vec(),
        vec![poll_inbox("worker_inbox", POLL_SECONDS)],
        work(2).to_vec(),
        vec![poll_inbox("worker_inbox", POLL_SECONDS)],
        work(3).to_vec(),
        vec![hold("the end"), poll_inbox("worker_inbox", 1), say("The loop is over.")],
    ]
    .concat()
}

fn request(pass: u32) -> Action {
    let message = format!("Please do pass {pass}.");
    let asked = json!({"task": "t1", "loop_run": "loop", "requested_iteration": pass, "message": message});
    tool("enqueue_continue_iteration", asked)
}

fn prove(pass: u32) -> Action {
    let evidence =
        json!({"task": "t1", "loop_run": "loop", "iteration": pass, "evidence_type": "build_passed"});
    tool("loop_evidence_add", evidence)
}

fn manager() -> Vec<Action> {
    let look = || tool("loop_status", json!({"task": "t1", "run": "loop"}));
    let hear = || poll_inbox("manager_inbox", POLL_SECONDS);
    vec![
        register("manager"),
        hear(),
        request(2),
        hold("the refusal"),
        look(),
        prove(1),
        request(2),
        hear(),
        prove(2),
        request(3),
        hear(),
        prove(3),
        request(4),
        hold("the cut-off"),
        look(),
        say("I have reviewed three passes."),
    ]
}

/// A Codex that nobody looks at, with one prompt.
struct Headless {
    process: Child,
}

impl Headless {
    fn start(world: &World, directory: &Path, prompt: &str) -> Self {
        let said = File::create(directory.join("said.txt")).unwrap();
        let mut codex = world.codex(directory);
        let codex = codex.args(["exec", "--skip-git-repo-check", "--sandbox", "workspace-write", prompt]);
        let errors = said.try_clone().unwrap();
        let process = codex.stdin(Stdio::null()).stdout(said).stderr(errors).spawn().unwrap();
        Self { process }
    }

    fn ends(&mut self) {
        let status = wait_for("the end of a session", DEADLINE, || self.process.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

fn texts(world: &World, sql: &str) -> Vec<String> {
    let database = Connection::open(world.state_root().join("workerctl.db")).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

const REQUESTS: &str =
    "SELECT json_extract(payload_json, '$.ralph_loop.requested_iteration') || ' ' || state || ' '
        || coalesce(json_extract(result_json, '$.reason'), 'delivered')
    FROM commands WHERE type = 'continue_iteration' ORDER BY rowid";

/// Waits until Dispatch has decided on so many requests, the last of them like this.
#[track_caller]
fn decided(world: &World, count: usize, last: &str) {
    let mut seen = Vec::new();
    let reached = poll(DEADLINE, || {
        seen = texts(world, REQUESTS);
        (seen.len() == count && seen.last().is_some_and(|decided| decided == last)).then_some(())
    });
    assert!(reached.is_some(), "{seen:?}, not {last:?} as number {count}\n{}", said(world));
}

fn said(world: &World) -> String {
    ["worker", "manager"]
        .map(|who| fs::read_to_string(world.work_dir(who).join("said.txt")).unwrap_or_default())
        .join("\n----\n")
}

/// The last request of the session that was prompted like this: it has all tool outputs.
fn last_asked(world: &World, prompt: &str) -> Request {
    let asked = world.model().requests();
    asked.into_iter().rfind(|request| request.user.starts_with(prompt)).unwrap()
}

#[test]
fn a_pair_without_terminals_is_held_back_once_and_cut_off_at_the_end() {
    let script = Script::new().on("^You are worker t1-worker", worker()).on("^Manage the loop", manager());
    let world = World::with_codex(script);
    world.give_tools(&["--max-wait-seconds", "500"]);
    let [in_worker, in_manager] = ["worker", "manager"].map(|who| world.work_dir(who));
    let create = "create-disposable-binding t1 --run-name loop --max-iterations 3 --required-before-continue build_passed --json";
    let made = world.conveyor(&create.split(' ').collect::<Vec<_>>()).ok().json();
    world.conveyor(&["run", "--detach"]).ok();

    let mut worker = Headless::start(&world, &in_worker, made["worker_handoff"].as_str().unwrap());
    let mut manager = Headless::start(&world, &in_manager, "Manage the loop of t1.");
    decided(&world, 1, "2 blocked missing_build_passed_evidence");
    assert!(
        texts(
            &world,
            "SELECT signal_type FROM routed_notifications WHERE signal_type = 'continue_iteration'"
        )
        .is_empty()
    );
    world.model().release("the refusal");
    decided(&world, 4, "4 blocked max_iterations_reached");
    world.model().release("the cut-off");
    world.model().release("the end");
    manager.ends();
    worker.ends();

    assert_eq!(
        texts(&world, REQUESTS),
        [
            "2 blocked missing_build_passed_evidence",
            "2 succeeded delivered",
            "3 succeeded delivered",
            "4 blocked max_iterations_reached"
        ]
    );
    for pass in 1..=3 {
        assert!(in_worker.join(format!("pass-{pass}")).exists(), "{}", said(&world));
    }
    everything_was_polled(&world);
    both_saw_what_happened(&world);
    world.conveyor(&["run", "--stop"]).ok();
}

/// Nothing was pushed: each item was read from an inbox, by the session it was for.
fn everything_was_polled(world: &World) {
    let routed =
        "SELECT signal_type || ' ' || delivery_mode || ' ' || (consumed_by_session_id = target_session_id)
        FROM routed_notifications WHERE signal_type IN ('continue_iteration', 'notify_manager') ORDER BY id";
    let [told, asked] = ["notify_manager pull_required 1", "continue_iteration pull_required 1"];
    assert_eq!(texts(world, routed), [told, asked, told, asked, told]);
    assert!(texts(world, "SELECT transport FROM deliveries WHERE transport <> 'mailbox'").is_empty());
    assert!(texts(world, "SELECT name FROM sessions WHERE tmux_session IS NOT NULL").is_empty());
    world.tmux(&["list-sessions"], "").exits(1);
}

fn both_saw_what_happened(world: &World) {
    let worker = last_asked(world, "You are worker t1-worker");
    let manager = last_asked(world, "Manage the loop");
    let threads = texts(world, "SELECT codex_session_id FROM sessions ORDER BY role DESC");
    assert_eq!(threads, [worker.thread, manager.thread]);

    let [registered, .., second, _, _, third, _, _, nothing] = worker.tool_outputs.as_slice() else {
        panic!("{:?}", worker.tool_outputs)
    };
    assert!(registered.contains("t1-worker"), "{registered}");
    for (item, pass) in [(second, 2), (third, 3)] {
        assert!(item.contains(&format!("Please do pass {pass}.")), "{item}");
        assert!(
            item.contains(r#""loop_policy":{"#) && item.contains(&format!(r#""requested_iteration":{pass}"#)),
            "{item}"
        );
    }
    assert!(nothing.contains(r#""timed_out":true"#), "{nothing}");

    let looks: Vec<&String> =
        manager.tool_outputs.iter().filter(|output| output.contains("recommendation")).collect();
    let [refused, cut_off] = looks.as_slice() else { panic!("{:?}", manager.tool_outputs) };
    assert!(
        refused.contains(r#""missing":["build_passed"]"#) && refused.contains(r#""blocked":1"#),
        "{refused}"
    );
    assert!(
        cut_off.contains(r#""delivered_iteration":3"#) && cut_off.contains(r#""blocked":2"#),
        "{cut_off}"
    );
}
