//! What a rollout line means for a turn, in the event names of today's Codex and of older ones.

use super::json::{self, RawObject};
use super::line::RolloutLine;
use crate::domain::TurnOutcome;

/// What one line says about a turn.
///
/// `turn_id` is absent in rollouts of older Codex versions; the offset of the line can stand in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnSignal {
    /// A turn began (`task_started`, `turn_started`).
    Started {
        /// The turn.
        turn_id: Option<String>,
        /// Who asked for it: `user`, `queue`, `exec`, or what an app-server client said.
        trigger: Option<String>,
        /// Unix seconds.
        started_at: Option<i64>,
    },
    /// A turn ended (`task_complete`, `turn_complete`, `turn_aborted`).
    Ended(TurnEnd),
    /// The session received a user's text: the receipt of a delivery.
    UserMessage {
        /// The turn that received it. A steered text comes inside a running turn.
        turn_id: Option<String>,
        /// The sender's own id for the text, where the transport carries one.
        client_id: Option<String>,
        /// The text; parts are joined by newlines, images and the like are left out.
        text: String,
    },
    /// Older Codex versions: an error, which fails the turn if nothing is said after it.
    Error(TurnError),
}

/// How and when a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnEnd {
    /// The turn.
    pub turn_id: Option<String>,
    /// Whether it completed, was interrupted or failed.
    pub outcome: TurnOutcome,
    /// Why it failed.
    pub error: Option<TurnError>,
    /// Why it was aborted, e.g. `interrupted`.
    pub abort_reason: Option<String>,
    /// The last thing the session said. Absent for commands such as `/compact`.
    pub last_agent_message: Option<String>,
    /// Unix seconds.
    pub started_at: Option<i64>,
    /// Unix seconds.
    pub completed_at: Option<i64>,
    /// From start to end.
    pub duration_ms: Option<i64>,
    /// From start to the first word of the model.
    pub time_to_first_token_ms: Option<i64>,
}

/// Why a turn failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnError {
    /// What Codex shows to its user.
    pub message: String,
    /// `codex_error_info` as JSON text: a word such as `"usage_limit_exceeded"`, or an object such
    /// as `{"http_connection_failed":{"http_status_code":401}}`.
    pub info: Option<String>,
}

impl TurnSignal {
    /// What `line` says about a turn; `None` for most lines.
    pub fn of(line: &RolloutLine<'_>) -> Option<Self> {
        let read: fn(&RawObject<'_>) -> Option<Self> = match line.subtype.as_deref()? {
            "task_started" | "turn_started" => started,
            "task_complete" | "turn_complete" => completed,
            "turn_aborted" => aborted,
            "item_completed" => user_item,
            "user_message" => user_message,
            "error" => error,
            _ => return None,
        };
        read(&RawObject::parse(&line.payload)?)
    }
}

fn started(payload: &RawObject<'_>) -> Option<TurnSignal> {
    Some(TurnSignal::Started {
        turn_id: payload.string("turn_id"),
        trigger: payload.object("turn_attribution").and_then(|by| by.string("turn_trigger")),
        started_at: payload.integer("started_at"),
    })
}

fn completed(payload: &RawObject<'_>) -> Option<TurnSignal> {
    let error = payload.raw("error").map(turn_error);
    let outcome = if error.is_some() { TurnOutcome::Failed } else { TurnOutcome::Completed };
    Some(TurnSignal::Ended(TurnEnd { error, ..turn_end(payload, outcome) }))
}

fn aborted(payload: &RawObject<'_>) -> Option<TurnSignal> {
    Some(TurnSignal::Ended(turn_end(payload, TurnOutcome::Interrupted)))
}

fn turn_end(payload: &RawObject<'_>, outcome: TurnOutcome) -> TurnEnd {
    TurnEnd {
        turn_id: payload.string("turn_id"),
        outcome,
        error: None,
        abort_reason: payload.string("reason"),
        last_agent_message: payload.string("last_agent_message"),
        started_at: payload.integer("started_at"),
        completed_at: payload.integer("completed_at"),
        duration_ms: payload.integer("duration_ms"),
        time_to_first_token_ms: payload.integer("time_to_first_token_ms"),
    }
}

fn turn_error(json: &str) -> TurnError {
    match RawObject::parse(json) {
        Some(object) => error_of(&object),
        None => TurnError { message: json::text(json).map_or(json.to_owned(), Into::into), info: None },
    }
}

fn error_of(object: &RawObject<'_>) -> TurnError {
    TurnError {
        message: object.string("message").unwrap_or_default(),
        info: object.raw("codex_error_info").map(str::to_owned),
    }
}

fn error(payload: &RawObject<'_>) -> Option<TurnSignal> {
    Some(TurnSignal::Error(error_of(payload)))
}

fn user_item(payload: &RawObject<'_>) -> Option<TurnSignal> {
    let item = payload.object("item")?;
    if item.text("type")? != "UserMessage" {
        return None;
    }
    let parts: Vec<String> = item.objects("content").iter().filter_map(|part| part.string("text")).collect();
    Some(TurnSignal::UserMessage {
        turn_id: payload.string("turn_id"),
        client_id: item.string("client_id"),
        text: parts.join("\n"),
    })
}

