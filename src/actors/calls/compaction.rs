//! Having a worker's context compacted or cleared.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, values};
use crate::actors::hub::ask;
use crate::actors::session::Nudge;
use crate::actors::slash::Slash;
use crate::actors::{Caller, Hub};
use crate::domain::shell::quoted;
use crate::domain::slash::SlashCommand;
use crate::domain::time::now_iso;
use crate::domain::{Failure, FailureKind};
use crate::store::compaction::{BeginCompaction, Compaction, Cover, EndCompaction};
use crate::store::sessions::{GetLinkedSession, LinkedSession};

/// What is asked of the worker.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct CompactOptions {
    /// Clear its context, which begins an empty conversation, instead of compacting it
    #[arg(long)]
    #[serde(default)]
    pub clear: bool,
    /// Only tell the worker, in words; Codex is given no command
    #[arg(long)]
    #[serde(default)]
    pub prompt_only: bool,
    /// The words
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    #[serde(default)]
    pub message: Option<String>,
    /// Check and record everything, but send nothing
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

/// Have a worker's context compacted, covered by a decision on record
///
/// Only with the permissions worker_session.compact and worker_session.clear, and only once a handoff
/// says where the work stands. It goes out between two turns of the worker, not in one.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct RequestWorkerCompactArgs {
    /// The task, by name or id
    pub task: String,
    /// The recorded decision that covers this
    #[arg(long, value_name = "ID")]
    #[serde(default)]
    pub decision_id: Option<i64>,
    /// Refuse without a fresh decision to nudge
    #[arg(long)]
    #[serde(default)]
    pub strict_decisions: bool,
    /// What is asked
    #[command(flatten)]
    #[serde(flatten)]
    pub options: CompactOptions,
}

/// Decide to have a worker's context compacted, and do it
///
/// As record-decision and request-worker-compact in one.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct CompactWorkerArgs {
    /// The task, by name or id
    pub task: String,
    /// Why
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub reason: String,
    /// The observation cycle it is based on
    #[arg(long, value_name = "ID")]
    #[serde(default)]
    pub cycle_id: Option<i64>,
    /// What is asked
    #[command(flatten)]
    #[serde(flatten)]
    pub options: CompactOptions,
}

impl Call for RequestWorkerCompactArgs {
    /// The request and what was sent, as the contract has it.
    type Reply = Value;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<Value, Failure> {
        let cover = Cover::Named { id: self.decision_id, strict: self.strict_decisions };
        request(self.task, cover, self.options, hub, caller).await
    }
}

impl Call for CompactWorkerArgs {
    /// The request and what was sent, as the contract has it.
    type Reply = Value;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<Value, Failure> {
        let cover = Cover::New { reason: self.reason, cycle_id: self.cycle_id };
        request(self.task, cover, self.options, hub, caller).await
    }
}

async fn request(
    task: String,
    cover: Cover,
    options: CompactOptions,
    hub: &Hub,
    caller: &Caller,
) -> Result<Value, Failure> {
    let command = if options.clear { SlashCommand::Clear } else { SlashCommand::Compact };
    let slash_command = (!options.prompt_only).then_some(command);
    let message = options.message.unwrap_or_else(|| in_words(command).to_owned());
    let compaction = hub.store.write(BeginCompaction { task, cover, slash_command, message }).await??;
    let sent = send(&compaction, options.dry_run, hub, caller).await;
    let failure = sent.as_ref().err().cloned();
    let result = hub.store.write(EndCompaction { compaction, dry_run: options.dry_run, sent }).await?;
    failure.map_or(Ok(result), Err)
}

fn in_words(command: SlashCommand) -> &'static str {
    match command {
        SlashCommand::Compact => {
            "Your context is getting long. Where the work stands is on record; compact the conversation, then go on \
             with the next step."
        }
        SlashCommand::Clear => {
            "Where the work stands is on record. Begin a new conversation, read the handoff, then go on with the \
             next step."
        }
    }
}

async fn send(compaction: &Compaction, dry_run: bool, hub: &Hub, caller: &Caller) -> Result<Value, Failure> {
    let worker = hub.store.read(GetLinkedSession(compaction.worker_session.clone())).await?;
    if dry_run {
        return Ok(tried_out(&worker, compaction));
    }
    let session_id = worker.session.id.clone();
    let Some(command) = compaction.slash_command else {
        return tell(session_id, compaction, hub, caller).await;
    };
    ask(&hub.slash, Slash { session_id, command }, "session's actor").await
}

/// In words, as any nudge.
async fn tell(
    session_id: String,
    compaction: &Compaction,
    hub: &Hub,
    caller: &Caller,
) -> Result<Value, Failure> {
    let (text, from_thread) = (compaction.send_text.clone(), caller.thread_id.clone());
    let report = ask(&hub.nudge, Nudge { session_id, text, from_thread }, "session's actor").await?;
    let error = report.get("error").and_then(Value::as_str).unwrap_or("no more is known");
    let kind = match report["state"].as_str() {
        Some("delivered") => return Ok(Value::Object(report)),
        Some("unknown") => FailureKind::Unknown,
        _ => FailureKind::External,
    };
    let worker = &compaction.worker_session;
    Err(Failure::new(kind, format!("the message to {worker} was not seen to be sent: {error}"))
        .hint(format!("look before repeating it: `conveyor deliveries --session {}`", quoted(worker))))
}

fn tried_out(worker: &LinkedSession, compaction: &Compaction) -> Value {
    json!({
        "dry_run": true,
        "session": worker.session.name,
        "side_effect_completed": false,
        "side_effect_started": false,
        "target": worker.session.tmux_session,
        "text": compaction.send_text,
        "time": now_iso(),
    })
}
