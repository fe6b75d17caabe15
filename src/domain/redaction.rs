//! What is shown of stored texts unless somebody asks for them verbatim: that they are there, and
//! how long they are.

use serde_json::{Map, Value, json};

/// Members that hold terminal text, prompts or messages.
const TEXT_KEYS: [&str; 5] = ["content", "message", "output", "segment_text", "text"];

/// Members of rollout payloads that hold such text under other names, however short it is.
const ROLLOUT_TEXT_KEYS: [&str; 6] =
    ["aggregated_output", "arguments", "input", "last_agent_message", "prompt", "query"];

/// Members of what is known about a session that waits: what it wants to do, and why.
const WAIT_TEXT_KEYS: [&str; 2] = ["command", "reason"];

/// Bytes that a name, an id, an instant or a path hardly exceeds.
const WORD_BYTES: usize = 256;

/// Replaces each text member, at any depth, by `<key>_redacted: true`, `<key>_byte_count` and
/// `<key>_line_count`.
pub fn redact(value: Value) -> Value {
    walk(value, &|key, _| key.is_some_and(|key| TEXT_KEYS.contains(&key)))
}

/// As [`redact`], for the payload of a rollout line. Codex keeps adding members, so here every
/// string that reads like prose is a text too, whatever its name.
pub fn redact_rollout(value: Value) -> Value {
    walk(value, &|key, text| {
        key.is_some_and(|key| TEXT_KEYS.contains(&key) || ROLLOUT_TEXT_KEYS.contains(&key))
            || text.len() > WORD_BYTES
            || text.contains(char::is_whitespace)
    })
}

/// As [`redact`], for what is known about a session beside its turns.
pub fn redact_wait(value: Value) -> Value {
    walk(value, &|key, _| key.is_some_and(|key| WAIT_TEXT_KEYS.contains(&key)))
}

/// As [`redact`], for what a cycle saw: what its worker said last is a text too.
pub fn redact_cycle(value: Value) -> Value {
    walk(value, &|key, _| key.is_some_and(|key| TEXT_KEYS.contains(&key) || key == "last_agent_message"))
}

fn walk(value: Value, hides: &dyn Fn(Option<&str>, &str) -> bool) -> Value {
    match value {
        Value::Object(members) => {
            let mut shown = Map::new();
            for (key, member) in members {
                match member {
                    Value::String(text) if hides(Some(&key), &text) => {
                        shown.extend(stub(&format!("{key}_"), &text));
                    }
                    member => drop(shown.insert(key, walk(member, hides))),
                }
            }
            Value::Object(shown)
        }
        Value::Array(items) => items.into_iter().map(|item| walk(item, hides)).collect(),
        Value::String(text) if hides(None, &text) => Value::Object(stub("", &text).into_iter().collect()),
        other => other,
    }
}

fn stub(prefix: &str, text: &str) -> [(String, Value); 3] {
    [
        (format!("{prefix}redacted"), json!(true)),
        (format!("{prefix}byte_count"), json!(text.len())),
        (format!("{prefix}line_count"), json!(text.lines().count())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_their_sizes_at_any_depth() {
        let check = |value: Value, expect: Value| assert_eq!(redact(value), expect);
        check(
            json!({"type": "agent_message", "message": "hé\nho"}),
            json!({"type": "agent_message", "message_redacted": true, "message_byte_count": 6, "message_line_count": 2}),
        );
        check(
            json!({"item": {"content": [{"text": ""}, 5]}, "output": null, "last_agent_message": "all done"}),
            json!({
                "item": {"content": [{"text_redacted": true, "text_byte_count": 0, "text_line_count": 0}, 5]},
                "output": null,
                "last_agent_message": "all done",
            }),
        );
        check(json!("a text without a name"), json!("a text without a name"));
    }

    #[test]
    fn a_wait_shows_where_but_not_what() {
        assert_eq!(
            redact_wait(json!({"command": "ls", "cwd": "/w", "reason": null, "pid": 7})),
            json!({"command_redacted": true, "command_byte_count": 2, "command_line_count": 1, "cwd": "/w", "reason": null, "pid": 7}),
        );
    }

    #[test]
    fn a_rollout_shows_names_and_numbers_but_no_prose() {
        let plain =
            json!({"type": "task_complete", "turn_id": "019a", "cwd": "/repo/app", "ms": 5, "error": null});
        assert_eq!(redact_rollout(plain.clone()), plain);
        let payload = json!({
            "last_agent_message": "done",
            "arguments": "{\"cmd\":\"ls\"}",
            "note": "two words",
            "command": ["bash", "-lc", "cat key"],
            "blob": "x".repeat(WORD_BYTES + 1),
        });
        let shown = redact_rollout(payload);
        assert_eq!(
            shown["command"],
            json!(["bash", "-lc", {"redacted": true, "byte_count": 7, "line_count": 1}])
        );
        for key in ["last_agent_message", "arguments", "note", "blob"] {
            assert_eq!((shown.get(key), &shown[format!("{key}_redacted")]), (None, &json!(true)), "{key}");
        }
    }

    #[test]
    fn no_recorded_rollout_shows_its_texts() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rollouts");
        let mut lines = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "jsonl") {
                continue;
            }
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let shown = redact_rollout(line["payload"].clone()).to_string();
                assert!(!shown.contains(' '), "{}: {shown}", path.display());
                lines += 1;
            }
        }
        assert!(lines > 500, "{lines}");
    }
}
