//! Codex in a terminal, started by the command lines that `launch` makes.

use super::app_server::{notice, running, socket, stop, unattended};
use super::{mcp_server_that_makes, rollout_lines};
use crate::support::model::say;
use crate::support::wait::{PATIENCE, poll};
use crate::support::{Script, World, wait_for};
use conveyor::codex::app_server::{Notice, RunningServer, TurnStart};
use conveyor::codex::discover::{
    DiscoverError, LockHolder, current_thread, lock_holder, session_of, system_processes, threads_held_by,
};
use conveyor::codex::install::inspect;
use conveyor::codex::launch::{attached, embedded};
use conveyor::codex::policy::{ApprovalPolicy, SandboxMode};
use conveyor::codex::settings::Settings;
use conveyor::codex::version::Recipe;
use serde_json::{Map, json};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// Starts `argv` in a new tmux session, without a shell, and returns its process once the composer
/// is there.
fn open(world: &World, session: &str, directory: &Path, argv: &[OsString]) -> u32 {
    let mut words = vec!["new-session", "-d", "-x", "120", "-y", "40", "-s", session, "-c"];
    words.push(directory.to_str().unwrap());
    words.push("--");
    words.extend(argv.iter().map(|word| word.to_str().unwrap()));
    world.tmux(&words, "").ok();
    let pane = format!("={session}:");
    shows(world, session, "for agents");
    world.tmux(&["display-message", "-p", "-t", &pane, "#{pane_pid}"], "").ok().stdout.trim().parse().unwrap()
}

fn shows(world: &World, session: &str, text: &str) {
    let pane = format!("={session}:");
    wait_for(text, PATIENCE, || world.pane(&pane).contains(text).then_some(()));
}

/// Types `/clear`, and Enter until `thread` is another: a starved Codex takes an early Enter for a
/// line break. Returns the new thread.
fn clear(world: &World, session: &str, thread: impl Fn() -> String) -> String {
    let pane = format!("={session}:");
    let before = thread();
    world.tmux(&["send-keys", "-l", "-t", &pane, "/clear"], "").ok();
    shows(world, session, "/clear");
    wait_for("another thread", PATIENCE, || {
        world.tmux(&["send-keys", "-t", &pane, "Enter"], "").ok();
        poll(Duration::from_secs(3), || Some(thread()).filter(|now| *now != before))
    })
}

#[tokio::test]
async fn an_attached_terminal_shows_the_thread_and_follows_it() {
    let world = World::with_codex(Script::new().on(".", [say("seen in the terminal")]));
    let RunningServer { client, mut events, pid: server } = running(&world).await;
    let thread = client.thread_start(&unattended(&world)).await.unwrap();
    client.thread_name_set(&thread.id, "worker one").await.unwrap();
    let program = world.bin().join("codex");
    let argv = attached(&program, &socket(&world), &thread.id, &["--no-alt-screen".to_owned()]);
    let terminal = open(&world, "w", &world.work_dir("w"), &argv);
    shows(&world, "w", "YOLO mode");

    let message = TurnStart { thread_id: &thread.id, text: "hello", client_user_message_id: "message-1" };
    client.turn_start(message).await.unwrap();
    shows(&world, "w", "seen in the terminal");
    let context = rollout_lines(&thread.path.clone().unwrap());
    let context = context.iter().find(|line| line["type"] == "turn_context").unwrap();
    assert_eq!(context["payload"]["approval_policy"], "never");
    assert_eq!(context["payload"]["sandbox_policy"]["type"], "danger-full-access");

    // The terminal is only a view: the server has the thread.
    let processes = system_processes();
    let found = session_of(&*processes, server).unwrap();
    assert_eq!((&found.thread_id, &found.rollout, found.pid), (&thread.id, &thread.path, server));
    let error = session_of(&*processes, terminal).unwrap_err();
    assert!(matches!(error, DiscoverError::NoSession { .. }), "{error}");
    assert_eq!(lock_holder(&world.codex_home(), &thread.id).unwrap(), LockHolder::Process(server));

    let new_thread = clear(&world, "w", || session_of(&*processes, server).unwrap().thread_id);
    assert!(new_thread > thread.id);
    let is_new = |notice: &Notice| matches!(notice, Notice::ThreadStarted(new) if new.id == new_thread);
    notice(&mut events, is_new).await;
    stop(&world).await;
    assert_eq!(lock_holder(&world.codex_home(), &thread.id).unwrap(), LockHolder::Nobody);
}

#[test]
fn two_embedded_sessions_in_one_directory_are_told_apart() {
    let world = World::with_codex(Script::new());
    let directory = world.work_dir("shared");
    let program = world.bin().join("codex");
    let argv = embedded(&program, Recipe::EmbeddedLock, &Settings::default(), &Map::new(), None);
    let silent = open(&world, "silent", &directory, &argv);
    let settings = Settings {
        sandbox: Some(SandboxMode::WorkspaceWrite),
        approval_policy: Some(ApprovalPolicy::OnRequest),
        model: Some("other".into()),
        model_provider: Some("scripted".into()),
        ..Settings::default()
    };
    let proof = world.root().join("it's here");
    let config = mcp_server_that_makes(&world, &proof);
    let argv = embedded(&program, Recipe::EmbeddedLock, &settings, &config, Some("-my 'task'"));
    let busy = open(&world, "busy", &directory, &argv);

    let processes = system_processes();
    let thread = |pid: u32| {
        let held = || current_thread(threads_held_by(&*processes, pid).unwrap());
        wait_for("the lock", PATIENCE, held).thread_id
    };
    let (silent_thread, busy_thread) = (thread(silent), thread(busy));
    assert_ne!(silent_thread, busy_thread);

    let silent = session_of(&*processes, silent).unwrap();
    assert_eq!((silent.thread_id, silent.rollout), (silent_thread, None));
    let rollout = wait_for("the rollout", PATIENCE, || session_of(&*processes, busy).unwrap().rollout);
    let has_the_task = || rollout_lines(&rollout).iter().any(|l| l.to_string().contains("-my 'task'"));
    wait_for("the task", PATIENCE, || has_the_task().then_some(()));
    let context = rollout_lines(&rollout).into_iter().find(|line| line["type"] == "turn_context").unwrap();
    let context = &context["payload"];
    assert_eq!((&context["approval_policy"], &context["model"]), (&json!("on-request"), &json!("other")));
    assert_eq!(context["sandbox_policy"]["type"], "workspace-write");
    wait_for("the MCP server", PATIENCE, || proof.exists().then_some(()));
    assert!(rollout.to_str().unwrap().contains(&busy_thread));
    assert!(processes.started_at(busy).is_ok());
}

#[tokio::test]
async fn the_real_codex_is_known() {
    let world = World::with_codex(Script::new());
    let codex = inspect(&world.bin().join("codex"), PATIENCE).await.unwrap();
    assert_eq!(codex.recipe, Recipe::PrivateServer);
    let help = world.codex(world.root()).arg("--help").output().unwrap();
    assert_eq!(Recipe::from_help(&String::from_utf8_lossy(&help.stdout)), Recipe::PrivateServer);
}
