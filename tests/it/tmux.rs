//! The tmux transport, held against the real Codex.

use std::process::Command;

use conveyor::domain::OriginHeader;
use conveyor::tmux::{Target, TmuxServer};

use crate::support::wait::{PATIENCE, poll};
use crate::support::{Script, Terminal, World, wait_for};
use std::time::Duration;

/// How long an Enter may take to become a request before it is pressed again.
const ENTER_TAKES: Duration = Duration::from_secs(3);

fn server_of(world: &World) -> TmuxServer {
    let environment: Command = world.command("tmux");
    let lookup = |name: &str| {
        let found = environment.get_envs().find(|(key, _)| *key == name);
        found.and_then(|(_, value)| value).map(ToOwned::to_owned)
    };
    TmuxServer::resolve(lookup)
}

#[test]
fn typed_text_reaches_codex_as_one_message_with_its_header() {
    let world = World::with_codex(Script::new());
    let _terminal = Terminal::start(&world, "tui", &world.work_dir("tui"), "");
    let server = server_of(&world);
    let pane = server.pane(&"tui".parse().unwrap()).unwrap();
    assert!(!pane.dead && !pane.shows_shell(), "{pane:?}");

    let header = OriginHeader {
        kind: "nudge_worker".into(),
        from: "manager a".into(),
        correlation_id: "dispatch-1".into(),
        delivery: 1,
    };
    let body = "!touch stolen\n/quit\n\n@file\ttab, é 漢 🦀 and a trailing;";
    let target = Target::from(pane.id);
    let loaded = server.load_text(&target, &header.before(body)).unwrap();
    server.paste(loaded).unwrap();
    wait_for("the composer", PATIENCE, || {
        server.view(&target, 0).unwrap().text.contains("a trailing;").then_some(())
    });
    let received = wait_for("the message", PATIENCE, || {
        server.submit(&target).unwrap();
        let request = || world.model().requests().into_iter().find(|request| request.source == "user");
        poll(ENTER_TAKES, request)
    });
    assert_eq!(OriginHeader::split(&received.user), Some((header, body)));
    assert!(!world.work_dir("tui").join("stolen").exists());
}
