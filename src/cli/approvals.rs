//! `conveyor approvals`, `conveyor approve`, `conveyor deny`

use serde_json::Value;

use super::show::Show;
use super::table::aligned;
use crate::actors::calls::approvals::{AnswerReply, ApprovalsArgs, ApproveArgs, DenyArgs};
use crate::domain::printable::indented;

impl Show for ApprovalsArgs {
    fn text(&self, reply: &Vec<Value>) -> Option<String> {
        Some(list(reply))
    }
}

impl Show for ApproveArgs {
    fn text(&self, reply: &AnswerReply) -> Option<String> {
        Some(answered(reply))
    }
}

impl Show for DenyArgs {
    fn text(&self, reply: &AnswerReply) -> Option<String> {
        Some(answered(reply))
    }
}

fn answered(reply: &AnswerReply) -> String {
    format!("request {} of session {}: {}", reply.id, reply.session, reply.answer.past())
}

/// A line each; what it wants stands indented below, where it is shown.
fn list(waits: &[Value]) -> String {
    if waits.is_empty() {
        return "nobody waits".to_owned();
    }
    let text = |waiting: &Value, key: &str| waiting[key].as_str().map_or("-".to_owned(), str::to_owned);
    let rows: Vec<[String; 6]> = waits
        .iter()
        .map(|waiting| {
            let answer = if waiting["answerable"] == true { "approve | deny" } else { "in its terminal" };
            [
                waiting["id"].to_string(),
                text(waiting, "session"),
                text(waiting, "task"),
                text(waiting, "asks"),
                text(waiting, "since"),
                answer.to_owned(),
            ]
        })
        .collect();
    let mut lines = aligned(["ID", "SESSION", "TASK", "ASKS FOR", "SINCE", "ANSWER"], &rows).into_iter();
    let mut shown: Vec<String> = lines.next().into_iter().collect();
    for (line, waiting) in lines.zip(waits) {
        shown.push(line);
        let details = ["command", "cwd", "reason", "pane_class"];
        shown.extend(details.into_iter().filter_map(|key| Some(detail(key, waiting[key].as_str()?))));
    }
    shown.join("\n")
}

/// A model wrote it: its further lines stand below its first, where they are none of ours.
fn detail(key: &str, text: &str) -> String {
    let label = format!("    {key}: ");
    format!("{label}{}", indented(text, label.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_shows_what_it_was_given() {
        let waiting = json!({
            "id": 3, "session": "w1", "task": "t1", "asks": "command", "since": "now", "answerable": true,
            "command": "make", "cwd": "/w", "reason": null,
        });
        let shown = list(&[waiting]);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "ID  SESSION  TASK  ASKS FOR  SINCE  ANSWER");
        assert_eq!(lines[1], "3   w1       t1    command   now    approve | deny");
        assert_eq!(lines[2..], ["    command: make", "    cwd: /w"]);
        assert_eq!(list(&[]), "nobody waits");
    }

    #[test]
    fn what_a_model_wrote_cannot_hide_or_forge_a_line() {
        let waiting = json!({
            "id": 3, "session": "w\n4", "task": "t1", "asks": "command", "since": "now", "answerable": true,
            "command": "rm -rf /\x1b[2K\rmake\n    cwd: /safe", "cwd": "/w\r", "reason": "\u{202e}x",
        });
        let shown = list(&[waiting]);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1], "3   w␊4      t1    command   now    approve | deny");
        assert_eq!(
            lines[2..],
            [
                "    command: rm -rf /␛[2K␍make",
                "                 cwd: /safe",
                "    cwd: /w␍",
                "    reason: \u{fffd}x"
            ]
        );
    }
}
