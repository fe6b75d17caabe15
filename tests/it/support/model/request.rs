//! What a request says, as Codex 0.169 writes it.

use serde_json::Value;

/// How the texts begin that Codex itself puts into the conversation in the user's name.
const INJECTED: [&str; 6] = [
    "<environment_context>",
    "<user_instructions>",
    "<turn_aborted>",
    "<subagent_notification>",
    "<user_shell_command>",
    "# AGENTS.md instructions",
];

/// One request for a reply.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// The last text of the user: the one that started the turn, or was steered into it.
    pub(crate) user: String,
    /// What the tool calls since that text returned, oldest first.
    pub(crate) tool_outputs: Vec<String>,
    /// The thread (session) that asks.
    pub(crate) thread: String,
    /// The turn that asks.
    pub(crate) turn: String,
    /// Who made the thread: `user`, `thread_title`, `subagent`, …
    pub(crate) source: String,
    /// The tools on offer, as `name` or `namespace.name`.
    pub(crate) tools: Vec<String>,
    /// All of it.
    pub(crate) body: Value,
}

impl Request {
    /// Reads a request's body; what is not there stays empty.
    pub(super) fn read(body: Value) -> Self {
        let mut request = Self::default();
        for item in body["input"].as_array().into_iter().flatten() {
            request.read_item(item);
        }
        let metadata = &body["client_metadata"];
        let turn_metadata = metadata["x-codex-turn-metadata"].as_str().unwrap_or_default();
        let turn_metadata: Value = serde_json::from_str(turn_metadata).unwrap_or_default();
        request.thread = text(&metadata["thread_id"]);
        request.turn = text(&metadata["turn_id"]);
        request.source = text(&turn_metadata["thread_source"]);
        request.tools = body["tools"].as_array().into_iter().flatten().flat_map(tool_names).collect();
        request.body = body;
        request
    }

    fn read_item(&mut self, item: &Value) {
        let kind = item["type"].as_str().unwrap_or_default();
        if kind == "message" && item["role"] == "user" {
            let said = text(&item["content"]);
            if !INJECTED.iter().any(|start| said.starts_with(start)) {
                self.user = said;
                self.tool_outputs.clear();
            }
        } else if kind.ends_with("_output") {
            self.tool_outputs.push(text(&item["output"]));
        }
    }

    /// How many tool calls of the turn have been answered.
    pub(super) fn step(&self) -> usize {
        self.tool_outputs.len()
    }
}

/// A text given as a string or as a list of parts.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(|part| text(&part["text"])).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

fn tool_names(tool: &Value) -> Vec<String> {
    let name = text(&tool["name"]);
    match tool["tools"].as_array() {
        Some(members) => members.iter().map(|member| format!("{name}.{}", text(&member["name"]))).collect(),
        None => vec![name],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn user(text: &str) -> Value {
        json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
    }

    #[test]
    fn the_last_text_of_the_user_counts_and_the_tools_since() {
        fn check(input: Value, expect_user: &str, expect_outputs: &[&str]) {
            let request = Request::read(json!({ "input": input }));
            assert_eq!(
                (request.user.as_str(), request.tool_outputs),
                (expect_user, expect_outputs.iter().map(|o| (*o).to_owned()).collect())
            );
        }
        let output = |text: &str| json!({"type": "function_call_output", "output": text});
        check(json!([]), "", &[]);
        check(json!([user("one"), user("<environment_context>x")]), "one", &[]);
        check(json!([user("one"), output("a"), output("b")]), "one", &["a", "b"]);
        check(json!([user("one"), output("a"), user("two"), output("b")]), "two", &["b"]);
    }

    #[test]
    fn tools_of_a_namespace_are_named_with_it() {
        let tools = json!([{"type": "function", "name": "exec_command"}, {"type": "namespace", "name": "mcp__c", "tools": [{"name": "cycle"}]}]);
        assert_eq!(Request::read(json!({ "tools": tools })).tools, ["exec_command", "mcp__c.cycle"]);
    }
}
