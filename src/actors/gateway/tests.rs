//! Clients, good and bad, at a real socket.

use std::os::unix::fs::MetadataExt;
use std::pin::pin;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::actors::calls::inbox::{InboxOptions, WorkerInboxArgs};
use crate::actors::calls::tasks::TasksArgs;
use crate::actors::paths::Paths;
use crate::actors::runtime::{Mode, Runtime};
use crate::actors::testing::{PATIENCE, still_waits};
use crate::actors::wire::Frame;
use crate::actors::{Caller, Request};
use crate::domain::{FailureKind, Seconds};
use crate::store::testing::TestDb;

/// A supervisor in a state root of its own.
struct Desk {
    db: TestDb,
    paths: Paths,
    runtime: Runtime,
}

impl Desk {
    fn start() -> Self {
        Self::start_after(|_| {})
    }

    fn start_after(prepare: impl FnOnce(&Paths)) -> Self {
        let db = TestDb::new();
        let paths = Paths::of(db.path().parent().unwrap(), Some(db.path().to_owned()));
        prepare(&paths);
        let runtime =
            Runtime::start(paths.clone(), Mode::Supervisor { dispatcher_id: "test".into() }).unwrap();
        Self { db, paths, runtime }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.paths.socket()).await.unwrap()
    }

    fn envelope(&self, request: impl Into<Request>) -> Envelope {
        Envelope {
            protocol: wire::PROTOCOL,
            version: wire::VERSION.to_owned(),
            database: self.paths.database.clone(),
            caller: Caller::default(),
            request: serde_json::to_value(request.into()).unwrap(),
        }
    }

    /// A client that knows what it does gets its answer.
    async fn serves(&self) {
        let mut client = self.connect().await;
        assert_eq!(done(ask(&mut client, &self.envelope(list())).await), json!([]));
    }
}

async fn ask(client: &mut UnixStream, envelope: &Envelope) -> Answer {
    wire::send(client, envelope).await.unwrap();
    wire::receive(client).await.unwrap()
}

fn done(answer: Answer) -> Value {
    match answer {
        Answer::Done { reply, version } => {
            assert_eq!(version, wire::VERSION);
            reply
        }
        other => panic!("{other:?}"),
    }
}

fn list() -> TasksArgs {
    TasksArgs { active: false, create: None, goal: None, summary: None }
}

fn create(name: &str) -> TasksArgs {
    TasksArgs { create: Some(name.into()), goal: Some("be counted".into()), ..list() }
}

#[actix::test]
async fn a_client_of_another_protocol_version_or_database_serves_itself() {
    let desk = Desk::start();
    let mut client = desk.connect().await;
    let check = |answer: Answer, says: &str| match answer {
        Answer::NotServed { reason } => assert!(reason.contains(says), "{reason}"),
        other => panic!("{other:?}"),
    };
    let other_protocol =
        Envelope { protocol: 99, request: json!("unheard of"), ..desk.envelope(create("t1")) };
    check(ask(&mut client, &other_protocol).await, "speaks protocol 1, this program 99");
    let other_version = Envelope { version: "99.0.0".into(), ..desk.envelope(create("t1")) };
    check(ask(&mut client, &other_version).await, "this program 99.0.0");
    let other_database = Envelope { database: "/elsewhere.db".into(), ..desk.envelope(create("t1")) };
    check(ask(&mut client, &other_database).await, "serves");
    // The same client may go on, and nothing was done so far.
    assert_eq!(done(ask(&mut client, &desk.envelope(list())).await), json!([]));
}

#[actix::test]
async fn a_call_that_nobody_knows_is_bad_usage() {
    let desk = Desk::start();
    let mut client = desk.connect().await;
    for request in [json!({"no_such_call": {}}), json!({"tasks": {"active": "perhaps"}}), json!(7)] {
        let envelope = Envelope { request: request.clone(), ..desk.envelope(list()) };
        match ask(&mut client, &envelope).await {
            Answer::Failed(failure) => assert_eq!(failure.kind, FailureKind::Usage, "{failure}"),
            other => panic!("{request}: {other:?}"),
        }
    }
}

#[actix::test]
async fn whoever_sends_no_frames_is_hung_up_on_and_hurts_nobody() {
    let desk = Desk::start();
    let framed = |body: &[u8]| [&(body.len() as u32).to_be_bytes(), body].concat();
    for bytes in [
        u32::MAX.to_be_bytes().to_vec(),
        (Envelope::MAX_BYTES + 1).to_be_bytes().to_vec(),
        framed(b""),
        framed(b"{\"half\": "),
        framed(b"\xff\xfe\x00"),
        framed(b"[1, 2]"),
        framed(b"{\"protocol\": \"one\"}"),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
    ] {
        let mut client = desk.connect().await;
        client.write_all(&bytes).await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, client.read_to_end(&mut rest)).await;
        // A reset says the same as an end.
        assert!(ended.is_ok() && rest.is_empty(), "{bytes:?}: {ended:?}");
    }
    // Half a frame, and nothing ever after it.
    let mut silent = desk.connect().await;
    silent.write_all(&Envelope::MAX_BYTES.to_be_bytes()).await.unwrap();
    drop(desk.connect().await);
    desk.serves().await;
}

