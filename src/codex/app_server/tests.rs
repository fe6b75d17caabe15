//! The client against servers that behave as no real one reliably does.

use super::testing::FakeServer as Fake;
use crate::codex::app_server::{AppServer, Incoming, RequestId, RpcError};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};
use tokio::io::AsyncWriteExt;

const SOON: Duration = Duration::from_millis(100);
const PATIENT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn concurrent_calls_get_their_own_answers() {
    let fake = Fake::listen();
    let (server, _events, mut peer) = fake.connect().await;
    let answering = async {
        let (first, second) = (peer.next().await, peer.next().await);
        for call in [second, first] {
            peer.say(json!({"id": call["id"], "result": call["params"]})).await;
        }
    };
    let (a, b, ()) = tokio::join!(server.call("echo", "a"), server.call("echo", "b"), answering);
    assert_eq!((a.unwrap(), b.unwrap()), (json!("a"), json!("b")));
}

#[tokio::test]
async fn a_refusal_carries_the_servers_words() {
    let fake = Fake::listen();
    let (server, _events, mut peer) = fake.connect().await;
    let refusing = async {
        let call = peer.next().await;
        peer.say(json!({"id": call["id"], "error": {"code": -32600, "message": "no such thread"}})).await;
    };
    let (outcome, ()) = tokio::join!(server.call("thread/read", json!({})), refusing);
    let error = outcome.unwrap_err();
    assert!(!error.may_have_happened());
    assert_eq!(error.to_string(), "Codex refused `thread/read`: no such thread");
}

#[tokio::test]
async fn a_call_without_answer_is_unknown_and_the_connection_goes_on() {
    let fake = Fake::listen();
    let (server, _events, mut peer) = fake.connect().await;
    let error = server.within(SOON).call("turn/start", json!({})).await.unwrap_err();
    assert!(matches!(error, RpcError::TimedOut { written: true, .. }), "{error:?}");

    let late = peer.next().await;
    let answering = async {
        peer.say(json!({"id": late["id"], "result": "late"})).await;
        let call = peer.next().await;
        peer.say(json!({"id": call["id"], "result": "in time"})).await;
    };
    let (outcome, ()) = tokio::join!(server.call("next", json!({})), answering);
    assert_eq!(outcome.unwrap(), "in time");
}

#[tokio::test]
async fn a_call_that_waits_behind_a_stuck_one_was_not_written() {
    let fake = Fake::listen();
    let (server, _events, _peer_that_does_not_read) = fake.connect().await;
    let fills_every_buffer = "x".repeat(16 << 20);
    let stuck = server.within(SOON * 4);
    let behind = server.within(SOON);
    let (stuck, behind) =
        tokio::join!(stuck.call("stuck", fills_every_buffer), behind.call("behind", json!({})));
    assert!(matches!(stuck, Err(RpcError::TimedOut { written: true, .. })), "{stuck:?}");
    assert!(matches!(behind, Err(RpcError::TimedOut { written: false, .. })), "{behind:?}");
}

