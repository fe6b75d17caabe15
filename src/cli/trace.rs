//! `conveyor trace`

use serde_json::Value;

use super::show::Show;
use crate::actors::calls::trace::TraceArgs;
use crate::domain::printable::one_line;
use crate::domain::words_of_time::span;
use crate::store::trace::{Node, ObjectKind};

impl Show for TraceArgs {
    fn text(&self, trees: &Vec<Node>) -> Option<String> {
        let mut lines = Vec::new();
        for tree in trees {
            lines.push(line(tree, None));
            branches(tree, "", &mut lines);
        }
        Some(lines.join("\n"))
    }
}

fn branches(node: &Node, indent: &str, lines: &mut Vec<String>) {
    let last = node.effects.len().saturating_sub(1);
    for (index, effect) in node.effects.iter().enumerate() {
        let (branch, below) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        lines.push(format!("{indent}{branch}{}", line(effect, Some(node))));
        branches(effect, &format!("{indent}{below}"), lines);
    }
}

fn line(node: &Node, cause: Option<&Node>) -> String {
    let time = match cause {
        None => node.at.clone(),
        Some(cause) => span(&cause.at, &node.at).map(|span| format!("+{span}")).unwrap_or_default(),
    };
    let name = match node.object.kind {
        ObjectKind::Command => node.object.id.clone(),
        kind => format!("{kind}:{}", node.object.id),
    };
    let mark = if node.asked { "  ◀" } else { "" };
    let above = if node.repeated { " (above)" } else { "" };
    format!("{name}  {time}  {}{above}{mark}", what(node))
}

fn what(node: &Node) -> String {
    let fact = |key: &str| match &node.facts[key] {
        Value::Null => String::new(),
        Value::String(text) => one_line(text),
        other => other.to_string(),
    };
    let because = |text: String| if text.is_empty() { text } else { format!(": {text}") };
    match node.object.kind {
        ObjectKind::Fact => format!("a turn of {} {}", fact("session"), fact("outcome")),
        ObjectKind::Notification => {
            format!("{} from {} to {}, {}", fact("signal_type"), fact("from"), fact("to"), fact("state"))
        }
        ObjectKind::Delivery => {
            let at = [fact("settled_at"), fact("sent_at"), fact("started_at")];
            let at = at.into_iter().find(|at| !at.is_empty()).map(|at| format!(" {at}")).unwrap_or_default();
            let by = fact("transport");
            format!("to {} by {by} {}{at}{}", fact("to"), fact("state"), because(fact("error")))
        }
        ObjectKind::Cycle => {
            format!("the manager looks: {} {}{}", fact("state"), fact("worker_state"), because(fact("error")))
        }
        ObjectKind::Decision => format!("{}{}", fact("decision"), because(fact("reason"))),
        ObjectKind::Command => format!("{} {}{}", fact("type"), fact("state"), because(fact("error"))),
        ObjectKind::Attempt => format!("{} by {}{}", fact("state"), fact("by"), because(fact("error"))),
        ObjectKind::Criterion => format!("{}: {}", fact("status"), fact("criterion")),
        ObjectKind::Evidence => format!("{}: {}", fact("state"), argv(&node.facts["argv"])),
        ObjectKind::Event => format!("{} by {}", fact("type"), fact("actor")),
    }
}

fn argv(argv: &Value) -> String {
    let words = argv.as_array().into_iter().flatten().filter_map(Value::as_str);
    one_line(&words.collect::<Vec<_>>().join(" "))
}
