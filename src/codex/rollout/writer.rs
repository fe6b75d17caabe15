//! Writing rollouts as Codex 0.169 does: one JSON object per line, numbered, appended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// The rollout file of one thread, open for appending.
#[derive(Debug)]
pub struct RolloutWriter {
    /// Where the file is.
    pub path: PathBuf,
    /// The thread's id, which is also in the file's name.
    pub thread: String,
    file: File,
    ordinal: u64,
    turn: String,
    turn_started: Timestamp,
}

/// A program that a session ran to its end.
#[derive(Debug, Clone, Copy)]
pub struct RanCommand<'a> {
    /// Program and arguments.
    pub argv: &'a [&'a str],
    /// Where it ran.
    pub cwd: &'a Path,
    /// Its exit code; -1 when a signal ended it.
    pub exit_code: i32,
    /// Both of its outputs.
    pub output: &'a str,
}

impl RolloutWriter {
    /// Makes the rollout of a new thread below `codex_home`, with the line that describes the
    /// session: one working in `cwd`, started now.
    ///
    /// # Errors
    /// When the file cannot be made or written; likewise for every line.
    pub fn create(codex_home: &Path, cwd: &Path) -> io::Result<Self> {
        let (now, thread) = (Timestamp::now(), Uuid::now_v7().to_string());
        let directory = codex_home.join(now.strftime("sessions/%Y/%m/%d").to_string());
        fs::create_dir_all(&directory)?;
        let path =
            directory.join(now.strftime(&format!("rollout-%Y-%m-%dT%H-%M-%S-{thread}.jsonl")).to_string());
        let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        let mut rollout = Self { path, thread, file, ordinal: 0, turn: String::new(), turn_started: now };
        let thread = &rollout.thread;
        let meta = json!({
            "id": thread, "session_id": thread, "timestamp": iso(now), "cwd": cwd, "originator": "codex-tui",
            "cli_version": "0.169.0", "source": "cli", "thread_source": "user", "model_provider": "scripted",
            "base_instructions": {"text": "You are a coding agent."},
        });
        rollout.append("session_meta", meta)?;
        Ok(rollout)
    }

    /// Begins a turn with what the user typed. Returns the turn's id.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin(&mut self, text: &str) -> io::Result<String> {
        (self.turn, self.turn_started) = (Uuid::now_v7().to_string(), Timestamp::now());
        let turn = &self.turn;
        let attribution =
            json!({"turn_id": turn, "turn_trigger": "user", "parent_turn_id": null, "root_turn_id": turn});
        let started_at = self.turn_started.as_second();
        self.turn_event("task_started", json!({"turn_attribution": attribution, "started_at": started_at}))?;
        self.user(text, &Uuid::new_v4().to_string())?;
        Ok(self.turn.clone())
    }

    /// A text of the user: the first of a turn, or one steered into it. `client_id` is what the
    /// client that sent it called it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn user(&mut self, text: &str, client_id: &str) -> io::Result<()> {
        let content = json!([{"type": "text", "text": text, "text_elements": []}]);
        self.item(
            json!({"type": "UserMessage", "id": Uuid::now_v7(), "client_id": client_id, "content": content}),
        )
    }

    /// A program that the agent ran.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn ran(&mut self, command: RanCommand<'_>) -> io::Result<()> {
        self.item(json!({
            "type": "CommandExecution",
            "id": format!("call_{}", self.ordinal),
            "command": command.argv,
            "cwd": format!("file://{}", command.cwd.display()),
            "source": "unified_exec_startup",
            "status": if command.exit_code == 0 { "completed" } else { "failed" },
            "aggregated_output": command.output,
            "exit_code": command.exit_code,
        }))
    }

    /// A message of the agent.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn agent(&mut self, text: &str) -> io::Result<()> {
        let id = format!("msg_{}", self.ordinal);
        self.item(json!({"type": "AgentMessage", "id": id, "content": [{"type": "Text", "text": text}]}))
    }

    /// Ends the turn with a last message of the agent.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn complete(&mut self, text: &str) -> io::Result<()> {
        self.agent(text)?;
        self.end("task_complete", json!({"last_agent_message": text}))
    }

    /// Ends the turn with an error. `info` is Codex's class of it, such as `"usage_limit_exceeded"`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn fail(&mut self, message: &str, info: Value) -> io::Result<()> {
        let error = json!({"message": message, "codex_error_info": info});
        self.end("task_complete", json!({"last_agent_message": null, "error": error}))
    }

    /// Ends the turn as an interrupt by the user does.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn interrupt(&mut self) -> io::Result<()> {
        self.end("turn_aborted", json!({"reason": "interrupted"}))
    }

    /// Appends `text` as it is: half a line, or something that is none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn raw(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())
    }

    fn end(&mut self, kind: &str, mut fields: Value) -> io::Result<()> {
        let now = Timestamp::now();
        fields["started_at"] = json!(self.turn_started.as_second());
        fields["completed_at"] = json!(now.as_second());
        fields["duration_ms"] = json!(now.as_millisecond() - self.turn_started.as_millisecond());
        self.turn_event(kind, fields)
    }

    fn item(&mut self, item: Value) -> io::Result<()> {
        let at = Timestamp::now().as_millisecond();
        let fields = json!({
            "type": "item_completed", "thread_id": self.thread, "turn_id": self.turn, "item": item,
            "started_at_ms": at, "completed_at_ms": at,
        });
        self.append("event_msg", fields)
    }

    fn turn_event(&mut self, kind: &str, mut fields: Value) -> io::Result<()> {
        fields["type"] = json!(kind);
        fields["turn_id"] = json!(self.turn);
        fields["root_turn_id"] = json!(self.turn);
        self.append("event_msg", fields)
    }

    /// Appends a line in one write, as Codex does.
    fn append(&mut self, kind: &str, payload: Value) -> io::Result<()> {
        let timestamp = iso(Timestamp::now());
        let line = json!({"timestamp": timestamp, "ordinal": self.ordinal, "type": kind, "payload": payload});
        self.ordinal += 1;
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}

fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
