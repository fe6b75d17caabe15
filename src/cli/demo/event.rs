//! What happens in a session, from its rollout.

use jiff::Timestamp;
use serde::Deserialize;

use crate::codex::rollout::{RolloutLine, TurnEnd, TurnSignal};

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// When, by the session's own clock.
    pub(super) at: Timestamp,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// It was told something.
    Told(String),
    /// It ran a command, or called a tool.
    Ran(Ran),
    /// Its turn ended.
    Ended(TurnEnd),
}

/// A command that the session ran, or a tool that it called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    /// The command line without the shell that Codex puts around it, or `tool NAME`.
    pub(super) line: String,
    pub(super) failed: bool,
    pub(super) output: String,
}

impl Ran {
    /// Whether this is one of this program's commands: on a command line, or as a tool.
    pub(super) fn runs(&self, command: &str) -> bool {
        let on_a_line = self.line.split_once(&format!("conveyor {command}"));
        on_a_line.is_some_and(|(_, rest)| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
            || self.line == tool_line(&command.replace('-', "_"))
    }
}

fn tool_line(tool: &str) -> String {
    format!("tool {tool}")
}

/// The item of a line that completes one.
#[derive(Deserialize)]
struct Completed {
    item: Item,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Item {
    CommandExecution { command: Vec<String>, exit_code: Option<i32>, aggregated_output: Option<String> },
    McpToolCall { tool: String, result: Option<ToolResult> },
}

#[derive(Deserialize)]
struct ToolResult {
    #[serde(default)]
    content: Vec<ToolContent>,
    #[serde(default, rename = "isError")]
    is_error: bool,
}

#[derive(Deserialize)]
struct ToolContent {
    #[serde(default)]
    text: String,
}

impl Event {
    /// What a line tells; most tell nothing.
    pub(super) fn of(line: &RolloutLine<'_>) -> Option<Self> {
        let what = match TurnSignal::of(line) {
            Some(TurnSignal::UserMessage { text, .. }) => What::Told(text),
            Some(TurnSignal::Ended(end)) => What::Ended(end),
            Some(_) => return None,
            None => What::Ran(ran(serde_json::from_str(&line.payload).ok()?)),
        };
        Some(Self { at: line.timestamp.as_deref()?.parse().ok()?, what })
    }
}

fn ran(completed: Completed) -> Ran {
    match completed.item {
        Item::CommandExecution { mut command, exit_code, aggregated_output } => Ran {
            line: command.pop().unwrap_or_default(),
            failed: exit_code != Some(0),
            output: aggregated_output.unwrap_or_default(),
        },
        Item::McpToolCall { tool, result } => Ran {
            line: tool_line(&tool),
            failed: result.as_ref().is_none_or(|result| result.is_error),
            output: result.into_iter().flat_map(|result| result.content).map(|part| part.text).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(item: &str, expect: Option<(&str, bool, &str)>) {
        let line = format!(
            r#"{{"timestamp":"2026-11-22T10:48:22.309Z","type":"event_msg","payload":{{"type":"item_completed","item":{item}}}}}"#
        );
        let event = Event::of(&RolloutLine::parse(line.as_bytes()).unwrap());
        let ran = event.map(|event| match event.what {
            What::Ran(ran) => (ran.line, ran.failed, ran.output),
            other => panic!("{other:?}"),
        });
        let ran = ran.as_ref().map(|(line, failed, output)| (line.as_str(), *failed, output.as_str()));
        assert_eq!(ran, expect, "{item}");
    }

    #[test]
    fn commands_and_tools_are_seen() {
        check(
            r#"{"type":"CommandExecution","command":["/bin/bash","-lc","conveyor cycle t"],"exit_code":0,"aggregated_output":"{}"}"#,
            Some(("conveyor cycle t", false, "{}")),
        );
        check(r#"{"type":"CommandExecution","command":["ls"],"exit_code":null}"#, Some(("ls", true, "")));
        check(
            r#"{"type":"McpToolCall","server":"conveyor","tool":"cycle","arguments":{},"result":{"content":[{"type":"text","text":"{}"}],"isError":false}}"#,
            Some(("tool cycle", false, "{}")),
        );
        check(r#"{"type":"McpToolCall","tool":"cycle","result":null}"#, Some(("tool cycle", true, "")));
        check(r#"{"type":"AgentMessage","content":[]}"#, None);
    }

    #[test]
    fn a_command_is_known_however_it_is_run() {
        let check = |line: &str, command: &str, expect: bool| {
            let ran = Ran { line: line.into(), failed: false, output: String::new() };
            assert_eq!(ran.runs(command), expect, "{line}");
        };
        check("conveyor cycle t", "cycle", true);
        check("cd /w && /usr/bin/conveyor cycle t | jq .", "cycle", true);
        check("tool cycle", "cycle", true);
        check("tool finish_task", "finish-task", true);
        check("conveyor finish-task t", "finish-task", true);
        check("conveyor cycles", "cycle", false);
        check("tool cycle_all", "cycle", false);
        check("echo cycle", "cycle", false);
    }
}
