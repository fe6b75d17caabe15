//! One connection to an app-server: concurrent calls, and what the server says unasked.

use super::{
    error::RpcError,
    pending::{Answer, Pending, Refusal},
};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::UnixStream,
    sync::{Mutex, mpsc},
    task::AbortHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

/// Largest message in either direction. Codex does not cap an assistant message, and sends it in one.
const MAX_MESSAGE_BYTES: usize = 32 << 20;

/// How many unread [`Incoming`] are kept. More are dropped and counted, so that a slow reader
/// never holds up answers.
const MAX_UNREAD_EVENTS: usize = 1024;

/// Streamed fragments: the bulk of the traffic, and nothing here reads them.
const UNWANTED_NOTIFICATIONS: &[&str] = &[
    "command/exec/outputDelta",
    "item/agentMessage/delta",
    "item/commandExecution/outputDelta",
    "item/fileChange/outputDelta",
    "item/fileChange/patchUpdated",
    "item/plan/delta",
    "item/reasoning/summaryPartAdded",
    "item/reasoning/summaryTextDelta",
    "item/reasoning/textDelta",
    "thread/tokenUsage/updated",
    "turn/diff/updated",
];

type Socket = WebSocketStream<UnixStream>;

/// What the server says unasked, in order. It ends when the connection does.
pub type Events = mpsc::Receiver<Incoming>;

/// The id of a request that the server made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequestId {
    /// What Codex sends.
    Number(i64),
    /// Also allowed by JSON-RPC.
    Text(String),
}

/// Something the server says unasked.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// News that wants no answer.
    Notification {
        /// The JSON-RPC method, e.g. `turn/completed`.
        method: String,
        /// Its parameters, `null` if it has none.
        params: Value,
    },
    /// A question that [`AppServer::respond`] answers. Every client of the thread is asked and the
    /// first answer counts, so leaving it to the person at the terminal is fine.
    Request {
        /// What an answer refers to.
        id: RequestId,
        /// The JSON-RPC method, e.g. `item/commandExecution/requestApproval`.
        method: String,
        /// Its parameters, `null` if it has none.
        params: Value,
    },
    /// So many messages were dropped here because they were not read in time.
    Missed(u64),
}

/// A connection to one app-server. Clones share it; it closes with the last of them.
#[derive(Debug, Clone)]
pub struct AppServer {
    link: Arc<Link>,
    deadline: Duration,
}

#[derive(Debug)]
struct Link {
    outgoing: Mutex<SplitSink<Socket, Message>>,
    pending: Arc<Pending>,
    next_id: AtomicU64,
    reader: AbortHandle,
    server_pid: Option<u32>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl AppServer {
    /// Connects to the app-server that listens at `socket` and introduces this program.
    ///
    /// `deadline` bounds all of that, and every later call until [`AppServer::within`] says otherwise.
    ///
    /// # Errors
    /// [`RpcError::Connect`], whatever went wrong.
    pub async fn connect(socket: &Path, deadline: Duration) -> Result<(Self, Events), RpcError> {
        let attempt = async {
            let stream = UnixStream::connect(socket).await.map_err(|e| e.to_string())?;
            let server_pid = peer_pid(&stream)?;
            let limits = WebSocketConfig::default()
                .max_message_size(Some(MAX_MESSAGE_BYTES))
                .max_frame_size(Some(MAX_MESSAGE_BYTES));
            let (stream, _) = client_async_with_config("ws://localhost/", stream, Some(limits))
                .await
                .map_err(|e| e.to_string())?;
            let (server, events) = Self::start(stream, server_pid, deadline);
            server.introduce().await.map_err(|e| e.to_string())?;
            Ok((server, events))
        };
        let failed = |reason| RpcError::Connect { socket: socket.to_owned(), reason };
        match timeout(deadline, attempt).await {
            Ok(outcome) => outcome.map_err(failed),
            Err(_) => Err(failed(format!("no answer within {deadline:?}"))),
        }
    }

    fn start(stream: Socket, server_pid: Option<u32>, deadline: Duration) -> (Self, Events) {
        let (outgoing, incoming) = stream.split();
        let pending = Pending::new();
        let (events, receiver) = mpsc::channel(MAX_UNREAD_EVENTS);
        let reader = Reader { pending: Arc::clone(&pending), events, missed: 0 };
        let reader = tokio::spawn(reader.run(incoming)).abort_handle();
        let link =
            Link { outgoing: Mutex::new(outgoing), pending, next_id: AtomicU64::new(1), reader, server_pid };
        (Self { link: Arc::new(link), deadline }, receiver)
    }

    async fn introduce(&self) -> Result<(), RpcError> {
        let me = json!({
            "clientInfo": { "name": "conveyor", "title": null, "version": env!("CARGO_PKG_VERSION") },
            "capabilities": {
                "experimentalApi": true,
                "requestAttestation": false,
                "optOutNotificationMethods": UNWANTED_NOTIFICATIONS,
            },
        });
        self.call("initialize", me).await?;
        self.send("initialized", json!({ "method": "initialized" })).await
    }

    /// The same connection, with another deadline for each call made through it.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Self {
        Self { link: Arc::clone(&self.link), deadline }
    }

    /// The process that serves this connection, where the system tells.
    pub fn server_pid(&self) -> Option<u32> {
        self.link.server_pid
    }

