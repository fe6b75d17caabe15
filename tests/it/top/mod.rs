//! `conveyor top`: one look as text and JSON, and the live view in a real terminal.

mod supervised;

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

/// The live view, in a terminal of its own.
struct View<'a> {
    world: &'a World,
}

impl<'a> View<'a> {
    /// Starts one from a shell, which tells at the end how it finds its terminal.
    fn open(world: &'a World) -> Self {
        let program = env!("CARGO_BIN_EXE_conveyor");
        let shell = format!(
            "before=$(stty -g); {program} top --interval 0.2; echo it exits with $?
             [ \"$(stty -g)\" = \"$before\" ] && echo the terminal is as before; exec cat"
        );
        let session = ["new-session", "-d", "-s", "top", "-x", "120", "-y", "14"];
        world.tmux(&[&session[..], &[&shell]].concat(), "").ok();
        Self { world }
    }

    fn screen(&self) -> String {
        self.world.pane("=top:")
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        wait_for(text, PATIENCE, || self.screen().contains(text).then_some(()));
    }

    #[track_caller]
    fn shows_no_more(&self, text: &str) {
        wait_for(text, PATIENCE, || (!self.screen().contains(text)).then_some(()));
    }

    fn press(&self, keys: &[&str]) {
        self.world.tmux(&[&["send-keys", "-t", "=top:"], keys].concat(), "").ok();
    }

    /// Writes a text to the chosen session, and sends it.
    #[track_caller]
    fn send(&self, session: &str, text: &str) {
        self.press(&["n"]);
        self.shows(&format!("to {session}:"));
        self.press(&["-l", text]);
        self.shows(&format!("to {session}: {text}"));
        self.press(&["Enter"]);
    }

    fn resize(&self, width: &str, height: &str) {
        self.world.tmux(&["resize-window", "-t", "=top:", "-x", width, "-y", height], "").ok();
    }

    /// Waits for its end; the terminal is then as a shell wants it.
    #[track_caller]
    fn has_ended(&self) {
        self.shows("it exits with 0");
        self.shows("the terminal is as before");
        let format = "#{alternate_on} #{cursor_flag} #{mouse_any_flag}";
        let terminal = self.world.tmux(&["display-message", "-p", "-t", "=top:", format], "").ok().stdout;
        assert_eq!(terminal, "0 1 0\n");
    }
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
    let view = View::open(&world);
    view.shows("2 pairs, nobody dispatches");
    view.shows("LAST TURN");
    view.shows("worker auth-worker: unknown");

    view.press(&["Down"]);
    view.shows("worker docs-worker: unknown");
    view.press(&["Enter"]);
    view.shows("docs-worker has no terminal");
    view.send("docs-worker", "hello there");
    // It has no terminal to type into, and the refusal names the way there is.
    view.shows("no terminal and no app-server to push to");
    view.shows("queue the message for its mailbox");
    view.press(&["i"]);
    view.shows("interrupt docs-worker? y/n");
    view.press(&["n", "c"]);
    view.shows("cycle 1 of docs: the worker is unknown");

    let sessions =
        world.conveyor(&["sessions", "--state", "all", "--name", "auth-worker", "--json"]).ok().json();
    let path = sessions[0]["codex_session_path"].as_str().unwrap().to_owned();
    let mut rollout = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    let started = json!({"timestamp": "2026-01-01T00:00:00Z", "type": "event_msg",
        "payload": {"type": "task_started", "turn_id": "turn-1"}});
    writeln!(rollout, "{started}").unwrap();
    world.conveyor(&["ingest", "auth-worker"]).ok();
    view.shows("busy");

    view.press(&["q"]);
    view.has_ended();
}

#[test]
fn the_live_view_follows_its_terminal_s_size() {
    let world = with_pairs();
    let view = View::open(&world);
    view.shows("LAST TURN");
    view.resize("40", "8");
    view.shows_no_more("WORKER");
    assert!(view.screen().contains("STATE"), "{}", view.screen());
    view.resize("5", "2");
    view.shows_no_more("STATE");
    view.resize("120", "14");
    view.shows("LAST TURN");
    view.press(&["C-c"]);
    view.has_ended();
}

#[test]
fn a_pasted_text_is_no_key() {
    let world = with_pairs();
    let view = View::open(&world);
    view.shows("worker auth-worker: unknown");
    let paste = |text: &str| {
        world.tmux(&["load-buffer", "-"], text).ok();
        world.tmux(&["paste-buffer", "-d", "-p", "-t", "=top:"], "").ok();
    };
    paste("q\n");
    view.press(&["n"]);
    view.shows("to auth-worker:");
    paste("one\niy\nq");
    view.shows("to auth-worker: one");
    view.press(&["Escape"]);
    view.shows("q quit");
    view.press(&["q"]);
    view.has_ended();
}
