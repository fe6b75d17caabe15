//! What the README shows of the program is what the program shows: a demonstration is played with two
//! sessions of the real Codex, and the views of it are held against the text.
//!
//! `cargo xtask captures` has this test write the text anew.

use crate::support::model::{call, hold, run, say};
use crate::support::run::Run;
use crate::support::wait::PATIENCE;
use crate::support::{Script, World, wait_for};
use regex::Regex;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where it stands.
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// The size of the live view's terminal, in which all of its columns find room.
const SIZE: [&str; 4] = ["-x", "100", "-y", "7"];

/// What the two models do, each in its turns. The worker's second turn lasts until it is released.
fn haiku() -> Script {
    let tool = |name: &str, arguments: Value| call(Some("mcp__conveyor"), name, arguments);
    let look = || tool("cycle", json!({"task": "haiku"}));
    let nudge = json!({"name": "demo-worker", "text": "Add the third line."});
    let proof = "haiku.txt has its three lines";
    let satisfy = json!({"task": "haiku", "satisfy": 1, "proof": proof});
    let finish = json!({"task": "haiku", "reason": proof, "require_criteria_audit": true});
    let at_first = [look(), tool("session_nudge", nudge), say("I have asked for more.")];
    let at_last = [look(), tool("criteria", satisfy), tool("finish_task", finish), say("It is finished.")];
    Script::new()
        .on("^Write the first two lines", [run("printf 'one\\ntwo\\n' > haiku.txt"), say("Two lines.")])
        .on("Add the third line", [hold("third"), run("echo three >> haiku.txt"), say("Three lines.")])
        .once("worker_task_complete", at_first)
        .on("worker_task_complete", at_last)
}

#[test]
fn the_readme_shows_a_real_run() {
    let world = World::with_codex(haiku());
    let temporary = world.root().join("t");
    fs::create_dir(&temporary).unwrap();
    let mut demo = world.command(env!("CARGO_BIN_EXE_conveyor"));
    demo.args(["demo", "--codex", "--yes", "--keep"]).env("TMPDIR", &temporary);
    let mut demo = demo.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();

    let state_root = wait_for("the demonstration", PATIENCE, || scene(&temporary)).join("state");
    let top = live_view(&world, &state_root);
    world.model().release("third");
    let played = wait_for("the end of the demonstration", PATIENCE, || demo.try_wait().unwrap());
    assert!(played.success());
    let mut replay = conveyor(&world, &state_root);
    let replay = Run::of(replay.args(["replay", "haiku"]), "").ok().stdout;

    let readme = fs::read_to_string(README).unwrap();
    let shown = [("replay haiku", replay), ("top", top)];
    if std::env::var_os("CONVEYOR_CAPTURES").is_some() {
        let put = |text: String, (command, shown): &(&str, String)| replaced(&text, command, shown).unwrap();
        return fs::write(README, shown.iter().fold(readme, put)).unwrap();
    }
    for (command, shown) in shown {
        let [_, stands, _] =
            capture(&readme, command).unwrap_or_else(|| panic!("the README shows no {command}"));
        assert_eq!(steady(stands), steady(&shown), "see `cargo xtask captures`; now it is\n{shown}");
    }
}

fn conveyor(world: &World, state_root: &Path) -> Command {
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    command.env("CONVEYOR_STATE_ROOT", state_root);
    command
}

/// The directory of the demonstration, once its database is there.
fn scene(temporary: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(temporary).unwrap().flatten().map(|entry| entry.path());
    entries.find(|path| path.join("state/workerctl.db").exists())
}

/// What `conveyor top` shows while the worker is in its second turn.
fn live_view(world: &World, state_root: &Path) -> String {
    let state_root = format!("CONVEYOR_STATE_ROOT={}", state_root.display());
    let start = ["new-session", "-d", "-s", "top", "-e", &state_root];
    let program = format!("exec {} top --interval 0.2", env!("CARGO_BIN_EXE_conveyor"));
    world.tmux(&[&start[..], &SIZE, &[&program]].concat(), "").ok();
    let press = |key: &str| world.tmux(&["send-keys", "-t", "=top:", key], "").ok();
    let shows = |what: &str| {
        wait_for(what, PATIENCE, || Some(world.pane("=top:")).filter(|screen| screen.contains(what)))
    };
    shows("completed  demo-manager");
    shows("demo-worker: busy");
    // The manager's turn ends after the nudge.
    press("Tab");
    shows("demo-manager: idle");
    press("Tab");
    let shown = shows("demo-worker: busy");
    press("q");
    shown
}

/// What stands in a document before the answer to a command, the answer, and what stands after it.
fn capture<'a>(document: &'a str, command: &str) -> Option<[&'a str; 3]> {
    let begin = format!("```console\n$ conveyor {command}\n");
    let before = document.find(&begin)? + begin.len();
    let shown = document[before..].find("\n```\n")?;
    Some([&document[..before], &document[before..before + shown], &document[before + shown..]])
}

/// The document with another answer to a command; `None` where it has none.
fn replaced(document: &str, command: &str, shown: &str) -> Option<String> {
    let [before, _, after] = capture(document, command)?;
    Some([before, shown.trim_end(), after].concat())
}

/// The lines without what differs from run to run: when, how long, names that are drawn, and which of
/// two came first that happen at once.
fn steady(shown: &str) -> Vec<String> {
    let differs = [
        r"(\w+day )?\d{4}-\d\d-\d\d(T[\d:.]+Z)?",
        r"\d\d:\d\d:\d\d",
        r"\+?(\d+(\.\d+)?(ms|s|m|h) ?)+\b",
        r"[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}",
        r"\s+",
    ];
    let differs = Regex::new(&differs.join("|")).unwrap();
    let steady = |line: &str| differs.replace_all(line, " ").trim().to_owned();
    let mut lines: Vec<String> = shown.lines().map(steady).collect();
    lines.retain(|line| !line.is_empty());
    lines.sort();
    lines
}

#[test]
fn a_capture_is_found_and_replaced() {
    let document = "a\n```console\n$ conveyor x\nold\n```\nb\n";
    assert_eq!(capture(document, "x").unwrap()[1], "old");
    let expect = "a\n```console\n$ conveyor x\nnew\n```\nb\n";
    assert_eq!(replaced(document, "x", "new\n\n").as_deref(), Some(expect));
    assert_eq!(replaced(document, "y", "new"), None);
}

#[test]
fn what_differs_from_run_to_run_is_left_out() {
    let check = |one: &str, other: &str, same: bool| assert_eq!(steady(one) == steady(other), same, "{one}");
    check("At: 2026-01-01T10:00:00.1Z", "At: 2027-02-03T04:05:06Z", true);
    check("10:00:00  +65ms  b\n10:00:01  +1.5s  a", "11:00:00    +2s  a\n\n11:00:01   +0ms  b", true);
    check("task-fb51d8aa-d860-4f8a-88ef-eb5613a120ef", "task-c6a16d72-81e5-4c67-bbe0-008da37a9b2e", true);
    check("total=1", "total=2", false);
    check("busy  0s", "idle  0s", false);
}
