//! The part of what the server says unasked that supervision acts on.

use super::{
    calls::{Thread, ThreadStatus},
    client::{Incoming, RequestId},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::path::PathBuf;

/// News about threads, and questions to a person. It is a hint: the rollout is what is true.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A thread began in this server, also by `/clear` or `/new` in an attached terminal.
    ThreadStarted(Thread),
    /// A thread became idle, active, or waits for a person.
    StatusChanged {
        /// The thread.
        thread_id: String,
        /// What it does now.
        status: ThreadStatus,
    },
    /// A turn ended, well or not.
    TurnEnded {
        /// The thread.
        thread_id: String,
        /// The turn.
        turn_id: String,
        /// `completed`, `interrupted` or `failed`.
        outcome: String,
    },
    /// A command or a file change waits for a person's approval.
    ApprovalRequested(ApprovalRequest),
    /// A request was answered, by this client or another.
    RequestResolved {
        /// The thread.
        thread_id: String,
        /// The request.
        request_id: RequestId,
    },
    /// Codex could not use its configuration as it stands; with a broken file it runs on defaults.
    ConfigWarning {
        /// Codex's own words.
        summary: String,
    },
    /// So many messages were lost on the way: read the state again.
    Missed(u64),
}

/// What an approval is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalKind {
    /// To run a command outside the sandbox.
    Command,
    /// To change files.
    FileChange,
}

/// A question of the form "may I?", answered with [`super::AppServer::answer_approval`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// What the answer refers to.
    pub id: RequestId,
    /// What it is asked for.
    pub kind: ApprovalKind,
    /// The thread that asks.
    pub thread_id: String,
    /// The turn that waits.
    pub turn_id: String,
    /// The command line, if a command is to run.
    pub command: Option<String>,
    /// Where it would run.
    pub cwd: Option<PathBuf>,
    /// Why, in the model's words.
    pub reason: Option<String>,
}

impl Notice {
    /// Reads what the server said. `None` for the many messages that supervision has no use for,
    /// and for those that do not have the known shape.
    pub fn read(incoming: Incoming) -> Option<Self> {
        match incoming {
            Incoming::Missed(count) => Some(Self::Missed(count)),
            Incoming::Notification { method, params } => Self::from_notification(&method, params),
            Incoming::Request { id, method, params } => {
                let kind = match method.as_str() {
                    "item/commandExecution/requestApproval" => ApprovalKind::Command,
                    "item/fileChange/requestApproval" => ApprovalKind::FileChange,
                    _ => return None,
                };
                let ApprovalParams { thread_id, turn_id, command, cwd, reason } = parse(&method, params)?;
                let request = ApprovalRequest { id, kind, thread_id, turn_id, command, cwd, reason };
                Some(Self::ApprovalRequested(request))
            }
        }
    }

    fn from_notification(method: &str, params: Value) -> Option<Self> {
        Some(match method {
            "thread/started" => {
                let ThreadStarted { thread } = parse(method, params)?;
                Self::ThreadStarted(thread)
            }
            "thread/status/changed" => {
                let StatusChanged { thread_id, status } = parse(method, params)?;
                Self::StatusChanged { thread_id, status }
            }
            "turn/completed" => {
                let TurnCompleted { thread_id, turn } = parse(method, params)?;
                Self::TurnEnded { thread_id, turn_id: turn.id, outcome: turn.status }
            }
            "serverRequest/resolved" => {
                let RequestResolved { thread_id, request_id } = parse(method, params)?;
                Self::RequestResolved { thread_id, request_id }
            }
            "configWarning" => {
                let ConfigWarning { summary } = parse(method, params)?;
                Self::ConfigWarning { summary }
            }
            _ => return None,
        })
    }
}

fn parse<T: DeserializeOwned>(method: &str, params: Value) -> Option<T> {
    serde_json::from_value(params)
        .inspect_err(|error| tracing::warn!(%error, method, "Codex sent a message of unknown shape"))
        .ok()
}

#[derive(Deserialize)]
struct ThreadStarted {
    thread: Thread,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusChanged {
    thread_id: String,
    status: ThreadStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TurnCompleted {
    thread_id: String,
    turn: EndedTurn,
}

#[derive(Deserialize)]
struct EndedTurn {
    id: String,
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestResolved {
    thread_id: String,
    request_id: RequestId,
}

#[derive(Deserialize)]
struct ConfigWarning {
    summary: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApprovalParams {
    thread_id: String,
    turn_id: String,
    #[serde(default)]
    command: Option<String>,
    #[serde(default)]
    cwd: Option<PathBuf>,
    #[serde(default)]
    reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_read_and_what_is_not() {
        fn check(method: &str, params: Value, expected: Option<Notice>) {
            let incoming = Incoming::Notification { method: method.into(), params };
            assert_eq!(Notice::read(incoming), expected, "{method}");
        }
        check(
            "thread/status/changed",
            json!({"threadId": "t", "status": {"type": "idle"}}),
            Some(Notice::StatusChanged { thread_id: "t".into(), status: ThreadStatus::Idle }),
        );
        check(
            "turn/completed",
            json!({"threadId": "t", "turn": {"id": "u", "items": [], "status": "failed"}}),
            Some(Notice::TurnEnded { thread_id: "t".into(), turn_id: "u".into(), outcome: "failed".into() }),
        );
        check(
            "serverRequest/resolved",
            json!({"threadId": "t", "requestId": 0}),
            Some(Notice::RequestResolved { thread_id: "t".into(), request_id: RequestId::Number(0) }),
        );
        check(
            "configWarning",
            json!({"summary": "broken", "details": null}),
            Some(Notice::ConfigWarning { summary: "broken".into() }),
        );
        check("turn/completed", json!({"threadId": "t"}), None);
        check("skills/changed", json!({}), None);
    }

    #[test]
    fn a_request_that_is_no_approval_is_left_to_the_terminal() {
        let incoming = Incoming::Request {
            id: RequestId::Number(1),
            method: "item/tool/requestUserInput".into(),
            params: json!({"threadId": "t"}),
        };
        assert_eq!(Notice::read(incoming), None);
    }
}
