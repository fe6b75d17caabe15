//! The calls this program makes, with their parameters and results.

use super::{
    client::{AppServer, RequestId},
    error::RpcError,
};
use crate::codex::policy::{ApprovalPolicy, SandboxMode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// `thread/start`: what a new thread is like. What is `None` comes from the user's Codex configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadStart {
    /// Where the thread works. Codex does not check that the directory exists.
    pub cwd: PathBuf,
    /// When it asks a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_policy: Option<ApprovalPolicy>,
    /// What its commands may touch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxMode>,
    /// The model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A key of `model_providers` in Codex's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// Codex configuration for this thread alone, e.g. `mcp_servers`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
}

/// A thread as Codex describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thread {
    /// A UUIDv7 as text: later threads compare greater.
    pub id: String,
    /// The rollout file. It is known before the file exists.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Where the thread works.
    pub cwd: PathBuf,
    /// The name it was given, if any.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is doing.
    pub status: ThreadStatus,
    /// The thread whose sub-agent this is.
    #[serde(default)]
    pub parent_thread_id: Option<String>,
}

/// What a thread is doing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum ThreadStatus {
    /// Known on disk, not loaded in this server.
    NotLoaded,
    /// Waiting for input.
    Idle,
    /// In a turn.
    #[serde(rename_all = "camelCase")]
    Active {
        /// What the turn waits for: `waitingOnApproval`, `waitingOnUserInput`.
        #[serde(default)]
        active_flags: Vec<String>,
    },
    /// Codex itself failed.
    SystemError,
    /// A status newer than this program.
    #[serde(other)]
    Unknown,
}

impl ThreadStatus {
    /// Whether a person has to approve something before the turn goes on.
    pub fn waits_on_approval(&self) -> bool {
        self.has_flag("waitingOnApproval")
    }

    /// Whether a person has to answer a question before the turn goes on.
    pub fn waits_on_user_input(&self) -> bool {
        self.has_flag("waitingOnUserInput")
    }

    fn has_flag(&self, flag: &str) -> bool {
        matches!(self, Self::Active { active_flags } if active_flags.iter().any(|f| f == flag))
    }
}

/// Comes back as `turn_trigger` in the `task_started` of a turn that we start; not when the text was
/// steered into a running one.
const TURN_TRIGGER: &str = "conveyor";

/// `turn/start`: one message to a thread. On a running turn it is steered into that turn.
#[derive(Debug, Clone, Copy)]
pub struct TurnStart<'a> {
    /// The thread to talk to; it must be loaded.
    pub thread_id: &'a str,
    /// The text, taken literally: no slash commands, no `!`.
    pub text: &'a str,
    /// Comes back as `client_id` of the `UserMessage` line in the rollout: the receipt.
    pub client_user_message_id: &'a str,
}

/// How an approval request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Approval {
    /// Yes, this once.
    Accept,
    /// Yes, and the same again without asking in this session.
    AcceptForSession,
    /// No; the turn goes on.
    Decline,
    /// No; the turn ends.
    Cancel,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThreadRestore<'a> {
    thread_id: &'a str,
    exclude_turns: bool,
    #[serde(flatten)]
    settings: &'a ThreadStart,
}

#[derive(Deserialize)]
struct ThreadReply {
    thread: Thread,
}

#[derive(Deserialize)]
struct TurnReply {
    turn: TurnHead,
}

#[derive(Deserialize)]
struct TurnHead {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoadedThreads {
    data: Vec<String>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct TurnPage {
    data: Vec<TurnState>,
}

#[derive(Deserialize)]
struct TurnState {
    id: String,
    status: String,
}

/// Every call fails as [`AppServer::call`] does.
impl AppServer {
    /// Makes a new thread. Its rollout file appears with [`AppServer::thread_name_set`] or the first turn.
    pub async fn thread_start(&self, thread: &ThreadStart) -> Result<Thread, RpcError> {
        let reply: ThreadReply = self.call_for("thread/start", thread).await?;
        Ok(reply.thread)
    }

    /// Names a thread, which also writes its rollout file: only then can another client resume it.
    /// Codex refuses a blank name.
    pub async fn thread_name_set(&self, thread_id: &str, name: &str) -> Result<(), RpcError> {
        self.call("thread/name/set", json!({ "threadId": thread_id, "name": name })).await?;
        Ok(())
    }

