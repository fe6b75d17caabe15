//! A session's mailbox, polled with the real command.

use std::time::Duration;

use serde_json::Value;

use crate::cli::demo::program;
use crate::domain::{Failure, Role};

/// Until the task is bound there is no mailbox to wait at.
const PAUSE: Duration = Duration::from_millis(50);

/// The mailbox of one side of a task.
pub(super) struct Mailbox {
    command: &'static str,
    task: String,
}

impl Mailbox {
    pub(super) fn new(role: Role, task: &str) -> Self {
        let command = match role {
            Role::Worker => "worker-inbox",
            Role::Manager => "manager-inbox",
        };
        Self { command, task: task.to_owned() }
    }

    /// Waits for the next item and takes it.
    pub(super) fn next_prompt(&self, thread: &str) -> Result<String, Failure> {
        let args = [self.command, &self.task, "--consume-next", "--wait", "--timeout", "30", "--json"];
        loop {
            let polled = program::run_in_session(thread, &args)?;
            if let Some(message) = message(&polled.stdout) {
                return Ok(message);
            }
            if !polled.status.success() {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// The text of the item that was taken; none when there was no item in time.
fn message(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let payload = answer["consumed"].as_object()?.get("payload")?;
    payload["message"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_taken_item_has_a_message() {
        let check = |answer: &str, expect: Option<&str>| {
            assert_eq!(message(answer.as_bytes()).as_deref(), expect, "{answer}");
        };
        check(r#"{"consumed": {"id": 1, "payload": {"message": "go"}}, "items": []}"#, Some("go"));
        check(r#"{"consumed": null, "items": [{"payload": {"message": "later"}}]}"#, None);
        check("", None);
    }
}