#[actix::test]
async fn many_clients_are_served_at_once_each_with_its_own_answers() {
    const CLIENTS: usize = 32;
    let desk = Desk::start();
    let serve = |number: usize| {
        let desk = &desk;
        async move {
            let mut client = desk.connect().await;
            for call in ["a", "b"] {
                let name = format!("{call}-{number}");
                let created = done(ask(&mut client, &desk.envelope(create(&name))).await);
                assert_eq!((&created["created"], &created["name"]), (&json!(true), &json!(name)));
            }
        }
    };
    futures_util::future::join_all((0..CLIENTS).map(serve)).await;
    assert_eq!(desk.db.number("SELECT count(*) FROM tasks"), 2 * CLIENTS as i64);
}

#[actix::test]
async fn an_answer_that_no_frame_holds_is_told_of() {
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let length = Answer::MAX_BYTES as usize;
    let large = Answer::Done { reply: json!("x".repeat(length)), version: wire::VERSION.to_owned() };
    reply(&mut near, large).await.unwrap();
    let Answer::Failed(failure) = wire::receive(&mut far).await.unwrap() else { panic!("another answer") };
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.message.contains("was carried out") && failure.message.contains(" bytes"), "{failure}");
    assert!(failure.hints[0].contains("--limit"), "{failure:?}");
    reply(&mut near, Answer::Failed(Failure::refused("the next"))).await.unwrap();
    assert!(
        matches!(wire::receive(&mut far).await.unwrap(), Answer::Failed(next) if next.message == "the next")
    );
}

#[actix::test]
async fn the_socket_is_its_owners_alone() {
    let desk = Desk::start_after(|paths| {
        // From before, and open to everybody.
        std::fs::create_dir_all(paths.run_dir()).unwrap();
        std::fs::set_permissions(paths.run_dir(), std::fs::Permissions::from_mode(0o777)).unwrap();
    });
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(mode(&desk.paths.socket()), 0o600);
    assert_eq!(mode(&desk.paths.run_dir()), 0o700);
}

#[actix::test]
async fn what_a_killed_supervisor_left_at_the_sockets_place_is_replaced() {
    let sockets = |paths: &Paths| drop(std::os::unix::net::UnixListener::bind(paths.socket()).unwrap());
    let files = |paths: &Paths| std::fs::write(paths.socket(), "not even a socket").unwrap();
    let leave: [&dyn Fn(&Paths); 2] = [&sockets, &files];
    for leave in leave {
        let desk = Desk::start_after(|paths| {
            private_dir(&paths.run_dir()).unwrap();
            leave(paths);
        });
        desk.serves().await;
    }
}

#[actix::test]
async fn a_stopped_supervisor_leaves_no_socket() {
    let desk = Desk::start();
    desk.serves().await;
    let socket = desk.paths.socket();
    desk.runtime.stop().await;
    assert!(UnixStream::connect(&socket).await.is_err());
    assert!(!socket.exists());
}

#[actix::test]
async fn whoever_hangs_up_while_waiting_takes_nothing() {
    let mut desk = Desk::start();
    let pair = desk.db.pair("t1");
    let hour = Seconds::whole(3600);
    let options = InboxOptions { consume_next: true, wait: true, timeout: hour, ..InboxOptions::default() };
    let take = || WorkerInboxArgs { task: "t1".into(), options: options.clone() };

    let (near, mut far) = UnixStream::pair().unwrap();
    let mut serving = pin!(serve_client(near, desk.runtime.hub().clone()));
    wire::send(&mut far, &desk.envelope(take())).await.unwrap();
    still_waits(&desk.runtime.hub().store, &mut serving).await;
    drop(far);
    timeout(PATIENCE, serving).await.unwrap();

    desk.db.deliver(&pair, "for somebody who is there");
    let reply = done(ask(&mut desk.connect().await, &desk.envelope(take())).await);
    assert_eq!(reply["consumed"]["payload"]["message"], "for somebody who is there");
}

#[actix::test]
async fn whoever_sends_more_while_waiting_goes_on_waiting() {
    let mut desk = Desk::start();
    let pair = desk.db.pair("t1");
    let options = InboxOptions { wait: true, timeout: Seconds::whole(3600), ..InboxOptions::default() };
    let look = WorkerInboxArgs { task: "t1".into(), options };
    let mut client = desk.connect().await;
    wire::send(&mut client, &desk.envelope(look)).await.unwrap();
    wire::send(&mut client, &desk.envelope(list())).await.unwrap();
    desk.db.deliver(&pair, "for somebody who is there");
    assert_eq!(done(wire::receive(&mut client).await.unwrap())["pending"], 1);
    assert_eq!(done(wire::receive(&mut client).await.unwrap())[0]["name"], "t1");
}
