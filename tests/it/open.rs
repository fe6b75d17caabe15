//! Windows that show a session, with a stand-in for the user's terminal program.

use crate::support::World;
use crate::support::rollout::Rollout;
use crate::support::run::Run;
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

/// A terminal program: what it is given runs in a terminal of another tmux server.
const TERMINAL: &str = r#"shift; exec tmux -L windows -f /dev/null new-session -d env -u TMUX "$@""#;

/// A world with a bound pair whose worker, with a name that needs quotes, has a terminal.
fn pair() -> World {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t", "--goal", "be seen"]).ok();
    world.tmux(&["new-session", "-d", "-s", "codex-it's $(id)", "cat"], "").ok();
    for (role, name) in [("worker", "it's $(id)"), ("manager", "m")] {
        let rollout = Rollout::create(&world.codex_home(), &world.work_dir("project")).unwrap();
        let rollout = rollout.path.to_str().unwrap();
        let mut args = vec!["register-worker", "--name", name, "--codex-session", rollout];
        match role {
            "worker" => args.extend(["--tmux-session", "codex-it's $(id)"]),
            _ => args[0] = "register-manager",
        }
        world.conveyor(&args).ok();
    }
    world.conveyor(&["bind", "--task", "t", "--worker", "it's $(id)", "--manager", "m"]).ok();
    world
}

/// Runs conveyor where there is a screen and the terminal program `script`.
fn on_a_screen(world: &World, script: &str, args: &[&str]) -> Run {
    let terminal = world.bin().join("my-terminal");
    fs::write(&terminal, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&terminal, Permissions::from_mode(0o755)).unwrap();
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    Run::of(command.env("DISPLAY", ":77").env("TERMINAL", "my-terminal").args(args), "")
}

#[test]
fn a_window_shows_a_session_whatever_it_is_called() {
    let world = pair();
    let opened = on_a_screen(&world, TERMINAL, &["open-worker", "t"]).ok();
    assert_eq!(opened.stdout, "opened it's $(id) in my-terminal\n");
    let again = on_a_screen(&world, TERMINAL, &["open", "it's $(id)"]).exits(1);
    assert!(again.stderr.contains("--force"), "{}", again.text());
    let second = on_a_screen(&world, TERMINAL, &["open", "it's $(id)", "--force", "--json"]).ok().json();
    assert_eq!((&second["attached"], &second["role"]), (&json!(true), &json!("worker")));
}

#[test]
fn a_worker_with_a_directory_of_files_is_shown_too() {
    let world = World::new();
    fs::create_dir(world.state_root().join("w")).unwrap();
    fs::write(world.state_root().join("w/config.json"), r#"{"tmux_session": "codex-w"}"#).unwrap();
    on_a_screen(&world, TERMINAL, &["open", "w"]).exits(1);
    world.tmux(&["new-session", "-d", "-s", "codex-w", "cat"], "").ok();
    on_a_screen(&world, TERMINAL, &["open", "w"]).ok();
}

#[test]
fn a_dry_run_and_a_broken_terminal_open_nothing() {
    let world = pair();
    let planned = on_a_screen(&world, TERMINAL, &["open-worker", "t", "--dry-run"]).ok();
    assert!(planned.stdout.ends_with("attach-session -t '=codex-it'\\''s $(id)'\n"), "{}", planned.text());
    assert!(planned.stdout.contains("/my-terminal -e "), "{}", planned.text());
    // A terminal program that fails is told of as one that is missing.
    let broken = on_a_screen(&world, "exit 3", &["open-worker", "t"]).exits(1);
    assert!(
        broken.stderr.contains("exit status: 3") && broken.stderr.contains("tmux -S"),
        "{}",
        broken.text()
    );
    let clients = world.tmux(&["list-clients"], "").ok();
    assert_eq!(clients.stdout, "");
}

#[test]
fn without_a_screen_it_is_said_how_to_look() {
    let world = pair();
    let run = world.conveyor(&["open-worker", "t"]).exits(1);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("DISPLAY") && run.stderr.contains("tmux -S"), "{}", run.text());
    let told = world.conveyor(&["open-worker", "t", "--json"]).exits(1).json();
    assert_eq!(told["opened"], false);
    // The command that is told works as it stands.
    let attach = told["attach_command"].as_str().unwrap();
    let mut outer = world.command("sh");
    Run::of(
        outer.args(["-c", &format!("tmux -L windows -f /dev/null new-session -d env -u TMUX {attach}")]),
        "",
    )
    .ok();
    crate::support::wait_for("a client", crate::support::wait::PATIENCE, || {
        (!world.tmux(&["list-clients"], "").stdout.is_empty()).then_some(())
    });
}

#[test]
fn what_has_no_terminal_is_refused() {
    let world = pair();
    let check = |args: &[&str], told: &str| {
        let run = on_a_screen(&world, TERMINAL, args).exits(1);
        assert!(run.stderr.contains(told), "{}", run.text());
    };
    check(&["open-manager", "t"], "session m has no terminal");
    check(&["open-manager", "nope"], "nope");
    check(&["open", "nope"], "nope");
    world.tmux(&["kill-server"], "").ok();
    check(&["open-worker", "t"], "does not exist");
    world.conveyor(&["tasks", "--create", "u", "--goal", "g"]).ok();
    check(&["open-worker", "u"], "no active binding");
    on_a_screen(&world, TERMINAL, &["open", "m", "--terminal", "kitty"]).exits(2);
}
