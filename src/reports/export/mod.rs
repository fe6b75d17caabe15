//! The export of a task: everything on record about it, as files that need no database.

mod report;
mod status;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::Serialize;
use serde_json::{Value, json};

use super::replay::{Replay, ReplayFormat, ReplayOptions, ReplayRole};
use super::telemetry::{self, Asked, Thresholds};
use crate::domain::redaction::{redact, redact_cycle};
use crate::domain::time::iso;
use crate::domain::{Failure, Role, Sides};
use crate::store::history::{History, ReadHistory};
use crate::store::mutation_audit::AuditMutations;
use crate::store::page::{Newest, Page};
use crate::store::tasks::Task;
use crate::store::telemetry::{Counts, Find, ReadCounts};
use crate::store::transcripts::{self, StoredSegment};
use crate::store::{Query, StoreError, bundle, tasks};

/// Which texts an export has. Without them it tells that they are there, and how long they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Texts {
    /// What was new on the terminals, each time they were looked at.
    pub transcripts: bool,
    /// The same as one text for each side, and the replay with it.
    pub full_transcripts: bool,
    /// Messages, prompts and captured terminals.
    pub content: bool,
}

impl Texts {
    /// Whether there are any.
    pub fn any(self) -> bool {
        self.transcripts || self.full_transcripts || self.content
    }
}

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, with slashes below the directory.
    pub name: &'static str,
    /// What is in it.
    pub text: String,
}

/// What is exported of a task, without its manifest.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The task.
    pub task: Task,
    /// When it was read.
    pub created_at: String,
    /// The files.
    pub members: Vec<Member>,
}

/// The lists of the audit that are files of their own as well, as agent-conveyor wrote them.
pub const AUDIT_LISTS: [&str; 4] =
    ["command-attempts.json", "commands.json", "correlation-chains.json", "routed-notifications.json"];

/// Reads everything on record about a task.
#[derive(Debug, Clone)]
pub struct ReadBundle {
    /// The task, by id or name.
    pub task: String,
    /// With which texts.
    pub texts: Texts,
    /// Now.
    pub now: Timestamp,
}

impl Query for ReadBundle {
    type Out = Bundle;

    /// # Errors
    /// `NotFound` for an unknown task.
    fn run(self, conn: &Connection) -> Result<Bundle, StoreError> {
        let task = tasks::get(conn, &self.task)?;
        let mut files = Files { texts: self.texts, members: Vec::new() };
        let history = ReadHistory { task: task.id.clone(), page: Page::everything(), include_content: false };
        let history = history.run(conn)?;
        files.audit(conn, &history)?;
        files.tables(conn, &task.id)?;
        files.telemetry(conn, &task, self.now)?;
        files.transcripts(conn, &task.id, history)?;
        files.members.sort_by_key(|member| member.name);
        Ok(Bundle { task, created_at: iso(self.now), members: files.members })
    }
}

/// The files so far.
struct Files {
    texts: Texts,
    members: Vec<Member>,
}

impl Files {
    fn add(&mut self, name: &'static str, value: &impl Serialize) -> Result<(), StoreError> {
        let failed = |error| Failure::internal(format!("failed to write {name}: {error}"));
        // A `Value`'s members are sorted.
        let value = serde_json::to_value(value).map_err(failed)?;
        let text = serde_json::to_string_pretty(&value).map_err(failed)? + "\n";
        self.members.push(Member { name, text });
        Ok(())
    }

    /// Without texts that were not asked for.
    fn add_shown(&mut self, name: &'static str, value: Value) -> Result<(), StoreError> {
        let shown = if self.texts.content { value } else { redact(value) };
        self.add(name, &shown)
    }

    fn audit(&mut self, conn: &Connection, history: &History) -> Result<(), StoreError> {
        let task = &history.audit.task;
        let mut audit = serde_json::to_value(&history.audit)
            .map_err(|error| Failure::internal(format!("failed to write the audit: {error}")))?;
        audit["terminal_captures"] = Value::Array(bundle::terminal_captures(conn, &task.id)?);
        if !self.texts.content {
            audit = redact(audit);
        }
        for (name, list) in [
            ("acceptance-criteria.json", "acceptance_criteria"),
            ("command-attempts.json", "command_attempts"),
            ("commands.json", "commands"),
            ("correlation-chains.json", "correlation_chains"),
            ("manager-decisions.json", "manager_decisions"),
            ("routed-notifications.json", "routed_notifications"),
            ("terminal-captures.json", "terminal_captures"),
        ] {
            self.add(name, &audit[list])?;
        }
        self.add("audit.json", &audit)?;
        self.add("mutation-audit.json", &AuditMutations { task: task.id.clone() }.run(conn)?)?;
        self.add_shown("task-status.json", status::read(conn, task)?)
    }

