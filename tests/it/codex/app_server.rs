//! Private app-servers, and every call to one.

use super::{mcp_server_that_makes, program, rollout_lines};
use crate::support::model::{escalate, hang, say};
use crate::support::wait::PATIENCE;
use crate::support::{Script, World, wait_for};
use conveyor::codex::app_server::{
    AppServer, Approval, Events, Notice, RpcError, RunningServer, ServerStart, StartError, Stopped,
    ThreadStart, ThreadStatus, TurnStart, socket_path, start_server, stop_server,
};
use conveyor::codex::policy::{ApprovalPolicy, SandboxMode};
use conveyor::domain::Asks;
use rustix::process::{Pid, Signal, getpgid, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) fn socket(world: &World) -> PathBuf {
    socket_path(&world.state_root().join("run"), "worker")
}

fn start(world: &World) -> ServerStart {
    ServerStart {
        program: world.bin().join("codex"),
        socket: socket(world),
        log: world.state_root().join("logs/app-server.log"),
        cwd: world.root().to_owned(),
        env: vec![
            ("CODEX_HOME".into(), Some(world.codex_home().into())),
            ("HOME".into(), Some(world.home().into())),
            ("CONVEYOR_CODEX".into(), None),
        ],
    }
}

pub(crate) async fn running(world: &World) -> RunningServer {
    start_server(&start(world), PATIENCE).await.unwrap()
}

pub(crate) async fn stop(world: &World) {
    assert_eq!(stop_server(&socket(world), PATIENCE).await.unwrap(), Stopped::Ended);
}

pub(crate) fn unattended(world: &World) -> ThreadStart {
    ThreadStart {
        approval_policy: Some(ApprovalPolicy::Never),
        sandbox: Some(SandboxMode::DangerFullAccess),
        ..ThreadStart::new(world.root())
    }
}

fn message<'a>(thread_id: &'a str, text: &'a str) -> TurnStart<'a> {
    TurnStart { thread_id, text, client_user_message_id: "message-1" }
}

fn pid(raw: u32) -> Pid {
    Pid::from_raw(raw.cast_signed()).unwrap()
}

pub(super) async fn notice(events: &mut Events, mut wanted: impl FnMut(&Notice) -> bool) -> Notice {
    let find = async {
        while let Some(incoming) = events.recv().await {
            if let Some(notice) = Notice::read(incoming).filter(&mut wanted) {
                return notice;
            }
        }
        panic!("the connection ended");
    };
    tokio::time::timeout(PATIENCE, find).await.expect("a notice in time")
}

async fn turn_end(events: &mut Events) -> (String, String) {
    match notice(events, |n| matches!(n, Notice::TurnEnded { .. })).await {
        Notice::TurnEnded { turn_id, outcome, .. } => (turn_id, outcome),
        other => unreachable!("{other:?}"),
    }
}

