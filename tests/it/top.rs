//! `conveyor top`: one look as text and JSON, and the live view in a real terminal.

use crate::support::World;
use crate::support::wait::{PATIENCE, wait_for};
use serde_json::json;
use std::io::Write;

/// A world with two pairs that have no terminal; `docs` has an open criterion and a message waiting.
fn with_pairs() -> World {
    let world = World::new();
    for task in ["auth", "docs"] {
        world.conveyor(&["create-disposable-binding", task]).ok();
    }
    let criterion = ["--criterion", "It is clear", "--source", "user_requested", "--status", "accepted"];
    world.conveyor(&[&["criteria", "docs", "--add"], &criterion[..]].concat()).ok();
    world.conveyor(&["enqueue-nudge-worker", "docs", "--message", "Go on"]).ok();
    world.conveyor(&["dispatch", "--once"]).ok();
    world
}

#[test]
fn one_look_is_text_or_json() {
    let world = with_pairs();
    let frame = world.conveyor(&["top", "--once", "--json"]).ok().json();
    assert_eq!(frame["supervised"], false);
    let pair = &frame["pairs"][1];
    assert_eq!(
        (&pair["task"], &pair["worker"]["inbox"], &pair["open_criteria"], &pair["worker"]["state"]),
        (&json!("docs"), &json!(1), &json!(1), &json!("unknown"))
    );
    // Without a terminal there is nobody to watch.
    let text = world.conveyor(&["top"]).ok().stdout;
    assert!(text.starts_with("2 pairs, nobody dispatches"), "{text}");
    let row = text.lines().find(|line| line.starts_with("docs")).unwrap();
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["docs", "docs-worker", "unknown", "-", "-", "docs-manager", "1/0", "1", "0"]
    );
}

#[test]
fn the_live_view_shows_what_changes_and_acts() {
    let world = with_pairs();
    let program = env!("CARGO_BIN_EXE_conveyor");
    let size = ["-x", "120", "-y", "14"];
    let session = ["new-session", "-d", "-s", "top"];
    world.tmux(&[&session[..], &size, &[&format!("exec {program} top --interval 0.2")]].concat(), "").ok();
    let shows = |text: &str| {
        wait_for(text, PATIENCE, || world.pane("=top:").contains(text).then_some(()));
    };
    let press = |keys: &[&str]| {
        world.tmux(&[&["send-keys", "-t", "=top:"], keys].concat(), "").ok();
    };
    shows("2 pairs, nobody dispatches");
    shows("LAST TURN");
    shows("worker auth-worker: unknown");

    press(&["Down"]);
    shows("worker docs-worker: unknown");
    press(&["Enter"]);
    shows("docs-worker has no terminal");
    press(&["n"]);
    shows("to docs-worker:");
    press(&["-l", "hello there"]);
    shows("to docs-worker: hello there");
    press(&["Enter"]);
    // It has no terminal to type into, and the refusal names the way there is.
    shows("no terminal and no app-server to push to");
    shows("queue the message for its mailbox");
    press(&["i"]);
    shows("interrupt docs-worker? y/n");
    press(&["n", "c"]);
    shows("cycle 1 of docs: the worker is unknown");

    let sessions =
        world.conveyor(&["sessions", "--state", "all", "--name", "auth-worker", "--json"]).ok().json();
    let path = sessions[0]["codex_session_path"].as_str().unwrap().to_owned();
    let mut rollout = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    let started = json!({"timestamp": "2026-01-01T00:00:00Z", "type": "event_msg",
        "payload": {"type": "task_started", "turn_id": "turn-1"}});
    writeln!(rollout, "{started}").unwrap();
    world.conveyor(&["ingest", "auth-worker"]).ok();
    shows("busy");

    world.tmux(&["resize-window", "-t", "=top:", "-x", "40", "-y", "8"], "").ok();
    wait_for("the narrow view", PATIENCE, || {
        let pane = world.pane("=top:");
        (pane.contains("STATE") && !pane.contains("WORKER")).then_some(())
    });
    press(&["q"]);
    wait_for("its end", PATIENCE, || world.pane("=top:").is_empty().then_some(()));
}
