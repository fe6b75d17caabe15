//! A scripted model: the part of the OpenAI Responses API that the Codex CLI uses, on loopback.
//!
//! Codex posts the whole conversation to `/v1/responses` and reads server-sent events. When the
//! events call a tool, Codex runs it and posts again with its output, until a reply calls none.

mod http;
mod request;
mod script;

pub(crate) use request::Request;
pub(crate) use script::{Script, call, delay, escalate, fail, fail_first, hang, hold, run, say};

use http::Connection;
pub(crate) use script::Action;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The name of the only model.
const NAME: &str = "scripted";

/// How often a held reply looks whether it was released.
const GATE_POLL: Duration = Duration::from_millis(10);

/// A running model; it stops, and ends every open reply, when it is dropped.
pub(crate) struct Model {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What the connections share.
struct Shared {
    script: Script,
    requests: Mutex<Vec<Request>>,
    open_gates: Mutex<HashSet<String>>,
    stopping: AtomicBool,
}

impl Model {
    /// Starts a model that follows `script`, on a free port.
    pub(crate) fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script,
            requests: Mutex::default(),
            open_gates: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// The lines of Codex's `config.toml` that make this the model of every session.
    pub(crate) fn config_toml(&self) -> String {
        format!(
            "model = \"{NAME}\"\nmodel_provider = \"{NAME}\"\n\n[model_providers.{NAME}]\nname = \"{NAME}\"\n\
             base_url = \"http://{}/v1\"\nwire_api = \"responses\"\nrequires_openai_auth = false\n",
            self.address
        )
    }

    /// The requests answered so far, oldest first, without those for a session's title.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Lets every reply go on that waits, or will wait, at `hold(gate)`.
    pub(crate) fn release(&self, gate: &str) {
        self.shared.open_gates.lock().unwrap().insert(gate.to_owned());
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees the flag.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Serves one thread per connection until the model stops, then cuts what is still open.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut connections = Vec::new();
    for stream in listener.incoming().flatten() {
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(handle) = stream.try_clone() else { continue };
        let shared = Arc::clone(shared);
        // An error means that the client went away, as it does when a turn is interrupted.
        let server = thread::spawn(move || drop(serve(Connection::new(stream), &shared)));
        connections.push((handle, server));
    }
    for (stream, server) in connections {
        let _ = stream.shutdown(std::net::Shutdown::Both);
        let _ = server.join();
    }
}

/// Answers the one request of a connection.
fn serve(mut connection: Connection, shared: &Shared) -> io::Result<()> {
    let (path, body) = connection.read_request()?;
    if path.ends_with("/models") {
        return connection.reply(200, &json!({"object": "list", "data": [{"id": NAME}], "models": []}));
    }
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return connection.reply(400, &json!({"error": {"message": "the body is not JSON"}}));
    };
    let request = Request::read(body);
    if request.source == "thread_title" {
        return Reply::new(connection, "title").play(&[say(r#"{"title": "Scripted session"}"#)], shared);
    }
    let (id, tries, actions) = shared.record(request);
    let failure = actions.iter().find_map(|action| action.failure(tries));
    match failure {
        Some(status) => {
            connection.reply(status, &json!({"error": {"message": "scripted failure", "type": "scripted"}}))
        }
        None => Reply::new(connection, &id).play(&actions, shared),
    }
}

impl Shared {
    /// Keeps the request. Returns a name for its reply, how often this step of the turn was asked
    /// for before, and what to do.
    fn record(&self, request: Request) -> (String, usize, Vec<Action>) {
        let actions = self.script.actions(&request);
        let mut requests = self.requests.lock().unwrap();
        let same_step = |other: &&Request| other.turn == request.turn && other.step() == request.step();
        let tries = requests.iter().filter(same_step).count();
        requests.push(request);
        (requests.len().to_string(), tries, actions)
    }
}

/// One streamed reply.
struct Reply {
    connection: Connection,
    id: String,
    items: usize,
}

impl Reply {
    fn new(connection: Connection, id: &str) -> Self {
        Self { connection, id: id.to_owned(), items: 0 }
    }

    fn play(mut self, actions: &[Action], shared: &Shared) -> io::Result<()> {
        let id = format!("resp_{}", self.id);
        self.connection.open_events()?;
        self.connection
            .event("response.created", json!({"response": {"id": id, "status": "in_progress"}}))?;
        for action in actions {
            self.act(action, shared)?;
        }
        let usage = json!({
            "input_tokens": 100, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 10, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 110,
        });
        let response = json!({"id": id, "status": "completed", "usage": usage});
        self.connection.event("response.completed", json!({ "response": response }))
    }

    fn act(&mut self, action: &Action, shared: &Shared) -> io::Result<()> {
        match action {
            Action::Say(text) => {
                let content = json!([{"type": "output_text", "text": text}]);
                self.item("msg", json!({"type": "message", "role": "assistant", "content": content}))
            }
            Action::Call { namespace, name, arguments } => {
                let call_id = format!("call_{}_{}", self.id, self.items);
                let arguments = arguments.to_string();
                let mut item = json!({"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments});
                if let Some(namespace) = namespace {
                    item["namespace"] = json!(namespace);
                }
                self.item("fc", item)
            }
            Action::Hang => self.connection.wait_until_closed(),
            Action::Hold(gate) => {
                while !shared.open_gates.lock().unwrap().contains(gate) {
                    self.connection.pause(GATE_POLL)?;
                }
                Ok(())
            }
            Action::Delay(time) => self.connection.pause(*time),
            Action::Fail { .. } => Ok(()),
        }
    }

    /// Sends a complete output item.
    fn item(&mut self, prefix: &str, mut item: Value) -> io::Result<()> {
        item["id"] = json!(format!("{prefix}_{}_{}", self.id, self.items));
        let index = self.items;
        self.items += 1;
        self.connection.event("response.output_item.done", json!({"output_index": index, "item": item}))
    }
}
