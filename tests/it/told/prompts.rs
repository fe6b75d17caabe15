//! What sessions are told when they start.

use super::check;
use conveyor::domain::prompts::{self, Hands, ManagerBriefing, WorkerBriefing};
use regex::Regex;

fn prompts() -> Vec<String> {
    let hands = Hands::Shell("conveyor");
    let full = ManagerBriefing {
        hands,
        manager: "m1",
        worker: Some("w1"),
        task: Some("it's one"),
        goal: None,
        configured: true,
        polls: false,
    };
    vec![
        prompts::manager(&full),
        prompts::manager(&ManagerBriefing { configured: false, polls: true, ..full }),
        prompts::manager(&ManagerBriefing { worker: None, task: None, ..full }),
        prompts::worker(Some("go"), &WorkerBriefing { hands, task: None, polls: true }).unwrap(),
        prompts::contract(hands, "w1", None),
        prompts::plain("conveyor", "p1"),
    ]
}

#[test]
fn the_prompts_name_what_there_is() {
    let quoted = Regex::new("`(conveyor [^`]*)`").unwrap();
    let lines: Vec<(String, String)> = prompts()
        .iter()
        .flat_map(|prompt| quoted.captures_iter(prompt))
        .map(|line| ("a prompt".to_owned(), line[1].to_owned()))
        .collect();
    check(&lines, 20);
}
