//! The tests' own tools, held against the real Codex and the real tmux.

use crate::support::codex::rollouts;
use crate::support::model::{call, delay, escalate, fail, fail_first, hang, hold, run, say};
use crate::support::processes::{Process, mentioning};
use crate::support::rollout::Rollout;
use crate::support::run::Run;
use crate::support::wait::PATIENCE;
use crate::support::{Script, Terminal, World, wait_for};
use conveyor::codex::rollout::RanCommand;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Runs one turn of the real Codex, without a terminal.
fn exec(world: &World, prompt: &str) -> Run {
    let mut codex = world.codex(&world.work_dir("exec"));
    codex.args(["exec", "--json", "--skip-git-repo-check", "-s", "danger-full-access", prompt]);
    Run::of(&mut codex, "")
}

#[test]
fn codex_runs_what_the_model_calls_and_reports_back() {
    let task = [say("On it."), run("echo {1} > done.txt; cat done.txt"), delay(1), say("Task {1} finished.")];
    let world = World::with_codex(Script::new().on(r"^Task (\w+):", task));
    let codex = exec(&world, "Task alpha: go").ok();
    assert!(codex.stdout.contains("Task alpha finished."), "{}", codex.text());
    assert_eq!(fs::read_to_string(world.work_dir("exec").join("done.txt")).unwrap(), "alpha\n");

    let requests = world.model().requests();
    let [first, second] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((first.user.as_str(), first.source.as_str()), ("Task alpha: go", "user"));
    assert!(first.tools.iter().any(|tool| tool == "exec_command"), "{:?}", first.tools);
    assert!(second.tool_outputs[0].contains("alpha"), "{second:?}");
    assert_eq!((&first.thread, &first.turn), (&second.thread, &second.turn));
}

#[test]
fn codex_meets_refused_and_repeated_requests() {
    let script = Script::new()
        .on("always", [fail(400)])
        .on("at first", [fail_first(1, 500), say("second attempt")])
        .on("unknown tool", [call(Some("mcp__none"), "nothing", json!({})), say("went on")]);
    let world = World::with_codex(script);
    exec(&world, "fails always").exits(1);
    let run = exec(&world, "fails at first").ok();
    assert!(run.stdout.contains("second attempt"), "{}", run.text());
    let run = exec(&world, "unknown tool").ok();
    assert!(run.stdout.contains("went on"), "{}", run.text());
}

#[test]
fn a_terminal_session_waits_asks_and_answers() {
    let script = Script::new()
        .on("held", [hold("gate"), say("released reply")])
        .on("escalated", [escalate("true"), say("allowed reply")]);
    let world = World::with_codex(script);
    let flags = "-s workspace-write -a on-request";
    let terminal = Terminal::start(&world, "tui", &world.work_dir("tui"), flags);
    terminal.submit("please be held");
    assert!(!terminal.screen().contains("released reply"));
    world.model().release("gate");
    terminal.shows("released reply");
    terminal.submit("something escalated");
    terminal.shows("May this run?");
    terminal.press("y");
    terminal.shows("allowed reply");
}

type Shapes = BTreeMap<String, BTreeSet<String>>;

/// The fields of each kind of line: `type/payload type/item type` to names.
fn shapes(path: &Path) -> Shapes {
    let mut shapes = Shapes::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let payload = &line["payload"];
        let kind = format!("{}/{}", line["type"], payload["type"]);
        for (kind, object) in
            [(kind.clone(), payload), (format!("{kind}/{}", payload["item"]["type"]), &payload["item"])]
        {
            let fields = object.as_object().into_iter().flatten().map(|(name, _)| name.clone());
            shapes.entry(kind).or_default().extend(fields);
        }
    }
    shapes
}

