//! Standard input and output as a transport that tells when the client has gone.

use std::io;

use rmcp::RoleServer;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::{StdioReader, StdioWriter, Transport, stdio_pipes};
use tokio::sync::watch;

/// One JSON message a line, as MCP clients and servers exchange them.
pub(super) struct Stdio {
    lines: AsyncRwTransport<RoleServer, StdioReader, StdioWriter>,
    has_gone: watch::Sender<bool>,
}

/// The other end.
#[derive(Debug, Clone)]
pub(super) struct Client(watch::Receiver<bool>);

impl Stdio {
    /// Must be called inside a tokio runtime.
    pub(super) fn open() -> (Self, Client) {
        let (input, output) = stdio_pipes();
        let (has_gone, client) = watch::channel(false);
        (Self { lines: AsyncRwTransport::new_server(input, output), has_gone }, Client(client))
    }
}

impl Client {
    /// Ends when the client has closed its side. The SDK lets calls go on for a while then, which
    /// is right for those that act and wrong for those that wait.
    pub(super) async fn gone(&self) {
        // An error means that the transport is no more, which is the same.
        let _ = self.0.clone().wait_for(|gone| *gone).await;
    }
}

impl Transport<RoleServer> for Stdio {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.lines.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let message = self.lines.receive().await;
        if message.is_none() {
            self.has_gone.send_replace(true);
        }
        message
    }

    async fn close(&mut self) -> io::Result<()> {
        self.lines.close().await
    }
}
