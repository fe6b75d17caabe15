//! Who reads what is typed into a pane whose foreground looks like a shell's.

use crate::support::rollout::Rollout;
use crate::support::run::Run;
use crate::support::wait::PATIENCE;
use crate::support::{World, wait_for};
use rusqlite::Connection;
use std::fs;

/// A world with a tmux session `s` that runs `argv`, once tmux sees a shell in its foreground.
fn with_pane(argv: &[&str]) -> World {
    let world = World::new();
    world.tmux(&[&["new-session", "-d", "-s", "s"], argv].concat(), "").ok();
    wait_for("a shell", PATIENCE, || (asked(&world, "#{pane_current_command}") == "sh").then_some(()));
    world
}

fn asked(world: &World, format: &str) -> String {
    world.tmux(&["display-message", "-p", "-t", "=s:", format], "").stdout.trim().to_owned()
}

/// The process that a script noted down in the file `pid`.
fn noted(world: &World) -> String {
    wait_for("a process", PATIENCE, || {
        fs::read_to_string(world.root().join("pid")).ok()?.strip_suffix('\n').map(str::to_owned)
    })
}

fn register(world: &World, pid: &str) {
    let rollout = Rollout::create(&world.codex_home(), &world.work_dir("project")).unwrap();
    let rollout = rollout.path.to_str().unwrap();
    let register = ["register-worker", "--name", "w", "--tmux-session", "s", "--pid", pid];
    world.conveyor(&[&register[..], &["--codex-session", rollout]].concat()).ok();
}

/// Nudges the worker with a line that a shell would carry out.
fn nudge(world: &World) -> Run {
    let line = format!("touch {}", world.root().join("made").display());
    world.conveyor(&["session-nudge", "w", &format!("x\n{line}\n")])
}

fn is_refused(world: &World) {
    let refused = nudge(world).exits(1);
    let says = |words: &str| assert!(refused.stderr.contains(words), "{words}: {}", refused.text());
    says("the shell sh stands in the foreground of tmux session s");
    says("`conveyor register-worker --name w --pid PID --tmux-session s`");
    assert!(!world.pane("=s:").contains("touch"), "{}", world.pane("=s:"));
}

fn is_told(world: &World) {
    nudge(world).ok();
    wait_for("the text", PATIENCE, || world.pane("=s:").contains("touch").then_some(()));
}

#[test]
fn a_shell_is_told_nothing_whoever_is_alive() {
    let world = with_pane(&["sh", "-i"]);
    register(&world, &asked(&world, "#{pane_pid}"));
    is_refused(&world);

    register(&world, &std::process::id().to_string());
    is_refused(&world);

    // Below the shell, but not in its place.
    let pid = world.root().join("pid");
    let job = format!("sleep 1000 & echo $! > {}", pid.display());
    world.tmux(&["send-keys", "-t", "=s:", &job, "Enter"], "").ok();
    register(&world, &noted(&world));
    is_refused(&world);
    assert!(!world.root().join("made").exists());
}

#[test]
fn a_program_behind_the_shell_that_waits_for_it_is_told() {
    let script = r#"sh -c 'echo $$ > "$0"; exec cat' "$0"; exit 0"#;
    let world = World::new();
    let pid = world.root().join("pid");
    world.tmux(&["new-session", "-d", "-s", "s", "sh", "-c", script, pid.to_str().unwrap()], "").ok();
    let program = noted(&world);
    wait_for("the program", PATIENCE, || {
        let name = Run::of(world.command("/bin/ps").args(["-o", "comm=", "-p", &program]), "");
        name.stdout.trim().ends_with("cat").then_some(())
    });
    assert_eq!(asked(&world, "#{pane_current_command}"), "sh");
    register(&world, &program);
    is_told(&world);
    register(&world, &asked(&world, "#{pane_pid}"));
    is_told(&world);
    // A server elsewhere may be what was registered: still no shell reads here.
    register(&world, &std::process::id().to_string());
    is_told(&world);

    // Its number belongs to another process now.
    register(&world, &program);
    let database = Connection::open(world.state_root().join("workerctl.db")).unwrap();
    let earlier = "UPDATE session_links SET pid_started_at = '2020-01-01T00:00:00.000Z'";
    assert_eq!(database.execute(earlier, []).unwrap(), 1);
    nudge(&world).exits(1);
}

#[test]
fn a_pane_that_a_person_opens_beside_the_program_is_told_nothing() {
    let recorded = |world: &World| -> Option<String> {
        let database = Connection::open(world.state_root().join("workerctl.db")).unwrap();
        database.query_row("SELECT tmux_pane_id FROM sessions", [], |row| row.get(0)).unwrap()
    };
    let world = World::new();
    world.tmux(&["new-session", "-d", "-s", "s", "cat"], "").ok();
    let (program, pane) = (asked(&world, "#{pane_pid}"), asked(&world, "#{pane_id}"));
    register(&world, &program);
    assert_eq!(recorded(&world), Some(pane.clone()));
    world.tmux(&["split-window", "-t", "=s:", "sh", "-i"], "").ok();
    wait_for("a shell", PATIENCE, || (asked(&world, "#{pane_current_command}") == "sh").then_some(()));
    nudge(&world).ok();
    wait_for("the text", PATIENCE, || world.pane(&pane).contains("touch").then_some(()));
    assert!(!world.pane("=s:").contains("touch"), "{}", world.pane("=s:"));

    // Registered again, it is known among several.
    register(&world, &program);
    assert_eq!(recorded(&world), Some(pane));
    register(&world, &std::process::id().to_string());
    assert_eq!(recorded(&world), None);
}