    fn tables(&mut self, conn: &Connection, task_id: &str) -> Result<(), StoreError> {
        self.add_shown("prompts.json", Value::Array(bundle::prompts(conn, task_id)?))?;
        self.add_shown("agent-observations.json", Value::Array(bundle::observations(conn, task_id)?))?;
        self.add_shown(
            "transcript-captures.json",
            Value::Array(bundle::transcript_captures(conn, task_id)?),
        )?;
        self.add("manager-cycle-spans.json", &bundle::cycle_spans(conn, task_id)?)?;
        let mut cycles = bundle::cycles(conn, task_id)?;
        if !self.texts.content {
            cycles = cycles.into_iter().map(redact_cycle).collect();
        }
        self.add("manager-cycles.json", &cycles)
    }

    fn telemetry(&mut self, conn: &Connection, task: &Task, now: Timestamp) -> Result<(), StoreError> {
        let find = Find { task: Some(task.id.clone()), limit: u32::MAX, ..Find::default() };
        let mut events = find.run(conn)?;
        events.reverse();
        let counts: Counts = ReadCounts { task: Some(task.id.clone()), run: None, since: None }.run(conn)?;
        let asked = Asked {
            task: Some(task.id.clone()),
            run: None,
            window: None,
            active_only: false,
            limit: report::NEWEST,
            thresholds: Thresholds::default(),
            dead: Vec::new(),
            now,
        };
        let view = telemetry::ReadTask(asked).run(conn)?;
        self.members.push(Member { name: "telemetry-report.md", text: report::markdown(&view, &iso(now)) });
        self.add("telemetry-events.json", &events)?;
        self.add("telemetry-summary.json", &counts)
    }

    fn transcripts(
        &mut self,
        conn: &Connection,
        task_id: &str,
        mut history: History,
    ) -> Result<(), StoreError> {
        let replay = |history, format, include_content| {
            let options = ReplayOptions { format, role: ReplayRole::All, limit: None, include_content };
            Replay::of(history, &options)
        };
        self.add("replay.json", &replay(history.clone(), ReplayFormat::Timeline, self.texts.content))?;
        if !self.texts.transcripts && !self.texts.full_transcripts {
            return Ok(());
        }
        let segments = transcripts::newest(conn, task_id, Sides::All, u32::MAX)?;
        self.add("transcript-segments.json", &segments)?;
        if self.texts.full_transcripts {
            for (name, role) in
                [("transcripts/worker.txt", Role::Worker), ("transcripts/manager.txt", Role::Manager)]
            {
                self.members.push(Member { name, text: transcript(&segments, role) });
            }
            history.segments = Newest { rows: segments, has_older: false };
            self.add("replay-full-transcript.json", &replay(history, ReplayFormat::FullTranscript, true))?;
        }
        Ok(())
    }
}

/// What was new on a side's terminal, each time it was looked at.
fn transcript(segments: &[StoredSegment], role: Role) -> String {
    let mut text = String::new();
    for segment in segments.iter().filter(|segment| segment.role == role) {
        text += &format!("--- {} {} {}\n", segment.captured_at, segment.segment_kind, segment.id);
        match &segment.segment_text {
            Some(shown) => text += &format!("{}\n", shown.trim_end_matches('\n')),
            None => text += &format!("({} bytes, not kept)\n", segment.byte_count),
        }
    }
    text
}

/// The table of contents of a bundle; `hashes` are the SHA-256 of its members, in their order.
pub fn manifest(bundle: &Bundle, texts: Texts, hashes: &[String]) -> Value {
    let names = bundle.members.iter().map(|member| member.name);
    let (audit_lists, files): (Vec<_>, Vec<_>) = names.clone().partition(|name| AUDIT_LISTS.contains(name));
    let sha256: serde_json::Map<String, Value> =
        names.zip(hashes).map(|(name, hash)| (name.to_owned(), json!(hash))).collect();
    json!({
        "audit_lists": audit_lists,
        "created_at": bundle.created_at,
        "files": files,
        "sha256": sha256,
        "task": { "id": bundle.task.id, "name": bundle.task.name },
        "texts": {
            "content": texts.content,
            "full_transcripts": texts.full_transcripts,
            "transcripts": texts.transcripts || texts.full_transcripts,
        },
        "version": env!("CARGO_PKG_VERSION"),
    })
}