fn user_message(payload: &RawObject<'_>) -> Option<TurnSignal> {
    Some(TurnSignal::UserMessage {
        turn_id: payload.string("turn_id"),
        client_id: payload.string("client_id"),
        text: payload.string("message").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(payload: &str) -> Option<TurnSignal> {
        let line = format!(r#"{{"type":"event_msg","payload":{payload}}}"#);
        TurnSignal::of(&RolloutLine::parse(line.as_bytes()).expect(&line))
    }

    fn ended(payload: &str) -> TurnEnd {
        match signal(payload) {
            Some(TurnSignal::Ended(end)) => end,
            other => panic!("{payload}: {other:?}"),
        }
    }

    #[test]
    fn a_start_names_its_turn_and_trigger() {
        let start = |turn_id: Option<&str>, trigger: Option<&str>, started_at| {
            Some(TurnSignal::Started {
                turn_id: turn_id.map(str::to_owned),
                trigger: trigger.map(str::to_owned),
                started_at,
            })
        };
        let today = r#"{"type":"task_started","turn_id":"t","turn_attribution":{"turn_trigger":"queue"},"started_at":5}"#;
        assert_eq!(signal(today), start(Some("t"), Some("queue"), Some(5)));
        let shell = r#"{"type":"task_started","turn_id":"t","turn_attribution":{"turn_trigger":null}}"#;
        assert_eq!(signal(shell), start(Some("t"), None, None));
        assert_eq!(signal(r#"{"type":"turn_started"}"#), start(None, None, None));
    }

    #[test]
    fn an_end_with_an_error_is_a_failure() {
        let end = ended(
            r#"{"type":"task_complete","turn_id":"t","last_agent_message":null,"error":{"message":"no","codex_error_info":{"http_connection_failed":{"http_status_code":401}}},"duration_ms":7}"#,
        );
        assert_eq!(
            (end.outcome, end.duration_ms, end.last_agent_message),
            (TurnOutcome::Failed, Some(7), None)
        );
        let info = Some(r#"{"http_connection_failed":{"http_status_code":401}}"#.to_owned());
        assert_eq!(end.error, Some(TurnError { message: "no".to_owned(), info }));

        let end = ended(r#"{"type":"task_complete","error":"out of luck"}"#);
        assert_eq!(end.outcome, TurnOutcome::Failed);
        assert_eq!(end.error, Some(TurnError { message: "out of luck".to_owned(), info: None }));
    }

    #[test]
    fn an_end_without_an_error_is_a_completion() {
        for payload in [
            r#"{"type":"task_complete","last_agent_message":"a\u000ab"}"#,
            r#"{"type":"turn_complete","error":null,"last_agent_message":"a\u000ab","duration_ms":"soon"}"#,
        ] {
            let end = ended(payload);
            assert_eq!(end.outcome, TurnOutcome::Completed, "{payload}");
            assert_eq!(end.last_agent_message.as_deref(), Some("a\nb"), "{payload}");
            assert_eq!((end.turn_id, end.duration_ms), (None, None), "{payload}");
        }
        let unreadable_message = ended(r#"{"type":"task_complete","last_agent_message":"\ud800"}"#);
        assert_eq!(unreadable_message.outcome, TurnOutcome::Completed);
    }

    #[test]
    fn an_abort_is_an_interrupt() {
        let end = ended(r#"{"type":"turn_aborted","reason":"interrupted"}"#);
        assert_eq!(end.outcome, TurnOutcome::Interrupted);
        assert_eq!(end.abort_reason.as_deref(), Some("interrupted"));
    }

    #[test]
    fn a_user_text_is_read_in_both_formats() {
        let message = |turn_id: Option<&str>, client_id: Option<&str>, text: &str| {
            Some(TurnSignal::UserMessage {
                turn_id: turn_id.map(str::to_owned),
                client_id: client_id.map(str::to_owned),
                text: text.to_owned(),
            })
        };
        let today = r#"{"type":"item_completed","turn_id":"t","item":{"type":"UserMessage","client_id":"c","content":[{"type":"text","text":"one"},{"type":"image","url":"x"},{"type":"text","text":"two"}]}}"#;
        assert_eq!(signal(today), message(Some("t"), Some("c"), "one\ntwo"));
        assert_eq!(signal(r#"{"type":"user_message","message":"again"}"#), message(None, None, "again"));
    }

    #[test]
    fn other_lines_say_nothing() {
        for payload in [
            r#"{"type":"agent_message","message":"m"}"#,
            r#"{"type":"token_count"}"#,
            r#"{"type":"item_completed","item":{"type":"AgentMessage"}}"#,
            r#"{"type":"item_completed"}"#,
            r#""text""#,
        ] {
            assert_eq!(signal(payload), None, "{payload}");
        }
        let response = RolloutLine::parse(br#"{"type":"response_item","payload":{"type":"task_complete"}}"#);
        assert_eq!(TurnSignal::of(&response.unwrap()), None);
    }
}
