//! Having Codex carry out a command of its own in a session: compact or clear its conversation.
//!
//! Only between two turns, where Codex takes such commands. Compacting has a call of the app-server;
//! clearing is the terminal's alone, which then shows another thread.

use actix::prelude::*;
use serde_json::{Value, json};

use super::hands::Hands;
use super::transport::{Sending, TmuxTransport};
use crate::codex::app_server::{AppServer, ThreadStatus};
use crate::domain::Failure;
use crate::domain::shell::quoted;
use crate::domain::slash::SlashCommand;
use crate::domain::time::now_iso;
use crate::domain::transport::TransportKind;
use crate::store::sessions::LinkedSession;

/// Has Codex carry out a command in a session; gives what was sent, and how.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Value, Failure>")]
pub struct Slash {
    /// The session's id.
    pub session_id: String,
    /// The command.
    pub command: SlashCommand,
}

impl Hands {
    pub(super) async fn slash(&self, command: SlashCommand) -> Result<Value, Failure> {
        let linked = self.located().await?;
        if command == SlashCommand::Compact
            && let Some((server, thread_id)) = self.loaded_thread(&linked).await
        {
            return compact(&server, &thread_id, &linked).await;
        }
        if linked.session.tmux_session.is_none() {
            return Err(not_sent(&linked, command, "it has no terminal to type in").hint(
                "tell the worker itself: add --prompt-only, or queue it with `conveyor enqueue-nudge-worker TASK --message TEXT`",
            ));
        }
        let (terminal, view) = self.see(&linked, 0).await?;
        let transport = TmuxTransport::new(terminal, view.pane.id, &linked);
        match transport.send_command(command.as_str()).await {
            Sending::Sent(details) => Ok(report(&linked, command, TransportKind::Tmux, details)),
            Sending::NotSent(error) => Err(not_sent(&linked, command, &error).hint(wait_hint(&linked))),
            Sending::Unknown { error, .. } => Err(may_have_been_sent(&linked, command, &error)),
        }
    }

    /// The session's app-server, when it answers and has the thread loaded.
    async fn loaded_thread(&self, linked: &LinkedSession) -> Option<(AppServer, String)> {
        if !linked.reachable().pushes().contains(&TransportKind::AppServer) {
            return None;
        }
        let socket = linked.link.as_ref()?.app_server_socket.as_ref()?;
        let thread_id = linked.session.codex_session_id.clone()?;
        let server = self.connection.get(socket.as_ref()).await.ok()?;
        let status = server.thread_read(&thread_id).await.ok()?.status;
        (status != ThreadStatus::NotLoaded).then_some((server, thread_id))
    }
}

async fn compact(server: &AppServer, thread_id: &str, linked: &LinkedSession) -> Result<Value, Failure> {
    let command = SlashCommand::Compact;
    let failed = |error: String| not_sent(linked, command, &error).hint(wait_hint(linked));
    let status = server.thread_read(thread_id).await.map_err(|error| failed(error.to_string()))?.status;
    if status != ThreadStatus::Idle {
        return Err(failed("it is in the middle of a turn".to_owned()));
    }
    match server.thread_compact_start(thread_id).await {
        Ok(()) => {
            let details = json!({ "thread_id": thread_id, "call": "thread/compact/start" });
            Ok(report(linked, command, TransportKind::AppServer, details))
        }
        Err(error) if error.may_have_happened() => {
            Err(may_have_been_sent(linked, command, &error.to_string()))
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

fn not_sent(linked: &LinkedSession, command: SlashCommand, why: &str) -> Failure {
    Failure::refused(format!("session {} was not sent {command}: {why}", linked.session.name))
}

fn wait_hint(linked: &LinkedSession) -> String {
    format!(
        "wait until it has ended its turn: `conveyor wait --session {} --for turn-end`",
        quoted(&linked.session.name)
    )
}

fn may_have_been_sent(linked: &LinkedSession, command: SlashCommand, error: &str) -> Failure {
    let name = &linked.session.name;
    Failure::unknown(format!("session {name} may have been sent {command}: {error}"))
        .hint(format!("look before repeating it: `conveyor tail {}`", quoted(name)))
}

/// What the contract reports of a completed push.
fn report(linked: &LinkedSession, command: SlashCommand, transport: TransportKind, details: Value) -> Value {
    let mut report = json!({
        "dry_run": false,
        "session": linked.session.name,
        "side_effect_completed": true,
        "side_effect_started": true,
        "target": linked.session.tmux_session,
        "text": command,
        "time": now_iso(),
        "transport": transport,
    });
    if let (Value::Object(report), Value::Object(details)) = (&mut report, details) {
        report.extend(details);
    }
    report
}
