//! Sessions that wait for an approval or an answer.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::words;

words! {
    /// What a session asks for.
    Asks {
        /// To run a command outside its sandbox.
        Command = "command",
        /// To change files.
        FileChange = "file_change",
        /// For more rights.
        Permissions = "permissions",
        /// An approval; of what is not known.
        Approval = "approval",
        /// An answer to a question.
        Answer = "answer",
        /// A decision on its screen: trust, update, a dialog.
        Screen = "screen",
    }
}

words! {
    /// How a request is answered.
    Verdict {
        /// Yes, this once.
        Approve = "approve",
        /// No; the turn goes on.
        Deny = "deny",
    }
}

impl Asks {
    /// Whether yes or no is an answer.
    pub fn takes_a_verdict(self) -> bool {
        matches!(self, Self::Command | Self::FileChange)
    }
}

impl Verdict {
    /// The command that records it.
    pub fn command_type(self) -> &'static str {
        match self {
            Self::Approve => "approve_request",
            Self::Deny => "deny_request",
        }
    }

    /// What has been done with it then.
    pub fn past(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Deny => "denied",
        }
    }
}

/// One wait of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// What it asks for.
    pub asks: Asks,
    /// The thread that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The turn that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// The request, when there is one that can be answered from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestKey>,
    /// The command line it wants to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Why, in the model's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What its terminal shows, when that tells of the wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pane_class: Option<String>,
}

/// Tells one request of a thread from the others, whoever hears of it and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestKey {
    /// The app-server's id of it, a number or a text. It is the same for every client, and another
    /// one after the server was started again.
    pub id: Value,
    /// The item of the turn that waits.
    pub item_id: String,
    /// When it began to wait, in Unix milliseconds.
    pub started_at_ms: i64,
    /// Tells several requests of one item apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
}

impl RequestKey {
    /// Whether both are one request, though an app-server that was started again calls it otherwise.
    pub fn is_same(&self, other: &Self) -> bool {
        let known = |key: &Self| (key.item_id.clone(), key.started_at_ms, key.approval_id.clone());
        let has_a_start = self.started_at_ms > 0 || self.approval_id.is_some();
        known(self) == known(other) && (has_a_start || self.id == other.id)
    }
}

impl Wait {
    /// A wait of which only this is known.
    pub fn new(asks: Asks) -> Self {
        Self {
            asks,
            thread_id: None,
            turn_id: None,
            request: None,
            command: None,
            cwd: None,
            reason: None,
            pane_class: None,
        }
    }

    /// Whether it can be answered without its terminal.
    pub fn takes_a_verdict(&self) -> bool {
        self.asks.takes_a_verdict() && self.request.is_some()
    }
}
