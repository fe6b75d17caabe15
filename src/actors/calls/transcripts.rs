//! Transcripts: capture what the terminals of a pair show, show what was kept, drop what is old.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, ToolKind};
use crate::actors::hub::ask;
use crate::actors::session::Look;
use crate::actors::{Caller, Hub};
use crate::domain::redaction::redact;
use crate::domain::shell::quoted;
use crate::domain::transcript::CaptureMode;
use crate::domain::{Failure, Sides};
use crate::store::sessions::Session;
use crate::store::tasks::Task;
use crate::store::transcripts::{
    PairToCapture, PruneCaptures, PruneTranscript, Pruned, RecordCapture, ShowTranscript,
};

/// Keep what the terminals of a task's pair show
///
/// What was kept before is not kept again: a segment holds the lines that are new. The answer shows
/// how long the texts are; --include-content shows them.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptCaptureArgs {
    /// The task, by name or id
    pub task: String,
    /// Whose terminal
    #[arg(long, value_name = "ROLE", default_value = "all")]
    #[serde(default = "all")]
    pub role: Sides,
    /// What is kept
    #[arg(long, value_name = "MODE", default_value = "segment")]
    #[serde(default = "segment")]
    pub mode: CaptureMode,
    /// Lines of scroll-back
    #[arg(long, value_name = "LINES", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    #[serde(default = "default_lines")]
    pub lines: u32,
    /// Fail when a terminal shows nothing new, or cannot be captured
    #[arg(long)]
    #[serde(default)]
    pub require_segment: bool,
    /// Show the captured texts
    #[arg(long)]
    #[serde(default)]
    pub include_content: bool,
}

fn all() -> Sides {
    Sides::All
}

fn segment() -> CaptureMode {
    CaptureMode::Segment
}

fn default_lines() -> u32 {
    200
}

/// What was captured.
#[derive(Debug, Serialize, Deserialize)]
pub struct TranscriptCaptureReply {
    /// For each side what was captured, or `{role, error}`.
    pub captures: Vec<Value>,
    /// What is kept.
    pub mode: CaptureMode,
    /// Whose terminals.
    pub role: Sides,
    /// The task's name.
    pub task: String,
}

impl Call for TranscriptCaptureArgs {
    type Reply = TranscriptCaptureReply;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<TranscriptCaptureReply, Failure> {
        let pair = PairToCapture { task: self.task.clone(), sides: self.role };
        let (task, sessions) = hub.store.read(pair).await?;
        let mut captures = Vec::new();
        let mut failures = Vec::new();
        for session in &sessions {
            match self.capture(&task, session, hub).await {
                Ok(entry) => captures.push(entry),
                Err(failure) => {
                    captures.push(json!({ "error": failure.message, "role": session.role }));
                    failures.push(failure);
                }
            }
        }
        // What one side shows is worth something without the other.
        let too_many = if self.require_segment { 1 } else { sessions.len() };
        if failures.len() >= too_many {
            return Err(failures.swap_remove(0));
        }
        Ok(TranscriptCaptureReply { captures, mode: self.mode, role: self.role, task: task.name })
    }
}

impl TranscriptCaptureArgs {
    async fn capture(&self, task: &Task, session: &Session, hub: &Hub) -> Result<Value, Failure> {
        let look = Look { session_id: session.id.clone(), lines: self.lines };
        let view = ask(&hub.look, look, "session's actor").await?;
        let text = view.whole();
        let record = RecordCapture {
            task: task.clone(),
            session: session.clone(),
            pane_id: view.pane.id.to_string(),
            history_lines: self.lines,
            mode: self.mode,
            text: text.clone(),
        };
        let capture = hub.store.write(record).await?;
        if self.require_segment && !capture.has_segment {
            return Err(Failure::refused(format!(
                "the terminal of {} shows nothing that was not kept before",
                session.name
            ))
            .hint(format!("see what was kept: `conveyor transcript-show {}`", quoted(&task.name))));
        }
        Ok(if self.include_content { capture.with_text(&text) } else { capture.entry })
    }
}

/// Show what was kept of the terminals of a task's pair
///
/// Without --include-content only how long the texts are.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptShowArgs {
    /// The task, by name or id
    pub task: String,
    /// Whose terminal
    #[arg(long, value_name = "ROLE", default_value = "all")]
    #[serde(default = "all")]
    pub role: Sides,
    /// Show only this many of the newest
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(default = "default_limit")]
    pub limit: u32,
    /// Show the texts
    #[arg(long)]
    #[serde(default)]
    pub include_content: bool,
}

fn default_limit() -> u32 {
    200
}

/// Which task, and how far it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct TaskState {
    /// `task-<uuid>`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: String,
}

impl From<Task> for TaskState {
    fn from(task: Task) -> Self {
        Self { id: task.id, name: task.name, state: task.state }
    }
}

/// What was kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct TranscriptShowReply {
    /// The segments, oldest first, as [`StoredSegment`](crate::store::transcripts::StoredSegment) has
    /// them, redacted unless the texts were asked for.
    pub segments: Vec<Value>,
    /// The task.
    pub task: TaskState,
}

impl Call for TranscriptShowArgs {
    type Reply = TranscriptShowReply;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<TranscriptShowReply, Failure> {
        let show = ShowTranscript {
            task: self.task,
            sides: self.role,
            limit: self.limit,
            include_content: self.include_content,
        };
        let (task, segments) = hub.store.read(show).await?;
        let shown = |segment| if self.include_content { json!(segment) } else { redact(json!(segment)) };
        Ok(TranscriptShowReply { segments: segments.iter().map(shown).collect(), task: task.into() })
    }
}

/// Drop old transcript texts of a task
///
/// That they were there, when, and how long they were stays on record.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptPruneArgs {
    /// The task, by name or id
    pub task: String,
    /// How many of the newest of each side keep their texts
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[serde(default = "default_keep")]
    pub keep_latest: u32,
    /// Only count
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

fn default_keep() -> u32 {
    20
}

impl Call for TranscriptPruneArgs {
    type Reply = Pruned;
    /// What is dropped is gone: that is for a person to decide.
    const TOOL: ToolKind = ToolKind::Hidden;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Pruned, Failure> {
        let Self { task, keep_latest, dry_run } = self;
        Ok(hub.store.write(PruneTranscript { task, keep_latest, dry_run }).await?)
    }
}

/// Drop old captured texts of legacy workers
///
/// That they were there, when, and how long they were stays on record.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct PruneArgs {
    /// How many of the newest of each worker keep their texts
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[serde(default = "default_keep")]
    pub keep_latest: u32,
    /// Only count
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

impl Call for PruneArgs {
    type Reply = Pruned;
    /// As for [`TranscriptPruneArgs`].
    const TOOL: ToolKind = ToolKind::Hidden;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Pruned, Failure> {
        let Self { keep_latest, dry_run } = self;
        Ok(hub.store.write(PruneCaptures { keep_latest, dry_run }).await?)
    }
}