fn refused(outcome: Result<impl std::fmt::Debug, RpcError>) -> String {
    match outcome {
        Err(RpcError::Refused { message, .. }) => message,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_thread_is_known_before_its_first_turn() {
    let world = World::with_codex(Script::new());
    let RunningServer { client, mut events, pid: server } = running(&world).await;
    assert_eq!(client.server_pid(), Some(server));
    assert_eq!(getpgid(Some(pid(server))).unwrap(), pid(server), "a process group of its own");

    let mut settings = unattended(&world);
    settings.model = Some("other".into());
    settings.model_provider = Some("scripted".into());
    let proof = world.root().join("it's here");
    settings.config = mcp_server_that_makes(&world, &proof);
    let thread = client.thread_start(&settings).await.unwrap();
    let rollout = thread.path.clone().unwrap();
    assert_eq!((thread.cwd.as_path(), &thread.status), (world.root(), &ThreadStatus::Idle));
    assert!(rollout.starts_with(world.codex_home()) && !rollout.exists());
    let started = notice(&mut events, |n| matches!(n, Notice::ThreadStarted(_))).await;
    assert_eq!(started, Notice::ThreadStarted(thread.clone()));

    assert!(refused(client.thread_resume(&thread.id).await).contains("no rollout found"));
    assert!(refused(client.thread_name_set(&thread.id, " ").await).contains("must not be empty"));
    client.thread_name_set(&thread.id, "worker one").await.unwrap();
    assert_eq!(rollout_lines(&rollout)[0]["payload"]["id"], thread.id);
    wait_for("the MCP server", PATIENCE, || proof.exists().then_some(()));
    stop(&world).await;
}

#[tokio::test]
async fn another_client_joins_a_thread() {
    let world = World::with_codex(Script::new());
    let first = running(&world).await.client;
    let thread = first.thread_start(&unattended(&world)).await.unwrap();
    first.thread_name_set(&thread.id, "worker one").await.unwrap();

    let (second, _events) = AppServer::connect(&socket(&world), PATIENCE).await.unwrap();
    let resumed = second.thread_resume(&thread.id).await.unwrap();
    assert_eq!((&resumed.id, resumed.name.as_deref()), (&thread.id, Some("worker one")));
    assert_eq!(second.thread_read(&thread.id).await.unwrap(), resumed);
    assert_eq!(second.thread_loaded_list().await.unwrap(), [thread.id]);
    refused(second.thread_read("0197c0de-0000-7000-8000-000000000001").await);
    stop(&world).await;
}

#[tokio::test]
async fn a_thread_is_restored_with_its_settings() {
    let world = World::with_codex(Script::new());
    let client = running(&world).await.client;
    let proof = world.root().join("proof");
    let config = mcp_server_that_makes(&world, &proof);
    let settings = ThreadStart { model: Some("other".into()), config, ..unattended(&world) };
    let thread = client.thread_start(&settings).await.unwrap();
    client.thread_name_set(&thread.id, "worker one").await.unwrap();
    wait_for("the MCP server", PATIENCE, || fs::remove_file(&proof).ok());
    stop(&world).await;

    let client = running(&world).await.client;
    let restored = client.thread_restore(&thread.id, &settings).await.unwrap();
    assert_eq!((&restored.id, &restored.path), (&thread.id, &thread.path));
    wait_for("the MCP server", PATIENCE, || fs::remove_file(&proof).ok());
    client.turn_start(message(&thread.id, "hello")).await.unwrap();
    let context = wait_for("the turn", PATIENCE, || {
        let lines = rollout_lines(restored.path.as_deref()?);
        lines.into_iter().find(|line| line["type"] == "turn_context")
    });
    let context = &context["payload"];
    assert_eq!((&context["approval_policy"], &context["model"]), (&json!("never"), &json!("other")));
    assert_eq!(context["sandbox_policy"]["type"], "danger-full-access");
    stop(&world).await;
}

#[tokio::test]
async fn a_turn_carries_its_receipt_and_can_be_interrupted() {
    let world = World::with_codex(Script::new().on(".", [hang()]));
    let RunningServer { client, mut events, .. } = running(&world).await;
    let thread = client.thread_start(&unattended(&world)).await.unwrap();
    let rollout = thread.path.unwrap();
    let text = "! no shell, /no command, 'quotes' \"and\"\nlines, ünïcode";
    let turn_id = client.turn_start(message(&thread.id, text)).await.unwrap();

    let line = |wanted: fn(&Value) -> bool| {
        wait_for("a line", PATIENCE, || rollout_lines(&rollout).into_iter().find(wanted))
    };
    let receipt = line(|l| l["payload"]["item"]["client_id"] == "message-1");
    assert_eq!(receipt["payload"]["turn_id"], turn_id);
    assert_eq!(receipt["payload"]["item"]["content"][0]["text"], text);
    let started = line(|l| l["payload"]["type"] == "task_started");
    assert_eq!(started["payload"]["turn_attribution"]["turn_trigger"], "conveyor");
    let context = line(|l| l["type"] == "turn_context");
    assert_eq!(context["payload"]["approval_policy"], "never");
    assert_eq!(context["payload"]["sandbox_policy"]["type"], "danger-full-access");
    let status = client.thread_read(&thread.id).await.unwrap().status;
    assert_eq!(status, ThreadStatus::Active { active_flags: vec![] });

    refused(client.turn_interrupt(&thread.id, "another").await);
    client.turn_interrupt(&thread.id, &turn_id).await.unwrap();
    assert_eq!(turn_end(&mut events).await, (turn_id, "interrupted".into()));
    line(|l| l["payload"]["type"] == "turn_aborted");
    stop(&world).await;
}

#[tokio::test]
async fn an_approval_is_seen_and_answered() {
    let script = Script::new().on("go on", [escalate("echo allowed > proof"), say("done")]);
    let world = World::with_codex(script);
    let RunningServer { client, mut events, .. } = running(&world).await;
    let attended = ThreadStart {
        approval_policy: Some(ApprovalPolicy::OnRequest),
        sandbox: Some(SandboxMode::ReadOnly),
        ..ThreadStart::new(world.root())
    };
    let thread = client.thread_start(&attended).await.unwrap();
    let turn_id = client.turn_start(message(&thread.id, "go on")).await.unwrap();

    let asked = notice(&mut events, |n| matches!(n, Notice::PersonAsked(_))).await;
    let Notice::PersonAsked(request) = asked else { unreachable!("{asked:?}") };
    let wait = &request.wait;
    assert_eq!((wait.asks, wait.thread_id.as_ref()), (Asks::Command, Some(&thread.id)));
    assert!(wait.command.as_deref().unwrap().contains("echo allowed"), "{request:?}");
    assert_eq!(wait.reason.as_deref(), Some("May this run?"));
    assert!(wait.request.as_ref().is_some_and(|request| request.started_at_ms > 0), "{request:?}");
    assert!(client.thread_read(&thread.id).await.unwrap().status.waits_on_approval());
    let proof = world.root().join("proof");
    assert!(!proof.exists());

    client.answer_approval(&request.id, Approval::Accept).await.unwrap();
    let resolved = notice(&mut events, |n| matches!(n, Notice::RequestResolved { .. })).await;
    assert_eq!(resolved, Notice::RequestResolved { thread_id: thread.id, request_id: request.id });
    assert_eq!(turn_end(&mut events).await, (turn_id, "completed".into()));
    assert_eq!(fs::read_to_string(proof).unwrap(), "allowed\n");
    stop(&world).await;
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let world = World::with_codex(Script::new());
    let mut homeless = start(&world);
    homeless.env = vec![("CODEX_HOME".into(), Some("/nonexistent".into()))];
    let error = start_server(&homeless, PATIENCE).await.unwrap_err();
    assert!(matches!(&error, StartError::Exited { said, .. } if said.contains("does not exist")), "{error}");
    assert!(!error.to_string().contains("backtrace"), "{error}");

    let absent = ServerStart { program: "/nonexistent/codex".into(), ..start(&world) };
    let error = start_server(&absent, PATIENCE).await.unwrap_err();
    assert!(matches!(error, StartError::Spawn { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_never_listens_is_ended() {
    let world = World::new();
    let deaf =
        ServerStart { program: program(&world, "deaf", "echo warming up; exec sleep 1000"), ..start(&world) };
    // Time enough to say something, wherever there is little of it.
    let error = start_server(&deaf, Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(&error, StartError::TimedOut { said, .. } if said == "warming up"), "{error}");
    wait_for("its end", PATIENCE, || world.processes().is_empty().then_some(()));
}

#[tokio::test]
async fn a_second_server_is_refused_and_a_dead_one_replaced() {
    let world = World::with_codex(Script::new());
    let mut first = running(&world).await;
    let error = start_server(&start(&world), PATIENCE).await.unwrap_err();
    assert!(matches!(error, StartError::Occupied { pid, .. } if pid == Some(first.pid)), "{error}");

    kill_process(pid(first.pid), Signal::KILL).unwrap();
    while first.events.recv().await.is_some() {}
    let error = first.client.thread_loaded_list().await.unwrap_err();
    assert!(matches!(error, RpcError::Disconnected { written: false, .. }), "{error}");
    let second = running(&world).await;
    assert_ne!(second.pid, first.pid);
    assert!(second.client.thread_loaded_list().await.unwrap().is_empty());
    stop(&world).await;
}

#[tokio::test]
async fn stopping_gives_up_a_running_turn_and_nothing_is_no_error() {
    let world = World::with_codex(Script::new().on(".", [hang()]));
    let client = running(&world).await.client;
    let thread = client.thread_start(&unattended(&world)).await.unwrap();
    client.turn_start(message(&thread.id, "wait for ever")).await.unwrap();
    assert_eq!(stop_server(&socket(&world), PATIENCE).await.unwrap(), Stopped::Ended);
    assert_eq!(stop_server(&socket(&world), PATIENCE).await.unwrap(), Stopped::NotRunning);
}
