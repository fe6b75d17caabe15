//! `conveyor audit`, `conveyor mutation-audit`

use serde_json::Value;

use super::show::Show;
use crate::actors::calls::audit::{AuditArgs, MutationAuditArgs};
use crate::store::mutation_audit::{Mutation, MutationAudit};

/// Characters of a value that a line shows.
const VALUE_CHARS: usize = 60;

impl Show for AuditArgs {
    fn text(&self, audit: &Value) -> Option<String> {
        let events = audit["events"].as_array()?;
        let mut lines: Vec<String> = events.iter().map(event).collect();
        let has_older =
            audit["older"].as_array().is_some_and(|older| older.iter().any(|list| list == "events"));
        if let (true, Some(first)) = (has_older, events.first()) {
            let at = first["created_at"].as_str().unwrap_or_default();
            lines.insert(0, format!("… older ones: conveyor audit {} --until {at}", self.task));
        }
        Some(lines.join("\n"))
    }
}

fn event(event: &Value) -> String {
    let word = |key: &str| event[key].as_str().unwrap_or("-");
    let payload = event["payload"].as_object().into_iter().flatten();
    let facts: Vec<String> =
        payload.filter_map(|(key, value)| Some(format!("{key}={}", fact(value)?))).collect();
    let line = [word("created_at"), word("actor"), word("type"), &facts.join(" ")].join("\t");
    line.trim_end().to_owned()
}

/// A value that fits into a line.
fn fact(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let shown: String = text.chars().take(VALUE_CHARS).collect();
    Some(if shown.len() < text.len() { format!("{shown}…") } else { shown })
}

impl Show for MutationAuditArgs {
    fn text(&self, audit: &MutationAudit) -> Option<String> {
        let summary = audit.summary;
        let head = format!(
            "{}\tmutations={}\twarnings={}",
            audit.task.name, summary.mutations, summary.with_warnings
        );
        Some(std::iter::once(head).chain(audit.records.iter().map(mutation)).collect::<Vec<_>>().join("\n"))
    }

    fn exit_code(&self, audit: &MutationAudit) -> u8 {
        u8::from(!audit.ok)
    }
}

fn mutation(record: &Mutation) -> String {
    let decision = record.linked_decision.as_ref().map_or_else(|| "-".to_owned(), |d| d.id.to_string());
    let verdict = match record.warnings.as_slice() {
        [] if record.expected_failure => "refused".to_owned(),
        [] => "ok".to_owned(),
        warnings => warnings.iter().map(|warning| warning.as_str()).collect::<Vec<_>>().join(","),
    };
    let command = &record.command;
    format!("{}\t{}\tdecision={decision}\t{verdict}", command.created_at, command.command_type)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_a_line_with_what_fits_into_it() {
        let check = |payload: Value, expect: &str| {
            let row =
                json!({"created_at": "T", "actor": "workerctl", "type": "task_created", "payload": payload});
            assert_eq!(event(&row), format!("T\tworkerctl\ttask_created{expect}"));
        };
        check(json!({}), "");
        check(json!({"goal": "Ship\nit", "id": 5, "none": null, "list": [1]}), "\tgoal=Ship it id=5");
        check(json!({"goal": "x".repeat(61)}), &format!("\tgoal={}…", "x".repeat(60)));
    }
}