#[tokio::test]
async fn a_dropped_connection_says_what_was_written() {
    let fake = Fake::listen();
    let (server, mut events, mut peer) = fake.connect().await;
    let dying = async {
        peer.next().await;
        drop(peer);
    };
    let (outcome, ()) = tokio::join!(server.call("turn/start", json!({})), dying);
    let error = outcome.unwrap_err();
    assert!(matches!(error, RpcError::Disconnected { written: true, .. }), "{error:?}");

    assert_eq!(events.recv().await, None);
    let error = server.call("turn/start", json!({})).await.unwrap_err();
    assert!(matches!(error, RpcError::Disconnected { written: false, .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_beyond_the_bound_ends_the_connection() {
    let fake = Fake::listen();
    let (server, _events, mut peer) = fake.connect().await;
    let answering = tokio::spawn(async move {
        let call = peer.next().await;
        let answer = json!({"id": call["id"], "result": "x".repeat(33 << 20)}).to_string();
        let _ = peer.try_say(answer).await;
    });
    let error = server.call("thread/read", json!({})).await.unwrap_err();
    assert!(
        matches!(&error, RpcError::Disconnected { written: true, reason, .. }
        if reason.contains("Space limit")),
        "{error:?}"
    );
    answering.abort();
}

#[tokio::test]
async fn a_request_beyond_the_bound_is_not_sent() {
    let fake = Fake::listen();
    let (server, _events, _peer) = fake.connect().await;
    let error = server.call("turn/start", "x".repeat(33 << 20)).await.unwrap_err();
    assert!(matches!(error, RpcError::TooLarge { .. }), "{error:?}");
    assert!(!error.may_have_happened());
}

#[tokio::test]
async fn news_and_questions_come_in_order_and_questions_can_be_answered() {
    let fake = Fake::listen();
    let (server, mut events, mut peer) = fake.connect().await;
    peer.say(json!({"method": "skills/changed"})).await;
    peer.say_raw("no JSON at all".into()).await;
    peer.say(json!({"id": "q7", "method": "ask", "params": {"n": 1}})).await;
    assert_eq!(
        events.recv().await,
        Some(Incoming::Notification { method: "skills/changed".into(), params: Value::Null })
    );
    let id = RequestId::Text("q7".into());
    let question = Incoming::Request { id: id.clone(), method: "ask".into(), params: json!({"n": 1}) };
    assert_eq!(events.recv().await, Some(question));
    server.respond(&id, json!({"decision": "accept"})).await.unwrap();
    assert_eq!(peer.next().await, json!({"id": "q7", "result": {"decision": "accept"}}));
}

#[tokio::test]
async fn unread_news_is_dropped_and_counted_and_never_holds_up_answers() {
    let fake = Fake::listen();
    let (server, mut events, mut peer) = fake.connect().await;
    let kept = events.max_capacity();
    let flooding = async {
        let call = peer.next().await;
        for n in 0..kept + 10 {
            peer.say(json!({"method": "n", "params": n})).await;
        }
        peer.say(json!({"id": call["id"], "result": "answered"})).await;
    };
    let (outcome, ()) = tokio::join!(server.call("c", json!({})), flooding);
    assert_eq!(outcome.unwrap(), "answered");
    for _ in 0..kept {
        events.recv().await.unwrap();
    }
    peer.say(json!({"method": "after"})).await;
    assert_eq!(events.recv().await, Some(Incoming::Missed(10)));
    assert_eq!(
        events.recv().await,
        Some(Incoming::Notification { method: "after".into(), params: Value::Null })
    );
}

#[tokio::test]
async fn the_connection_closes_with_its_last_user() {
    let fake = Fake::listen();
    let (server, _events, mut peer) = fake.connect().await;
    drop(server.within(SOON));
    server.respond(&RequestId::Number(1), json!(null)).await.unwrap();
    peer.next().await;
    drop(server);
    assert!(!matches!(peer.try_next().await, Some(Ok(_))));
}

#[tokio::test]
async fn connecting_fails_with_a_reason() {
    async fn check(socket: PathBuf, deadline: Duration, expected: &str) {
        let error = AppServer::connect(&socket, deadline).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.may_have_happened());
    }
    let dir = tempfile::tempdir().unwrap();
    check(dir.path().join("nobody"), PATIENT, "No such file").await;
    check(dir.path().join("n".repeat(200)), PATIENT, "SUN_LEN").await;

    let silent = Fake::listen();
    check(silent.socket.clone(), SOON, "no answer within").await;

    let other = Fake::listen();
    let talking = async {
        let (mut stream, _) = other.listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example.org\r\n\r\n").await.unwrap();
    };
    tokio::join!(check(other.socket.clone(), PATIENT, "could not connect"), talking);
}

#[test]
fn calls_may_move_between_threads() {
    fn is_send(_: impl Send) {}
    let connect = AppServer::connect(std::path::Path::new("/s"), SOON);
    is_send(async {
        let (server, _events) = connect.await.unwrap();
        server.call("m", json!({})).await.unwrap();
    });
}
