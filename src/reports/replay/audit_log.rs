//! What the audit log tells, as sentences.

use serde_json::{Map, Value, json};

use super::entry::{Entry, Severity};
use crate::domain::printable::one_line;
use crate::domain::words_of_time::words_for;
use crate::store::events::AuditEvent;

/// Characters of a value that a sentence shows.
const VALUE_CHARS: usize = 80;

/// Events of which the story tells by another row: the decision, or the command.
const TOLD_ELSEWHERE: [&str; 5] = [
    "manager_decision_recorded",
    "finish_task_intent",
    "finish_task_succeeded",
    "stop_task_intent",
    "stop_task_succeeded",
];

const CRITERIA: [&str; 2] = ["acceptance_criterion_added", "acceptance_criterion_updated"];

/// What happened to the criteria.
pub(super) fn criteria(events: &[AuditEvent]) -> impl Iterator<Item = Entry> {
    events.iter().filter(|event| CRITERIA.contains(&&*event.event_type)).map(criterion)
}

/// Everything that no other row tells.
pub(super) fn story(events: &[AuditEvent]) -> impl Iterator<Item = Entry> {
    events.iter().filter(|event| !TOLD_ELSEWHERE.contains(&&*event.event_type)).map(told)
}

fn told(event: &AuditEvent) -> Entry {
    if CRITERIA.contains(&&*event.event_type) {
        return criterion(event);
    }
    let (summary, severity) = sentence(&event.event_type, &event.payload);
    let row = ("events", json!(event.id));
    Entry::new(&event.created_at, &event.actor, "event", row, summary)
        .with(with_type(&event.event_type, &event.payload))
        .rated(severity)
}

fn criterion(event: &AuditEvent) -> Entry {
    let payload = &event.payload;
    let word = |key: &str| payload[key].as_str().unwrap_or_default();
    let was = word("previous_status");
    let mut summary = match (&*event.event_type, was) {
        ("acceptance_criterion_added", _) => {
            format!("criterion {} added, {}: {}", payload["criterion_id"], word("status"), word("criterion"))
        }
        (_, was) if was.is_empty() || was == word("status") => {
            format!("criterion {} {}: {}", payload["criterion_id"], word("status"), word("criterion"))
        }
        (_, was) => {
            format!(
                "criterion {} {}, was {was}: {}",
                payload["criterion_id"],
                word("status"),
                word("criterion")
            )
        }
    };
    if let Some(why) = ["proof", "rationale"].iter().find_map(|key| payload[*key].as_str()) {
        summary = format!("{summary} ({why})");
    }
    let row = ("events", json!(event.id));
    Entry::new(&event.created_at, &event.actor, "acceptance_criterion", row, summary)
        .with(with_type(&event.event_type, payload))
}

fn with_type(event_type: &str, payload: &Value) -> Value {
    let mut details = payload.as_object().cloned().unwrap_or_else(Map::new);
    details.insert("event_type".into(), event_type.into());
    Value::Object(details)
}

fn sentence(event_type: &str, payload: &Value) -> (String, Severity) {
    let word = |key: &str| payload[key].as_str().unwrap_or("-");
    match event_type {
        "task_created" => (format!("task created: {}", word("goal")), Severity::Info),
        "binding_created" => (
            format!("bound: {} works, {} supervises", word("worker_session"), word("manager_session")),
            Severity::Info,
        ),
        "binding_ended" => ("the pair is bound no longer".to_owned(), Severity::Info),
        "session_nudged" if payload["success"] == json!(true) => {
            (format!("says something to {}", word("session")), Severity::Info)
        }
        "session_interrupted" if payload["success"] == json!(true) => {
            (format!("interrupts {}", word("session")), Severity::Warning)
        }
        "manager_permission_checked" => permission(payload),
        "session_request_approved" => {
            (format!("approved what {} asked for: {}", word("session"), word("reason")), Severity::Info)
        }
        "session_request_denied" => {
            (format!("denied what {} asked for: {}", word("session"), word("reason")), Severity::Info)
        }
        "delivery_settled" => (
            format!(
                "delivery {} to {} settled as {}: {}",
                payload["delivery_id"],
                word("target_session"),
                word("settled_as"),
                word("reason")
            ),
            Severity::Info,
        ),
        _ if payload["evidence_id"].is_i64() && payload["argv"].is_array() => evidence(payload),
        other => (plain(other, payload), severity(other, payload)),
    }
}

/// A command that was run to see whether something holds.
fn evidence(payload: &Value) -> (String, Severity) {
    let argv = payload["argv"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let argv = argv.collect::<Vec<_>>().join(" ");
    let about = match (&payload["criterion_id"], &payload["iteration"]) {
        (Value::Number(id), _) => format!(" of criterion {id}"),
        (_, Value::Number(iteration)) => format!(" of iteration {iteration}"),
        _ => String::new(),
    };
    let state = payload["state"].as_str().unwrap_or_default();
    let took = payload["duration_ms"].as_i64().map(|ms| format!(" in {}", words_for(ms))).unwrap_or_default();
    let severity = if matches!(state, "running" | "passed") { Severity::Info } else { Severity::Warning };
    (format!("evidence{about} {}{took}: {argv}", state.replace('_', " ")), severity)
}

fn permission(payload: &Value) -> (String, Severity) {
    let action = payload["action"].as_str().unwrap_or("-");
    if payload["allowed"] == json!(true) {
        return (format!("permission {action} granted"), Severity::Info);
    }
    let reason = payload["reason"].as_str().unwrap_or("it is not granted");
    (format!("permission {action} refused: {reason}"), Severity::Warning)
}

/// The event's name as words, and the facts that fit into a line.
fn plain(event_type: &str, payload: &Value) -> String {
    let facts = payload.as_object().into_iter().flatten();
    let facts: Vec<String> = facts
        .filter(|(key, _)| !key.ends_with("_id") && !key.ends_with("_path") && *key != "task")
        .filter_map(|(key, value)| Some(format!("{key}={}", fact(value)?)))
        .collect();
    let name = event_type.replace('_', " ");
    if facts.is_empty() { name } else { format!("{name}: {}", facts.join(" ")) }
}

fn fact(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => one_line(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let shown: String = text.chars().take(VALUE_CHARS).collect();
    Some(if shown.len() < text.len() { format!("{shown}…") } else { shown })
}

fn severity(event_type: &str, payload: &Value) -> Severity {
    let failed = event_type.ends_with("_failed") || event_type.contains("_not_");
    if failed || payload["state"] == json!("failed") || payload["success"] == json!(false) {
        Severity::Error
    } else {
        Severity::Info
    }
}
