//! Answering a question that a turn waits with.

use super::{
    calls::Approval,
    client::{AppServer, Events, RequestId},
    error::RpcError,
    notice::Notice,
};
use crate::domain::RequestKey;
use std::{path::Path, time::Duration};
use tokio::time::timeout;

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The server took it, or somebody else's that was faster.
    Taken,
    /// The thread does not ask that, or not any more. Nothing was answered.
    NotAsked,
}

/// Answers the `request` of a thread, through a connection of its own: a client that joins a thread
/// is asked everything that is open there, so it is certain that the request still is.
///
/// # Errors
/// Any [`RpcError`]; [`RpcError::may_have_happened`] tells whether the answer may have been taken.
pub async fn answer_request(
    socket: &Path,
    thread_id: &str,
    request: &RequestKey,
    answer: Approval,
    deadline: Duration,
) -> Result<Answered, RpcError> {
    let (server, mut events) = AppServer::connect(socket, deadline).await?;
    server.thread_resume(thread_id).await?;
    let Ok(id) = timeout(deadline, asked(&mut events, request)).await else { return Ok(Answered::NotAsked) };
    let Some(id) = id else { return Err(ended("thread/resume", false)) };
    server.answer_approval(&id, answer).await?;
    match timeout(deadline, resolved(&mut events, &id)).await {
        Ok(true) => Ok(Answered::Taken),
        Ok(false) => Err(ended("response", true)),
        Err(_) => Err(RpcError::TimedOut { method: "response".into(), written: true, after: deadline }),
    }
}

/// Waits to be asked. `None` when the connection ends before.
async fn asked(events: &mut Events, request: &RequestKey) -> Option<RequestId> {
    while let Some(incoming) = events.recv().await {
        let Some(Notice::PersonAsked(asked)) = Notice::read(incoming) else { continue };
        if asked.wait.request.is_some_and(|found| found.is_same(request)) {
            return Some(asked.id);
        }
    }
    None
}

/// Waits until the request has been answered. `false` when the connection ends before.
async fn resolved(events: &mut Events, id: &RequestId) -> bool {
    while let Some(incoming) = events.recv().await {
        if matches!(Notice::read(incoming), Some(Notice::RequestResolved { request_id, .. }) if request_id == *id)
        {
            return true;
        }
    }
    false
}

fn ended(method: &str, written: bool) -> RpcError {
    RpcError::Disconnected { method: method.into(), written, reason: "closed by the server".into() }
}
