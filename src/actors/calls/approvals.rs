//! Approvals: which sessions wait for one, and giving or refusing it.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, ToolKind};
use crate::actors::{Caller, Hub, record};
use crate::codex::app_server::{Answered, Approval, answer_request};
use crate::domain::redaction::redact_wait;
use crate::domain::{Failure, RequestKey, Verdict};
use crate::store::sessions::GetLinkedSession;
use crate::store::waits::{Answering, BeginAnswer, FinishAnswer, ListWaits, Waiting};

/// For each step of answering. Codex takes milliseconds; a starved machine may need seconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// List the sessions that wait for an approval or an answer
///
/// What a session wants to run, and why, is left out unless you ask for it. Those that are
/// `answerable` take `conveyor approve` and `conveyor deny`; the others wait for somebody at their
/// terminal.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalsArgs {
    /// Show only the sessions of this task, by name or id
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// Show the commands and the reasons given for them
    #[arg(long)]
    #[serde(default)]
    pub include_content: bool,
}

impl Call for ApprovalsArgs {
    /// [`Waiting`] each, redacted unless asked otherwise.
    type Reply = Vec<Value>;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Vec<Value>, Failure> {
        let waits = hub.store.read(ListWaits { task: self.task }).await?;
        let shown = |waiting: &Waiting| {
            let waiting = json!(waiting);
            if self.include_content { waiting } else { redact_wait(waiting) }
        };
        Ok(waits.iter().map(shown).collect())
    }
}

/// Which request is answered, and why.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct AnswerArgs {
    /// The session that waits, by name or id
    pub session: String,
    /// The request's id, as `conveyor approvals` shows it
    pub id: i64,
    /// Why you answer so; it is kept
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = super::values::text)]
    pub reason: String,
}

/// Let a session do, this once, what it asks for
///
/// Only through its app-server, and only when the task's configuration permits
/// worker_session.approve. See what it asks first: `conveyor approvals --include-content`.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct ApproveArgs {
    /// The request
    #[command(flatten)]
    #[serde(flatten)]
    pub answer: AnswerArgs,
}

/// Refuse what a session asks for; its turn goes on without it
///
/// Only through its app-server, and only when the task's configuration permits
/// worker_session.approve.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct DenyArgs {
    /// The request
    #[command(flatten)]
    #[serde(flatten)]
    pub answer: AnswerArgs,
}

/// An answered request.
#[derive(Debug, Serialize, Deserialize)]
pub struct AnswerReply {
    /// The request's id.
    pub id: i64,
    /// The session that asked.
    pub session: String,
    /// How it was answered.
    pub answer: Verdict,
    /// Who answered: a session's name, or `operator`.
    pub answered_by: String,
    /// The command that records it.
    pub command_id: String,
}

impl Call for ApproveArgs {
    type Reply = AnswerReply;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<AnswerReply, Failure> {
        self.answer.give(Verdict::Approve, hub, caller).await
    }
}

impl Call for DenyArgs {
    type Reply = AnswerReply;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<AnswerReply, Failure> {
        self.answer.give(Verdict::Deny, hub, caller).await
    }
}

impl AnswerArgs {
    async fn give(self, verdict: Verdict, hub: &Hub, caller: &Caller) -> Result<AnswerReply, Failure> {
        if self.reason.trim().is_empty() {
            return Err(Failure::usage("an answer needs a reason: say why with --reason"));
        }
        let begin = BeginAnswer {
            session: self.session,
            id: self.id,
            verdict,
            reason: self.reason,
            by_thread: caller.thread_id.clone(),
        };
        let answering = hub.store.write(begin).await??;
        let answered = answer(hub, &answering).await;
        let finish = FinishAnswer { answering: answering.clone(), failure: answered.clone().err() };
        let recorded = hub.store.write(finish).await;
        let Waiting { id, session, .. } = answering.waiting;
        record::ended(answered, recorded, |()| {
            format!("request {id} of session {session} was {}", verdict.past())
        })?;
        Ok(AnswerReply {
            id,
            session,
            answer: verdict,
            answered_by: answering.by,
            command_id: answering.command_id,
        })
    }
}

async fn answer(hub: &Hub, answering: &Answering) -> Result<(), Failure> {
    let session = &answering.waiting.session;
    let linked = hub.store.read(GetLinkedSession(answering.waiting.session_id.clone())).await?;
    let socket = linked.link.and_then(|link| link.app_server_socket);
    let asked = (socket, &answering.waiting.wait.thread_id, &answering.waiting.wait.request);
    let (Some(socket), Some(thread_id), Some(request)) = asked else {
        return Err(Failure::refused(format!("session {session} has no app-server to answer through"))
            .hint("answer it in its terminal"));
    };
    match take(socket.as_ref(), thread_id, request, answering.verdict).await? {
        Answered::Taken => Ok(()),
        Answered::NotAsked => Err(Failure::refused(format!(
            "session {session} does not ask that any more; nothing was answered"
        ))
        .hint("see who waits: `conveyor approvals`")),
    }
}

async fn take(
    socket: &Path,
    thread_id: &str,
    request: &RequestKey,
    verdict: Verdict,
) -> Result<Answered, Failure> {
    let answer = match verdict {
        Verdict::Approve => Approval::Accept,
        Verdict::Deny => Approval::Decline,
    };
    Ok(answer_request(socket, thread_id, request, answer, DEADLINE).await?)
}
