//! A stand-in app-server for the tests of whoever talks to one.

use super::{AppServer, Events};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite, tungstenite::Message};

const PATIENT: Duration = Duration::from_secs(20);

/// A server that says what the test says.
pub(crate) struct FakeServer {
    /// Where it listens.
    pub(crate) socket: PathBuf,
    pub(super) listener: UnixListener,
    _dir: TempDir,
}

impl FakeServer {
    pub(crate) fn listen() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        Self { socket, listener, _dir: dir }
    }

    /// Accepts one client and goes through the introduction with it.
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut peer = Peer(accept_async(stream).await.unwrap());
        let hello = peer.next().await;
        assert_eq!(hello["method"], "initialize");
        assert_eq!(hello["params"]["clientInfo"]["name"], "conveyor");
        assert_eq!(hello["params"]["capabilities"]["experimentalApi"], true);
        peer.say(json!({"id": hello["id"], "result": {}})).await;
        assert_eq!(peer.next().await, json!({"method": "initialized"}));
        peer
    }

    /// A client of this program, and its peer.
    pub(crate) async fn connect(&self) -> (AppServer, Events, Peer) {
        let (connected, peer) = tokio::join!(AppServer::connect(&self.socket, PATIENT), self.accept());
        let (server, events) = connected.unwrap();
        (server, events, peer)
    }
}

/// The server's end of a connection.
pub(crate) struct Peer(WebSocketStream<UnixStream>);

impl Peer {
    /// The next message of the client.
    pub(crate) async fn next(&mut self) -> Value {
        let message = self.0.next().await.unwrap().unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    pub(crate) async fn say(&mut self, message: Value) {
        self.say_raw(message.to_string()).await;
    }

    pub(crate) async fn say_raw(&mut self, text: String) {
        self.try_say(text).await.unwrap();
    }

    pub(crate) async fn try_say(&mut self, text: String) -> Result<(), tungstenite::Error> {
        self.0.send(Message::text(text)).await
    }

    pub(super) async fn try_next(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        self.0.next().await
    }

    /// Ends the connection.
    pub(crate) async fn hang_up(&mut self) {
        self.0.close(None).await.unwrap();
    }

    /// Takes the next call, which must be of `method`, and answers it; gives its parameters.
    pub(crate) async fn answer(&mut self, method: &str, result: Value) -> Value {
        let call = self.next().await;
        assert_eq!(call["method"], method, "{call}");
        self.say(json!({"id": call["id"], "result": result})).await;
        call["params"].clone()
    }
}
