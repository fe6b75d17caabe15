//! `codex queue` against a private app-server.

use super::app_server::{running, socket, stop, unattended};
use super::rollout_lines;
use crate::support::wait::PATIENCE;
use crate::support::{Script, World, wait_for};
use conveyor::codex::queue::{QueueError, QueueMessage, queue_message};
use std::time::Duration;

fn message(world: &World, thread_id: &str, text: &str) -> QueueMessage {
    QueueMessage {
        program: world.bin().join("codex"),
        thread_id: thread_id.to_owned(),
        text: text.to_owned(),
        remote: Some(socket(world)),
        codex_home: Some(world.codex_home()),
    }
}

#[tokio::test]
async fn a_queued_message_becomes_a_turn() {
    let world = World::with_codex(Script::new());
    let client = running(&world).await.client;
    let thread = client.thread_start(&unattended(&world)).await.unwrap();
    client.thread_name_set(&thread.id, "worker").await.unwrap();

    let text = "--help $(touch proof) 'a' \"b\"\nsecond line";
    let queued = queue_message(&message(&world, &thread.id, text), PATIENCE).await.unwrap();
    assert!(queued.item_id.is_some());
    let rollout = thread.path.unwrap();
    let arrived = |line: &serde_json::Value| line["payload"]["item"]["content"][0]["text"] == text;
    wait_for("the text", PATIENCE, || rollout_lines(&rollout).iter().any(arrived).then_some(()));
    stop(&world).await;
}

#[tokio::test]
async fn what_codex_refuses_was_not_stored() {
    let world = World::with_codex(Script::new());
    let client = running(&world).await.client;
    let thread = client.thread_start(&unattended(&world)).await.unwrap();
    client.thread_name_set(&thread.id, "worker").await.unwrap();

    let check = async |message: QueueMessage, words: &str| {
        let error = queue_message(&message, PATIENCE).await.unwrap_err();
        assert!(matches!(&error, QueueError::Refused { reason, .. } if reason.contains(words)), "{error}");
    };
    let unknown = "0197c0de-0000-7000-8000-000000000001";
    check(message(&world, unknown, "hello"), "no rollout found").await;
    check(message(&world, "nobody", "hello"), "No active session").await;
    check(message(&world, &thread.id, ""), "a value is required").await;
    check(message(&world, &thread.id, &"x".repeat(1 << 20)), "too long").await;
    let mut nowhere = message(&world, &thread.id, "hello");
    nowhere.remote = Some(world.root().join("nowhere.sock"));
    check(nowhere, "failed to connect").await;
    stop(&world).await;
}

#[tokio::test]
async fn a_call_that_does_not_end_is_unknown() {
    let world = World::new();
    let mut slow = message(&world, "t", "1000");
    super::program(&world, "codex", "exec sleep 1000");
    slow.program = world.bin().join("codex");
    let error = queue_message(&slow, Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, QueueError::Unknown { .. }), "{error}");
    wait_for("its end", PATIENCE, || world.processes().is_empty().then_some(()));
}
