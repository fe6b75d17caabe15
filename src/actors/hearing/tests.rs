//! What is heard from an app-server that says what the test says.

use std::rc::Rc;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::actors::hands::Hands;
use crate::actors::testing::{FakePane, store, until};
use crate::actors::transport::Connection;
use crate::codex::app_server::testing::{FakeServer, Peer};
use crate::domain::Recipe;
use crate::store::bindings::BoundTask;
use crate::store::session_links::{self, Link};
use crate::store::testing::TestDb;

/// A bound worker in `thread-1` of an app-server, and somebody who listens to that.
struct Desk {
    db: TestDb,
    bound: BoundTask,
    server: FakeServer,
    peer: Peer,
    listening: JoinHandle<()>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Desk {
    async fn new() -> Self {
        let mut db = TestDb::new();
        let bound = db.pair("t1");
        db.conn
            .execute("UPDATE sessions SET codex_session_id = 'thread-1', codex_session_path = '/r/1'", [])
            .unwrap();
        let server = FakeServer::listen();
        let socket = Some(server.socket.to_string_lossy().into_owned());
        let link = Link { app_server_socket: socket, ..Link::new(Recipe::PrivateServer) };
        session_links::put(&db.conn, &bound.worker.id, &link).unwrap();
        let terminal = FakePane::default().terminal();
        let hands = Hands {
            session_id: bound.worker.id.clone(),
            store: store(&db),
            terminals: Rc::new(move |_| terminal.clone()),
            connection: Connection::default(),
            attended: Rc::default(),
            in_fresh_thread: Rc::default(),
        };
        let listening = actix::spawn(Attendant { hands }.run());
        let peer = server.accept().await;
        Self { db, bound, server, peer, listening }
    }

    /// One whose thread is at rest.
    async fn at_rest() -> Self {
        let mut desk = Self::new().await;
        desk.looked_at(json!({"type": "idle"})).await;
        desk
    }

    /// The connection breaks, and another one is made.
    async fn breaks(&mut self) {
        self.peer.hang_up().await;
        self.peer = self.server.accept().await;
    }

    /// Somebody asks how the thread stands, and is told.
    async fn looked_at(&mut self, status: Value) {
        let asked = self.peer.answer("thread/read", json!({"thread": thread("thread-1", status)})).await;
        assert_eq!(asked["threadId"], "thread-1");
    }

    async fn says(&mut self, method: &str, params: Value) {
        self.peer.say(json!({"method": method, "params": params})).await;
    }

    async fn stands(&mut self, thread_id: &str, status: Value) {
        self.says("thread/status/changed", json!({"threadId": thread_id, "status": status})).await;
    }

    async fn joined(&mut self, thread_id: &str) {
        let answer = json!({"thread": thread(thread_id, waits())});
        assert_eq!(self.peer.answer("thread/resume", answer).await["threadId"], thread_id);
    }

    /// The server asks whether a command may run.
    async fn asks(&mut self) {
        let params = json!({
            "threadId": "thread-1", "turnId": "turn-1", "itemId": "item-1", "startedAtMs": 7,
            "command": "touch proof", "cwd": "/w", "reason": "May this run?",
        });
        self.peer
            .say(json!({"id": 0, "method": "item/commandExecution/requestApproval", "params": params}))
            .await;
    }

    /// Waits until the open waits are these: what is asked for, by which thread.
    async fn waiting(&self, expect: &[&str]) {
        let sql =
            "SELECT (detail_json ->> '$.asks') || ' ' || (detail_json ->> '$.thread_id') FROM session_facts
                   WHERE kind = 'waiting' AND cleared_at IS NULL ORDER BY id";
        until(&self.db, &format!("waits: {expect:?}"), |db| db.texts(sql) == expect).await;
    }

    fn waits_on_record(&self) -> i64 {
        self.db.number("SELECT count(*) FROM session_facts WHERE kind = 'waiting'")
    }

    /// The thread that the worker is in.
    async fn is_in(&self, thread_id: &str) {
        let sql = format!("SELECT codex_session_id FROM sessions WHERE id = '{}'", self.bound.worker.id);
        until(&self.db, thread_id, |db| db.texts(&sql) == [thread_id]).await;
    }
}

fn thread(id: &str, status: Value) -> Value {
    json!({"id": id, "path": format!("/r/{id}.jsonl"), "cwd": "/w", "status": status})
}

fn waits() -> Value {
    json!({"type": "active", "activeFlags": ["waitingOnApproval"]})
}

#[actix::test]
async fn a_request_is_one_wait_until_it_is_resolved() {
    let mut desk = Desk::at_rest().await;
    desk.stands("thread-1", waits()).await;
    desk.joined("thread-1").await;
    desk.asks().await;
    desk.waiting(&["command thread-1"]).await;
    desk.asks().await;
    desk.says("serverRequest/resolved", json!({"threadId": "thread-1", "requestId": 0})).await;
    desk.waiting(&[]).await;
    assert_eq!(desk.waits_on_record(), 1);
    let detail = desk.db.jsons("SELECT detail_json FROM session_facts").remove(0);
    assert_eq!((&detail["command"], &detail["turn_id"]), (&json!("touch proof"), &json!("turn-1")));
}

#[actix::test]
async fn a_thread_that_does_not_say_what_for_waits_all_the_same_until_it_goes_on() {
    let mut desk = Desk::at_rest().await;
    desk.stands("thread-1", waits()).await;
    desk.joined("thread-1").await;
    desk.waiting(&["approval thread-1"]).await;
    desk.stands("thread-1", json!({"type": "active", "activeFlags": []})).await;
    desk.waiting(&[]).await;

    let answer = json!({"type": "active", "activeFlags": ["waitingOnUserInput"]});
    desk.stands("thread-1", answer).await;
    desk.waiting(&["answer thread-1"]).await;
    desk.stands("thread-1", json!({"type": "idle"})).await;
    desk.waiting(&[]).await;
    assert_eq!(desk.waits_on_record(), 2);
}

#[actix::test]
async fn a_connection_that_breaks_is_made_again_and_what_was_missed_is_seen() {
    let mut desk = Desk::at_rest().await;
    desk.stands("thread-1", waits()).await;
    desk.joined("thread-1").await;
    desk.asks().await;
    desk.waiting(&["command thread-1"]).await;

    // The same request, to a new client of the thread.
    desk.breaks().await;
    desk.looked_at(waits()).await;
    desk.joined("thread-1").await;
    desk.asks().await;
    desk.waiting(&["command thread-1"]).await;

    // It was answered while nobody listened.
    desk.breaks().await;
    desk.looked_at(json!({"type": "idle"})).await;
    desk.waiting(&[]).await;
    assert_eq!(desk.waits_on_record(), 1);
}

#[actix::test]
async fn a_session_that_goes_on_in_another_thread_is_followed_and_its_sub_agents_are_not() {
    let mut desk = Desk::at_rest().await;
    let mut sub_agent = thread("thread-2", json!({"type": "idle"}));
    sub_agent["parentThreadId"] = "thread-1".into();
    desk.says("thread/started", json!({"thread": sub_agent})).await;
    let mut title = thread("thread-3", json!({"type": "idle"}));
    title["path"] = Value::Null;
    desk.says("thread/started", json!({"thread": title})).await;
    desk.says("thread/started", json!({"thread": thread("thread-4", json!({"type": "idle"}))})).await;
    desk.is_in("thread-4").await;
    let followed = "SELECT payload_json ->> '$.to_thread' FROM events WHERE type = 'session_thread_followed'";
    assert_eq!(desk.db.texts(followed), ["thread-4"]);
}

#[actix::test]
async fn what_it_says_in_a_shape_that_nobody_knows_is_passed_over() {
    let mut desk = Desk::at_rest().await;
    for params in [json!(null), json!([]), json!({"threadId": 7})] {
        desk.says("thread/status/changed", params.clone()).await;
        desk.says("thread/started", params.clone()).await;
        desk.peer.say(json!({"id": 1, "method": "item/fileChange/requestApproval", "params": params})).await;
    }
    desk.peer.say_raw("no JSON".to_owned()).await;
    desk.stands("thread-1", waits()).await;
    desk.joined("thread-1").await;
    desk.asks().await;
    desk.waiting(&["command thread-1"]).await;
}
