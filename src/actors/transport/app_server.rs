//! `turn/start` on the session's own app-server: literal text, an exact receipt.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::json;
use tokio::sync::Mutex;

use super::{Letter, NotReady, Sending, Transport};
use crate::codex::app_server::{AppServer, RpcError, ThreadStart, ThreadStatus, TurnStart};
use crate::domain::transport::TransportKind;

/// Connecting to a live server takes milliseconds; a starved machine may need seconds.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// A call that is not answered by then is unknown.
const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// A connection to a session's app-server, made when first needed and kept.
#[derive(Clone, Default)]
pub struct Connection(Rc<Mutex<Option<(PathBuf, AppServer)>>>);

/// What the app-server says unasked.
pub type Events = tokio::sync::mpsc::Receiver<crate::codex::app_server::Incoming>;

impl Connection {
    /// The open connection, or a new one.
    ///
    /// # Errors
    /// When nobody listens at the socket.
    pub async fn get(&self, socket: &std::path::Path) -> Result<AppServer, RpcError> {
        let mut kept = self.0.lock().await;
        if let Some((path, server)) = &*kept
            && path == socket
        {
            return Ok(server.clone());
        }
        let (server, _unheard) = AppServer::connect(socket, CONNECT_DEADLINE).await?;
        *kept = Some((socket.to_owned(), server.clone()));
        Ok(server)
    }

    /// A new connection that is listened to, and used for everything from now on.
    ///
    /// # Errors
    /// When nobody listens at the socket.
    pub async fn listen(&self, socket: &std::path::Path) -> Result<(AppServer, Events), RpcError> {
        let (server, events) = AppServer::connect(socket, CONNECT_DEADLINE).await?;
        *self.0.lock().await = Some((socket.to_owned(), server.clone()));
        Ok((server, events))
    }

    /// Forgets the connection: it is broken.
    pub async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// Pushes through the app-server that runs a thread.
pub struct AppServerTransport {
    /// The connection to use.
    pub connection: Connection,
    /// Where the app-server listens.
    pub socket: PathBuf,
    /// The thread to push to.
    pub thread_id: String,
    /// What the thread was started with, should it have to be loaded again.
    pub thread_start: Option<ThreadStart>,
}

impl AppServerTransport {
    async fn make_ready(&self) -> Result<(), NotReady> {
        let status = match self.thread_status().await {
            // A kept connection may have died with its server, which may be back.
            Err(RpcError::Disconnected { .. }) => {
                self.connection.forget().await;
                self.thread_status().await
            }
            status => status,
        };
        match status.map_err(|error| NotReady::closed(error.to_string()))? {
            ThreadStatus::SystemError => {
                Err(NotReady::closed(format!("thread {} is in a system error", self.thread_id)))
            }
            ThreadStatus::NotLoaded => {
                self.resume().await.map_err(|error| NotReady::closed(error.to_string()))
            }
            _ => Ok(()),
        }
    }

    async fn server(&self) -> Result<AppServer, RpcError> {
        Ok(self.connection.get(&self.socket).await?.within(CALL_DEADLINE))
    }

    async fn thread_status(&self) -> Result<ThreadStatus, RpcError> {
        Ok(self.server().await?.thread_read(&self.thread_id).await?.status)
    }

    async fn resume(&self) -> Result<(), RpcError> {
        let server = self.server().await?;
        let thread = match &self.thread_start {
            Some(settings) => server.thread_restore(&self.thread_id, settings).await,
            None => server.thread_resume(&self.thread_id).await,
        };
        thread.map(drop)
    }

    async fn start_turn(&self, letter: &Letter) -> Result<String, RpcError> {
        let text = letter.origin.before(&letter.text);
        let turn = TurnStart {
            thread_id: &self.thread_id,
            text: &text,
            client_user_message_id: &letter.client_message_id,
        };
        self.server().await?.turn_start(turn).await
    }
}

impl Transport for AppServerTransport {
    fn kind(&self) -> TransportKind {
        TransportKind::AppServer
    }

    fn ready(&self) -> LocalBoxFuture<'_, Result<(), NotReady>> {
        self.make_ready().boxed_local()
    }

    fn send<'a>(&'a self, letter: &'a Letter) -> LocalBoxFuture<'a, Sending> {
        async {
            match self.start_turn(letter).await {
                Ok(turn_id) => Sending::Sent(json!({
                    "client_message_id": letter.client_message_id,
                    "thread_id": self.thread_id,
                    "turn_id": turn_id,
                })),
                Err(error) if error.may_have_happened() => {
                    self.connection.forget().await;
                    Sending::Unknown { error: error.to_string(), pane_class: None }
                }
                Err(error) => Sending::NotSent(error.to_string()),
            }
        }
        .boxed_local()
    }
}
