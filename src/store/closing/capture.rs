//! Before any session ends: what their terminals showed.

use rusqlite::Connection;
use serde_json::json;

use super::{CaptureOptions, Plan};
use crate::domain::Failure;
use crate::store::captures::{self, NewCapture};
use crate::store::events::record_of_command;
use crate::store::sessions::LinkedSession;
use crate::store::{Change, StoreError};

/// A terminal as it was seen.
#[derive(Debug, Clone)]
pub struct SeenTerminal {
    /// The session in it.
    pub linked: LinkedSession,
    /// The pane.
    pub pane_id: String,
    /// What it showed.
    pub text: String,
}

/// Records what the terminals showed before their sessions end.
#[derive(Debug)]
pub struct RecordSeen {
    /// The recorded intent.
    pub plan: Plan,
    /// What was seen.
    pub seen: Vec<SeenTerminal>,
    /// How it is kept.
    pub options: CaptureOptions,
}

impl Change for RecordSeen {
    /// The plan, whose report shows the captures.
    type Out = Plan;

    fn run(self, tx: &Connection) -> Result<Plan, StoreError> {
        let Self { mut plan, seen, options } = self;
        if options.require_segment && seen.is_empty() {
            return Err(Failure::refused("there is no terminal to capture")
                .hint("leave out --require-transcript-segment, or stop a session that runs in tmux")
                .into());
        }
        for terminal in &seen {
            let new = NewCapture {
                task: &plan.task,
                session: &terminal.linked.session,
                pane_id: &terminal.pane_id,
                command_id: Some(&plan.report.command_id),
                source: "finish_task_pre_stop",
                history_lines: options.lines,
                mode: options.mode,
                text: &terminal.text,
            };
            plan.report.pre_stop_transcript_captures.push(captures::record(tx, &new)?.entry);
        }
        let sessions: Vec<&str> = seen.iter().map(|seen| seen.linked.session.name.as_str()).collect();
        let payload = json!({ "history_lines": options.lines, "mode": options.mode, "sessions": sessions });
        let event_type = format!("{}_pre_stop_transcript_captured", plan.closing);
        record_of_command(tx, &plan.task.id, &plan.report.command_id, &event_type, payload)?;
        Ok(plan)
    }
}
