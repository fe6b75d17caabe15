//! What sessions are told to call exists, as a command and as a tool.

use std::process::Command;

use regex::Regex;

use super::command_line;
use crate::domain::prompts::{self, Hands, ManagerBriefing, WorkerBriefing};

/// Every prompt that names commands.
pub(super) fn all(hands: Hands<'_>) -> Vec<String> {
    let full = ManagerBriefing {
        hands,
        manager: "m1",
        worker: Some("w1"),
        task: Some("it's one"),
        goal: None,
        configured: true,
        polls: false,
    };
    let worker = WorkerBriefing { hands, task: None, polls: true };
    vec![
        prompts::manager(&full),
        prompts::manager(&ManagerBriefing { configured: false, polls: true, ..full }),
        prompts::manager(&ManagerBriefing { worker: None, task: None, ..full }),
        prompts::worker(Some("go"), &worker).unwrap(),
        prompts::contract(hands, "w1", Some("go")),
    ]
}

/// The words of a command line, as a shell reads them.
fn words(line: &str) -> Vec<String> {
    let printed = Command::new("/bin/sh").args(["-c", &format!("printf '%s\\0' {line}")]).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    printed.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn every_command_is_one_of_ours() {
    let quoted = Regex::new("`(conveyor [^`]*)`").unwrap();
    let plain = prompts::plain("conveyor", "p1");
    let mut seen = 0;
    for prompt in all(Hands::Shell("conveyor")).into_iter().chain([plain]) {
        for found in quoted.captures_iter(&prompt) {
            let parsed = command_line("conveyor").try_get_matches_from(words(&found[1]));
            assert!(parsed.is_ok(), "{}: {}", &found[1], parsed.unwrap_err());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}
