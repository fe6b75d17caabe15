//! The part of what the server says unasked that supervision acts on.

use super::{
    calls::{Thread, ThreadStatus},
    client::{Incoming, RequestId},
};
use crate::domain::{Asks, RequestKey, Wait};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

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
    /// A turn waits for a person.
    PersonAsked(PersonRequest),
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

/// A question to a person. Those that ask "may I?" are answered with
/// [`super::AppServer::answer_approval`], the others in a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRequest {
    /// What the answer refers to.
    pub id: RequestId,
    /// What is asked for, by whom and why.
    pub wait: Wait,
}

impl Notice {
    /// Reads what the server said. `None` for the many messages that supervision has no use for,
    /// and for those that do not have the known shape.
    pub fn read(incoming: Incoming) -> Option<Self> {
        match incoming {
            Incoming::Missed(count) => Some(Self::Missed(count)),
            Incoming::Notification { method, params } => Self::from_notification(&method, params),
            Incoming::Request { id, method, params } => {
                let asks = match method.as_str() {
                    "item/commandExecution/requestApproval" => Asks::Command,
                    "item/fileChange/requestApproval" => Asks::FileChange,
                    "item/permissions/requestApproval" => Asks::Permissions,
                    "item/tool/requestUserInput" | "mcpServer/elicitation/request" => Asks::Answer,
                    _ => return None,
                };
                let params: RequestParams = parse(&method, params)?;
                Some(Self::PersonAsked(params.request(id, asks)))
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
struct RequestParams {
    thread_id: String,
    #[serde(default)]
    turn_id: Option<String>,
    #[serde(default)]
    item_id: Option<String>,
    #[serde(default)]
    started_at_ms: Option<i64>,
    #[serde(default)]
    approval_id: Option<String>,
    #[serde(default)]
    command: Option<String>,
    #[serde(default)]
    cwd: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

impl RequestParams {
    fn request(self, id: RequestId, asks: Asks) -> PersonRequest {
        let key = RequestKey {
            id: json!(id),
            item_id: self.item_id.unwrap_or_default(),
            started_at_ms: self.started_at_ms.unwrap_or_default(),
            approval_id: self.approval_id,
        };
        let wait = Wait {
            thread_id: Some(self.thread_id),
            turn_id: self.turn_id,
            request: Some(key),
            command: self.command,
            cwd: self.cwd,
            reason: self.reason,
            ..Wait::new(asks)
        };
        PersonRequest { id, wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn questions_to_a_person_are_told_from_what_codex_asks_its_client() {
        fn check(method: &str, expected: Option<Asks>) {
            let incoming = Incoming::Request {
                id: RequestId::Number(1),
                method: method.into(),
                params: json!({"threadId": "t", "turnId": null, "cwd": "/w"}),
            };
            let asked = Notice::read(incoming).map(|notice| match notice {
                Notice::PersonAsked(request) => request.wait.asks,
                other => panic!("{other:?}"),
            });
            assert_eq!(asked, expected, "{method}");
        }
        check("item/commandExecution/requestApproval", Some(Asks::Command));
        check("item/fileChange/requestApproval", Some(Asks::FileChange));
        check("item/permissions/requestApproval", Some(Asks::Permissions));
        check("item/tool/requestUserInput", Some(Asks::Answer));
        check("mcpServer/elicitation/request", Some(Asks::Answer));
        check("currentTime/read", None);
    }
}
