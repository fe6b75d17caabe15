//! Tail: the newest events of a session.

use std::path::Path;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, ToolKind};
use crate::actors::blocking::blocking;
use crate::actors::{Caller, Hub};
use crate::codex::rollout::payload_at;
use crate::domain::Failure;
use crate::domain::redaction::redact_rollout;
use crate::store::codex_events::{CodexEvent, Left};
use crate::store::tail::{ReadTail, RecordTail, StoredEvent};

/// Show the newest rollout events of a session, newest first
///
/// Texts are left out; their sizes are shown instead.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct TailArgs {
    /// The session's name or id
    pub name: String,
    /// Show at most this many events
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub limit: u32,
    /// Show only events of this subtype, e.g. task_complete
    #[arg(long, value_name = "SUBTYPE")]
    pub subtype: Option<String>,
    /// Show texts verbatim
    #[arg(long)]
    pub include_content: bool,
}

/// One event.
#[derive(Debug, Serialize, Deserialize)]
pub struct TailEvent {
    /// Its id.
    pub id: i64,
    /// The session's name.
    pub session: String,
    /// The session's id.
    pub session_id: String,
    /// When Codex wrote it.
    pub timestamp: String,
    /// The line's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The payload's type, for `event_msg` lines.
    pub subtype: Option<String>,
    /// Where the line starts in the rollout.
    pub byte_offset: i64,
    /// When it was read.
    pub ingested_at: String,
    /// The payload, without its texts unless they were asked for.
    pub payload: Value,
}

impl Call for TailArgs {
    type Reply = Vec<TailEvent>;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Vec<TailEvent>, Failure> {
        let look = ReadTail {
            session: self.name,
            limit: self.limit,
            subtype: self.subtype,
            include_content: self.include_content,
        };
        let (session, stored) = hub.store.read(look.clone()).await?;
        hub.store.write(RecordTail { look, events: stored.len() }).await?;
        let events = blocking(move || whole(stored, self.include_content)).await?;
        let shown = events.into_iter().map(|event| TailEvent {
            id: event.id,
            session: session.name.clone(),
            session_id: session.id.clone(),
            timestamp: event.timestamp,
            kind: event.kind,
            subtype: event.subtype,
            byte_offset: event.byte_offset,
            ingested_at: event.ingested_at,
            payload: event.payload,
        });
        Ok(shown.collect())
    }
}

/// The events with the payloads that were left in a rollout.
fn whole(stored: Vec<StoredEvent>, include_content: bool) -> Vec<CodexEvent> {
    let whole = |StoredEvent { event, left_in }| match left_in {
        None => event,
        Some((path, left)) => {
            let payload = match read_back(Path::new(&path), &event, left) {
                Ok(payload) if include_content => payload,
                Ok(payload) => redact_rollout(payload),
                Err(reason) => {
                    json!({"left_in_rollout": path, "left_in_rollout_bytes": left.bytes, "unreadable": reason})
                }
            };
            CodexEvent { payload, ..event }
        }
    };
    stored.into_iter().map(whole).collect()
}

/// What stands there now is shown only if it can be what stood there then.
fn read_back(path: &Path, event: &CodexEvent, left: Left) -> Result<Value, String> {
    let offset = event.byte_offset.unsigned_abs();
    let payload = payload_at(path, offset).map_err(|error| error.to_string())?;
    payload
        .filter(|payload| payload.len() == left.bytes)
        .and_then(|payload| serde_json::from_str(&payload).ok())
        .ok_or_else(|| format!("another line stands at byte {offset} of {}", path.display()))
}