/// What a real session writes in a turn that succeeds, one that fails and one that is interrupted.
fn real_shapes() -> Shapes {
    let script = Script::new()
        .on("boom", [fail(400)])
        .on("stuck", [say("hm"), hang()])
        .on("fine", [run("true"), say("done")]);
    let world = World::with_codex(script);
    let terminal = Terminal::start(&world, "tui", &world.work_dir("tui"), "");
    terminal.submit("fine");
    let path = wait_for("the rollout", PATIENCE, || rollouts(&world.codex_home()).pop());
    let ended = |outcome: &str, count: usize| {
        wait_for(outcome, PATIENCE, || {
            (fs::read_to_string(&path).unwrap().matches(outcome).count() == count).then_some(())
        });
    };
    ended("\"task_complete\"", 1);
    terminal.submit("boom");
    ended("\"task_complete\"", 2);
    terminal.submit("get stuck");
    terminal.shows("hm");
    terminal.press("Escape");
    ended("\"turn_aborted\"", 1);
    shapes(&path)
}

#[test]
fn a_written_rollout_has_only_lines_and_fields_that_codex_writes() {
    let real = real_shapes();
    let home = tempfile::tempdir().unwrap();
    let mut rollout = Rollout::create(home.path(), Path::new("/work")).unwrap();
    rollout.begin("hello").unwrap();
    let argv = ["/bin/bash", "-lc", "true"];
    rollout.ran(RanCommand { argv: &argv, cwd: Path::new("/work"), exit_code: 0, output: "" }).unwrap();
    rollout.complete("hi").unwrap();
    rollout.begin("again").unwrap();
    rollout.fail("the limit is reached", json!("usage_limit_exceeded")).unwrap();
    rollout.begin("stop").unwrap();
    rollout.interrupt().unwrap();
    for (kind, fields) in shapes(&rollout.path) {
        let known = real.get(&kind).unwrap_or_else(|| panic!("Codex writes no {kind}"));
        let unknown: Vec<_> = fields.difference(known).collect();
        assert!(unknown.is_empty(), "{kind} has {unknown:?}, Codex knows {known:?}");
    }
}

#[test]
fn a_rollout_is_numbered_and_named_after_its_thread() {
    let home = tempfile::tempdir().unwrap();
    let mut rollout = Rollout::create(home.path(), Path::new("/work")).unwrap();
    let turn = rollout.begin("hello").unwrap();
    rollout.interrupt().unwrap();
    rollout.raw("{\"half\": ").unwrap();

    let text = fs::read_to_string(&rollout.path).unwrap();
    let (lines, rest) = text.rsplit_once('\n').unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["ordinal"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(
        (&lines[3]["payload"]["type"], &lines[3]["payload"]["turn_id"]),
        (&json!("turn_aborted"), &json!(turn))
    );
    assert_eq!(rest, "{\"half\": ");
    assert_eq!(rollouts(home.path()), [rollout.path.as_path()]);
    assert!(rollout.path.to_str().unwrap().ends_with(&format!("-{}.jsonl", rollout.thread)));
}

#[test]
fn conveyor_runs_in_the_world_and_its_output_is_a_snapshot() {
    let world = World::new();
    let run = world.conveyor(&["--version"]).ok();
    assert!(run.snapshot(world.root()).starts_with("$ conveyor --version\nexit: 0\n"));
}

#[test]
fn a_world_leaves_neither_processes_nor_files() {
    let world = World::new();
    let root = world.root().to_owned();
    // A daemon: it left its parent, its session and the world's directory, and ignores SIGTERM.
    let daemon = "trap '' TERM HUP; cd /; while :; do sleep 1; done";
    let mut shell = world.command("/bin/sh");
    Run::of(shell.args(["-c", r#"setsid sh -c "$0" >/dev/null 2>&1 </dev/null &"#, daemon]), "").ok();
    world.tmux(&["new-session", "-d", "-s", "s", "sleep 1000"], "").ok();
    let is = |text: &'static str| move |process: &Process| process.command.contains(text);
    wait_for("both", PATIENCE, || {
        let running = world.processes();
        (running.iter().any(is("trap")) && running.iter().any(is("sleep 1000"))).then_some(())
    });
    drop(world);
    assert_eq!(mentioning(&root), []);
    assert!(!root.exists());
}