    /// Calls `method` and waits for its result.
    ///
    /// # Errors
    /// Any [`RpcError`] but `Connect`; [`RpcError::may_have_happened`] says whether a failed call
    /// may have taken effect.
    pub async fn call(&self, method: &str, params: impl Serialize) -> Result<Value, RpcError> {
        let id = self.link.next_id.fetch_add(1, Ordering::Relaxed);
        let params = serde_json::to_value(params)
            .map_err(|error| RpcError::Unsendable { method: method.to_owned(), reason: error.to_string() })?;
        let request = encode(method, &json!({ "id": id, "method": method, "params": params }))?;
        let mut waiting = self.link.pending.register(id).map_err(|reason| RpcError::Disconnected {
            method: method.to_owned(),
            written: false,
            reason,
        })?;
        let answer = self
            .exchange(method, async |written| {
                self.link.write(request, written).await?;
                waiting.answer().await
            })
            .await?;
        answer.map_err(|Refusal { code, message }| RpcError::Refused {
            method: method.to_owned(),
            code,
            message,
        })
    }

    /// As [`AppServer::call`], with the result read as `T`.
    pub(super) async fn call_for<T: DeserializeOwned>(
        &self,
        method: &str,
        params: impl Serialize,
    ) -> Result<T, RpcError> {
        let result = self.call(method, params).await?;
        serde_json::from_value(result)
            .map_err(|e| RpcError::Malformed { method: method.to_owned(), reason: e.to_string() })
    }

    /// Answers the server's request `id`. When somebody else answered first, the server ignores it.
    ///
    /// # Errors
    /// `Disconnected` or `TimedOut`.
    pub async fn respond(&self, id: &RequestId, result: impl Serialize) -> Result<(), RpcError> {
        self.send("response", json!({ "id": id, "result": result })).await
    }

    async fn send(&self, method: &str, message: Value) -> Result<(), RpcError> {
        let message = encode(method, &message)?;
        self.exchange(method, async |written| self.link.write(message, written).await).await
    }

    /// Runs `work` within the deadline, and says with every failure whether writing had begun.
    async fn exchange<T>(
        &self,
        method: &str,
        work: impl AsyncFnOnce(&mut bool) -> Result<T, String>,
    ) -> Result<T, RpcError> {
        let mut written = false;
        let method = method.to_owned();
        match timeout(self.deadline, work(&mut written)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(reason)) => Err(RpcError::Disconnected { method, written, reason }),
            Err(_) => Err(RpcError::TimedOut { method, written, after: self.deadline }),
        }
    }
}

impl Link {
    /// Writes one message. `written` is set when it may have reached the server, also in part.
    async fn write(&self, text: String, written: &mut bool) -> Result<(), String> {
        let mut outgoing = self.outgoing.lock().await;
        *written = true;
        outgoing.send(Message::text(text)).await.map_err(|e| e.to_string())
    }
}

fn encode(method: &str, message: &Value) -> Result<String, RpcError> {
    let text = message.to_string();
    if text.len() > MAX_MESSAGE_BYTES {
        return Err(RpcError::TooLarge {
            method: method.to_owned(),
            bytes: text.len(),
            limit: MAX_MESSAGE_BYTES,
        });
    }
    Ok(text)
}

/// The process at the other end, after making sure that it belongs to the same user.
pub(super) fn peer_pid(stream: &UnixStream) -> Result<Option<u32>, String> {
    let peer = stream.peer_cred().map_err(|e| e.to_string())?;
    let me = rustix::process::geteuid().as_raw();
    if peer.uid() != me {
        return Err(format!("the socket is served by user {}, not by user {me}", peer.uid()));
    }
    Ok(peer.pid().and_then(|pid| u32::try_from(pid).ok()))
}

/// Reads a connection until it ends, and hands every message to whom it is for.
struct Reader {
    pending: Arc<Pending>,
    events: mpsc::Sender<Incoming>,
    missed: u64,
}

/// Any JSON-RPC message; which fields are there says which kind it is.
#[derive(Deserialize)]
struct Envelope {
    id: Option<Value>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Value,
    error: Option<Refusal>,
}

impl Reader {
    async fn run(mut self, mut incoming: SplitStream<Socket>) {
        let reason = loop {
            match incoming.next().await {
                Some(Ok(Message::Text(text))) => self.route(&text),
                Some(Ok(Message::Close(_))) | None => break "closed by the server".to_owned(),
                Some(Ok(_)) => {}
                Some(Err(error)) => break error.to_string(),
            }
        };
        self.pending.close(&reason);
    }

    fn route(&mut self, text: &str) {
        let message: Envelope = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(%error, bytes = text.len(), "Codex sent something that is no JSON-RPC message");
                return;
            }
        };
        match (message.method, message.id) {
            (None, id) => {
                let answer = message.error.map_or(Ok(message.result), Err);
                self.settle(id.as_ref(), answer);
            }
            (Some(method), None) => {
                self.publish(Incoming::Notification { method, params: message.params });
            }
            (Some(method), Some(id)) => match serde_json::from_value(id) {
                Ok(id) => self.publish(Incoming::Request { id, method, params: message.params }),
                Err(error) => tracing::warn!(%error, method, "Codex sent a request with a strange id"),
            },
        }
    }

    fn settle(&self, id: Option<&Value>, answer: Answer) {
        let known = id.and_then(Value::as_u64).is_some_and(|id| self.pending.settle(id, answer));
        if !known {
            tracing::debug!(?id, "Codex answered a call that nobody waits for");
        }
    }

    fn publish(&mut self, event: Incoming) {
        if self.missed > 0 && self.events.try_send(Incoming::Missed(self.missed)).is_ok() {
            self.missed = 0;
        }
        if self.missed > 0 || self.events.try_send(event).is_err() {
            self.missed += 1;
        }
    }
}