    /// Loads a thread from its rollout, or joins it when it is loaded, and subscribes to its events.
    pub async fn thread_resume(&self, thread_id: &str) -> Result<Thread, RpcError> {
        let params = json!({ "threadId": thread_id, "excludeTurns": true });
        let reply: ThreadReply = self.call_for("thread/resume", params).await?;
        Ok(reply.thread)
    }

    /// As [`AppServer::thread_resume`], in a server that does not have the thread yet, with the
    /// settings it was started with: Codex remembers them only from the first turn on, and
    /// `config` never, so that a thread resumed without them may run with others.
    pub async fn thread_restore(&self, thread_id: &str, settings: &ThreadStart) -> Result<Thread, RpcError> {
        let params = ThreadRestore { thread_id, exclude_turns: true, settings };
        let reply: ThreadReply = self.call_for("thread/resume", params).await?;
        Ok(reply.thread)
    }

    /// What a thread is doing now, without its history.
    pub async fn thread_read(&self, thread_id: &str) -> Result<Thread, RpcError> {
        let reply: ThreadReply = self.call_for("thread/read", json!({ "threadId": thread_id })).await?;
        Ok(reply.thread)
    }

    /// The ids of all threads loaded in this server, sub-agents included.
    pub async fn thread_loaded_list(&self) -> Result<Vec<String>, RpcError> {
        let mut ids = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page: LoadedThreads =
                self.call_for("thread/loaded/list", json!({ "cursor": cursor })).await?;
            ids.extend(page.data);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(ids);
            }
        }
    }

    /// Sends a message to a thread and returns the id of the turn it started or was steered into.
    pub async fn turn_start(&self, turn: TurnStart<'_>) -> Result<String, RpcError> {
        let params = json!({
            "threadId": turn.thread_id,
            "input": [{ "type": "text", "text": turn.text, "text_elements": [] }],
            "clientUserMessageId": turn.client_user_message_id,
            "turnTrigger": TURN_TRIGGER,
        });
        let reply: TurnReply = self.call_for("turn/start", params).await?;
        Ok(reply.turn.id)
    }

    /// The turn a thread is in, if it is in one.
    pub async fn running_turn(&self, thread_id: &str) -> Result<Option<String>, RpcError> {
        let newest = json!({ "threadId": thread_id, "limit": 1 });
        let page: TurnPage = self.call_for("thread/turns/list", newest).await?;
        Ok(page.data.into_iter().find(|turn| turn.status == "inProgress").map(|turn| turn.id))
    }

    /// Interrupts the turn; refused when it is not the one that runs.
    pub async fn turn_interrupt(&self, thread_id: &str, turn_id: &str) -> Result<(), RpcError> {
        self.call("turn/interrupt", json!({ "threadId": thread_id, "turnId": turn_id })).await?;
        Ok(())
    }

    /// Has a thread's conversation summed up, as a turn of its own.
    pub async fn thread_compact_start(&self, thread_id: &str) -> Result<(), RpcError> {
        self.call("thread/compact/start", json!({ "threadId": thread_id })).await?;
        Ok(())
    }

    /// Answers an approval request of a command or a file change.
    pub async fn answer_approval(&self, id: &RequestId, answer: Approval) -> Result<(), RpcError> {
        self.respond(id, json!({ "decision": answer })).await
    }
}

impl ThreadStart {
    /// A thread in `cwd` with the user's own settings.
    pub fn new(cwd: &Path) -> Self {
        Self { cwd: cwd.to_owned(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        fn check(json: Value, expected: ThreadStatus) {
            assert_eq!(serde_json::from_value::<ThreadStatus>(json).unwrap(), expected);
        }
        check(json!({"type": "idle"}), ThreadStatus::Idle);
        check(json!({"type": "notLoaded"}), ThreadStatus::NotLoaded);
        check(json!({"type": "systemError"}), ThreadStatus::SystemError);
        check(json!({"type": "dreaming", "of": 1}), ThreadStatus::Unknown);
        check(
            json!({"type": "active", "activeFlags": ["waitingOnApproval"]}),
            ThreadStatus::Active { active_flags: vec!["waitingOnApproval".into()] },
        );
        let waiting = ThreadStatus::Active { active_flags: vec!["waitingOnUserInput".into()] };
        assert!(waiting.waits_on_user_input() && !waiting.waits_on_approval());
        assert!(!ThreadStatus::Idle.waits_on_approval());
    }

    #[test]
    fn a_thread_without_settings_sends_only_its_directory() {
        let thread = ThreadStart::new(Path::new("/w"));
        assert_eq!(serde_json::to_value(&thread).unwrap(), json!({"cwd": "/w"}));
    }
}
