//! The supervisor's socket: accepts clients of the same user, serves their calls.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use actix::prelude::*;
use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

use super::hub::Hub;
use super::wire::{self, Answer, Envelope};
use crate::domain::Failure;
use crate::fault::Point;
use crate::own_dir::private_dir;

/// Owns the listening socket. Stopping it closes the socket and removes its file.
pub struct Gateway {
    hub: Hub,
    socket: PathBuf,
    listener: Option<UnixListener>,
}

impl Gateway {
    /// Binds the socket, taking over a file that a killed supervisor left behind.
    ///
    /// The caller must hold the supervisor lock: only then is a leftover file nobody's.
    ///
    /// # Errors
    /// When the directory or the socket cannot be made.
    pub fn bind(hub: Hub) -> Result<Self, Failure> {
        let socket = hub.paths.socket();
        let listener = bind_private(&socket).map_err(|error| {
            Failure::external(format!("failed to listen on {}: {error}", socket.display()))
                .hint("the state root must be writable; name another with CONVEYOR_STATE_ROOT")
        })?;
        Ok(Self { hub, socket, listener: Some(listener) })
    }
}

fn bind_private(socket: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = socket.parent() {
        private_dir(directory)?;
    }
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Closes the socket; calls that are being served go on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopListening;

impl Handler<StopListening> for Gateway {
    type Result = ();

    fn handle(&mut self, _: StopListening, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Actor for Gateway {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(listener) = self.listener.take() else { return };
        let hub = self.hub.clone();
        ctx.spawn(accept(listener, hub).into_actor(self));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        // Gone already is as good as removed.
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn accept(listener: UnixListener, hub: Hub) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(actix::spawn(serve_client(stream, hub.clone()))),
            Err(error) => {
                // Out of file descriptors, most likely: clients fall back to serving themselves.
                tracing::warn!(%error, "failed to accept a client");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_client(mut stream: UnixStream, hub: Hub) {
    if !stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::getuid().as_raw()) {
        tracing::warn!("a client of another user was turned away");
        return;
    }
    // One client may make several calls, one after the other; it ends by hanging up.
    while let Ok(envelope) = wire::receive::<Envelope>(&mut stream).await {
        let Some(answer) = answer(envelope, &hub, &stream).await else { return };
        Point::GatewayReply.reach();
        if let Err(error) = reply(&mut stream, answer).await {
            tracing::debug!(%error, "a client went away before its answer");
            return;
        }
    }
}

/// Sends an answer; one that no frame holds is told of in its place.
async fn reply(client: &mut UnixStream, answer: Answer) -> io::Result<()> {
    match wire::send(client, &answer).await {
        // Nothing was written yet.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            wire::send(client, &Answer::Failed(too_large(&error))).await
        }
        sent => sent,
    }
}

fn too_large(error: &io::Error) -> Failure {
    Failure::refused(format!("the call was carried out, but its answer cannot be sent: {error}"))
        .hint("ask for less: with --limit where the command has it, for a shorter time, or without --include-content")
}

/// `None` when the client hung up on a call that waits: what it waited for stays where it is.
async fn answer(envelope: Envelope, hub: &Hub, client: &UnixStream) -> Option<Answer> {
    if let Some(reason) = mismatch(&envelope, hub) {
        return Some(Answer::NotServed { reason });
    }
    let request = match envelope.request() {
        Ok(request) => request,
        Err(failure) => return Some(Answer::Failed(failure)),
    };
    let waits = request.waits();
    tokio::select! {
        reply = hub.serve(request, envelope.caller) => Some(match reply {
            Ok(reply) => Answer::Done { reply, version: wire::VERSION.to_owned() },
            Err(failure) => Answer::Failed(failure),
        }),
        () = hung_up(client), if waits => None,
    }
}

/// Ends when the client closed its side; never when it sends more instead, which stays unread.
async fn hung_up(client: &UnixStream) {
    let look = || {
        let next = &mut [0];
        Ok(rustix::net::recv(client, next.as_mut_slice(), RecvFlags::PEEK | RecvFlags::DONTWAIT)?.1)
    };
    if matches!(client.async_io(Interest::READABLE, look).await, Ok(1..)) {
        std::future::pending().await
    }
}

fn mismatch(envelope: &Envelope, hub: &Hub) -> Option<String> {
    if envelope.protocol != wire::PROTOCOL {
        return Some(format!(
            "the supervisor (version {}) speaks protocol {}, this program {}",
            wire::VERSION,
            wire::PROTOCOL,
            envelope.protocol
        ));
    }
    if envelope.version != wire::VERSION {
        return Some(format!(
            "the supervisor is version {}, this program {}, and one may not know all that the other asks for",
            wire::VERSION,
            envelope.version
        ));
    }
    (envelope.database != hub.paths.database)
        .then(|| format!("the supervisor serves {}", hub.paths.database.display()))
}

#[cfg(test)]
mod tests;
