//! A Codex that takes messages through its app-server and writes each into its rollout, as the real
//! one does. It lives in this process, so that what it received is known for certain.

use crate::support::rollout::Rollout;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// The session, and its server for as long as this is kept.
pub(crate) struct FakeCodex {
    /// Where its app-server listens.
    pub(crate) socket: PathBuf,
    session: Arc<Mutex<Session>>,
    /// Whether it answers what it has taken.
    answers: watch::Sender<bool>,
}

/// What the session is made of.
pub(crate) struct Session {
    /// Its rollout.
    pub(crate) rollout: Rollout,
    /// The client's id of every message that it was sent, in order.
    pub(crate) received: Vec<String>,
}

impl FakeCodex {
    /// Starts the server of a new session below `codex_home`.
    pub(crate) fn start(codex_home: &Path, cwd: &Path, socket: PathBuf) -> Self {
        let rollout = Rollout::create(codex_home, cwd).unwrap();
        let session = Arc::new(Mutex::new(Session { rollout, received: Vec::new() }));
        let listener = net::UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (answers, may_answer) = watch::channel(true);
        let served = session.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, served, may_answer));
        });
        Self { socket, session, answers }
    }

    /// The session, as it is now.
    pub(crate) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap()
    }

    /// From now on it takes what it is sent without answering, or answers again.
    pub(crate) fn answers(&self, answers: bool) {
        self.answers.send_replace(answers);
    }
}

/// Serves until the session is dropped.
async fn serve(listener: net::UnixListener, session: Arc<Mutex<Session>>, answers: watch::Receiver<bool>) {
    let listener = UnixListener::from_std(listener).unwrap();
    let mut until_dropped = answers.clone();
    let serving = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(talk(stream, session.clone(), answers.clone()));
        }
    };
    let dropped = async { while until_dropped.changed().await.is_ok() {} };
    tokio::select! {
        () = serving => {}
        () = dropped => {}
    }
}

/// Answers one client until it hangs up, or is killed in the middle of a word.
async fn talk(stream: UnixStream, session: Arc<Mutex<Session>>, mut answers: watch::Receiver<bool>) {
    let Ok(mut socket) = accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let Ok(call) = serde_json::from_str::<Value>(message.to_text().unwrap_or_default()) else { continue };
        let Some(id) = call.get("id") else { continue };
        let result = session.lock().unwrap().call(&call);
        let is_turn = call["method"] == "turn/start";
        if is_turn && answers.wait_for(|answers| *answers).await.is_err() {
            return;
        }
        let answer = json!({"id": id, "result": result}).to_string();
        if socket.send(Message::text(answer)).await.is_err() {
            return;
        }
    }
}

impl Session {
    fn call(&mut self, call: &Value) -> Value {
        let rollout = &mut self.rollout;
        match call["method"].as_str().unwrap_or_default() {
            "thread/read" | "thread/resume" => json!({"thread": {
                "id": rollout.thread, "path": rollout.path, "cwd": "/", "status": {"type": "idle"},
            }}),
            "turn/start" => {
                let params = &call["params"];
                let (text, id) = (&params["input"][0]["text"], &params["clientUserMessageId"]);
                let (text, id) = (text.as_str().unwrap(), id.as_str().unwrap());
                self.received.push(id.to_owned());
                let turn = rollout.begin("a message comes").unwrap();
                rollout.user(text, id).unwrap();
                rollout.complete("I have read it.").unwrap();
                json!({"turn": {"id": turn}})
            }
            _ => json!({}),
        }
    }
}
