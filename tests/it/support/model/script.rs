//! What the model does: rules that pick a list of actions by the user's text.

use super::Request;
use regex::{Captures, Regex};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;

/// One thing to do in a reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// An assistant message.
    Say(String),
    /// A tool call. Ends the reply: Codex runs the tool and asks again.
    Call { namespace: Option<String>, name: String, arguments: Value },
    /// An HTTP error in place of the reply, for the first `tries` attempts at it.
    Fail { status: u16, tries: usize },
    /// Keep the reply open until the client leaves.
    Hang,
    /// Keep the reply open until `Model::release` names the gate.
    Hold(String),
    /// Wait.
    Delay(Duration),
}

/// An assistant message. In this and every other text, `{1}` or `{name}` stands for that group of
/// the rule's pattern.
pub(crate) fn say(text: &str) -> Action {
    Action::Say(text.into())
}

/// A shell command.
pub(crate) fn run(command: &str) -> Action {
    call(None, "exec_command", json!({ "cmd": command }))
}

/// A shell command for which Codex must ask the person first.
pub(crate) fn escalate(command: &str) -> Action {
    let arguments =
        json!({"cmd": command, "sandbox_permissions": "require_escalated", "justification": "May this run?"});
    call(None, "exec_command", arguments)
}

/// A call of any tool; an MCP server's tools have the namespace `mcp__<server>`.
pub(crate) fn call(namespace: Option<&str>, name: &str, arguments: Value) -> Action {
    Action::Call { namespace: namespace.map(Into::into), name: name.into(), arguments }
}

/// An HTTP error, whenever this reply is asked for.
pub(crate) fn fail(status: u16) -> Action {
    fail_first(usize::MAX, status)
}

/// An HTTP error for the first `tries` attempts; the next one goes on with the other actions.
pub(crate) fn fail_first(tries: usize, status: u16) -> Action {
    Action::Fail { status, tries }
}

/// A reply that never ends.
pub(crate) fn hang() -> Action {
    Action::Hang
}

/// A pause within a reply.
pub(crate) fn delay(milliseconds: u64) -> Action {
    Action::Delay(Duration::from_millis(milliseconds))
}

/// A reply that goes on when the test says `release(gate)`.
pub(crate) fn hold(gate: &str) -> Action {
    Action::Hold(gate.into())
}

impl Action {
    /// The HTTP status to fail with, when the reply was already asked for `earlier` times.
    pub(super) fn failure(&self, earlier: usize) -> Option<u16> {
        match self {
            Action::Fail { status, tries } if earlier < *tries => Some(*status),
            _ => None,
        }
    }

    fn ends_reply(&self) -> bool {
        matches!(self, Action::Call { .. })
    }

    fn filled(&self, groups: &Groups<'_>) -> Self {
        match self {
            Action::Say(text) => Action::Say(groups.fill(text)),
            Action::Call { namespace, name, arguments } => Action::Call {
                namespace: namespace.clone(),
                name: name.clone(),
                arguments: groups.fill_json(arguments),
            },
            other => other.clone(),
        }
    }
}

/// The rules, first match first. A text that no rule matches is answered with "ok".
#[derive(Default)]
pub(crate) struct Script {
    rules: Vec<Rule>,
}

struct Rule {
    pattern: Regex,
    actions: Vec<Action>,
    /// For a rule that serves one turn only: that turn, once it is known.
    only: Option<Mutex<Option<String>>>,
}

impl Script {
    /// A model that answers everything with "ok".
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Does `actions` in every turn whose text matches `pattern`, one reply per tool call.
    pub(crate) fn on(self, pattern: &str, actions: impl Into<Vec<Action>>) -> Self {
        self.rule(pattern, actions.into(), None)
    }

    /// Does `actions` in the first turn whose text matches `pattern`, and never again.
    pub(crate) fn once(self, pattern: &str, actions: impl Into<Vec<Action>>) -> Self {
        self.rule(pattern, actions.into(), Some(Mutex::default()))
    }

    fn rule(mut self, pattern: &str, actions: Vec<Action>, only: Option<Mutex<Option<String>>>) -> Self {
        let pattern = Regex::new(pattern).unwrap();
        self.rules.push(Rule { pattern, actions, only });
        self
    }

    /// The actions of the reply that `request` asks for.
    pub(super) fn actions(&self, request: &Request) -> Vec<Action> {
        let found = self.rules.iter().find_map(|rule| Some((rule, rule.matches(request)?)));
        let Some((rule, captures)) = found else { return vec![say("ok")] };
        let groups = Groups { pattern: &rule.pattern, captures };
        let reply = rule.actions.split_inclusive(Action::ends_reply).nth(request.step());
        reply.map_or_else(|| vec![say("done")], |actions| actions.iter().map(|a| a.filled(&groups)).collect())
    }
}

impl Rule {
    fn matches<'a>(&self, request: &'a Request) -> Option<Captures<'a>> {
        let captures = self.pattern.captures(&request.user)?;
        let Some(only) = &self.only else { return Some(captures) };
        let mut turn = only.lock().unwrap();
        let turn = turn.get_or_insert_with(|| request.turn.clone());
        (*turn == request.turn).then_some(captures)
    }
}

/// The groups of a pattern in the text it matched.
struct Groups<'a> {
    pattern: &'a Regex,
    captures: Captures<'a>,
}

impl Groups<'_> {
    fn fill(&self, template: &str) -> String {
        let names = self.pattern.capture_names().enumerate();
        names.fold(template.to_owned(), |text, (index, name)| {
            let value = self.captures.get(index).map_or("", |group| group.as_str());
            let text = text.replace(&format!("{{{index}}}"), value);
            name.map_or(text.clone(), |name| text.replace(&format!("{{{name}}}"), value))
        })
    }

    fn fill_json(&self, template: &Value) -> Value {
        match template {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(items) => items.iter().map(|item| self.fill_json(item)).collect(),
            Value::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), self.fill_json(v))).collect(),
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(user: &str, turn: &str, answered: usize) -> Request {
        Request {
            user: user.into(),
            turn: turn.into(),
            tool_outputs: vec![String::new(); answered],
            ..Request::default()
        }
    }

    #[test]
    fn a_turn_is_one_reply_per_tool_call() {
        let script =
            Script::new().on(r"^Task (?<name>\w+)", [say("on it"), run("make {name}"), say("{1} done")]);
        let check = |answered, expect: &[Action]| {
            assert_eq!(script.actions(&ask("Task red", "t", answered)), expect);
        };
        check(0, &[say("on it"), run("make red")]);
        check(1, &[say("red done")]);
        check(2, &[say("done")]);
        assert_eq!(script.actions(&ask("hello", "t", 0)), [say("ok")]);
    }

    #[test]
    fn a_rule_for_once_stays_with_its_turn() {
        let script = Script::new().once("go", [run("one"), say("two")]).on("go", [say("again")]);
        assert_eq!(script.actions(&ask("go", "t1", 0)), [run("one")]);
        assert_eq!(script.actions(&ask("go", "t1", 1)), [say("two")]);
        assert_eq!(script.actions(&ask("go", "t2", 0)), [say("again")]);
    }

    #[test]
    fn a_failure_is_for_the_first_attempts() {
        let failing = fail_first(2, 500);
        assert_eq!([0, 1, 2].map(|earlier| failing.failure(earlier)), [Some(500), Some(500), None]);
        assert_eq!(fail(429).failure(1000), Some(429));
        assert_eq!(say("x").failure(0), None);
    }
}
