//! A manager of the real Codex that negotiates two criteria, has one shown to hold, is refused a
//! finish, leaves the other for later, and finishes.

use super::texts;
use crate::support::model::{run, say};
use crate::support::wait::poll;
use crate::support::{Script, World};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// Two Codex sessions and four turns, on a machine that may be busy.
const DEADLINE: Duration = Duration::from_secs(120);

/// By its path: a login shell makes its own `PATH`.
const CONVEYOR: &str = env!("CARGO_BIN_EXE_conveyor");

const QUESTION: &str = "Which criteria do you propose?";

fn script() -> Script {
    let conveyor = |line: &str| run(&format!("{CONVEYOR} {line}"));
    let add = |text: &str| {
        conveyor(&format!(
            "criteria t1 --add --source worker_proposed --status accepted --criterion '{text}'"
        ))
    };
    let finish = || {
        conveyor(
            "finish-task t1 --reason 'what was agreed holds' --require-criteria-audit --require-executed-evidence",
        )
    };
    Script::new()
        .on("^Task alpha", [run("echo 42 > answer"), say("The answer is written.")])
        .on("criteria do you propose", [say("Must-have: the answer is 42. Also: the answer is explained.")])
        .once(
            "^\\[conveyor worker_task_complete",
            [
                conveyor("cycle t1"),
                conveyor(&format!("session-nudge w1 '{QUESTION}'")),
                say("I have asked the worker for criteria."),
            ],
        )
        .once(
            "^\\[conveyor worker_task_complete",
            [
                conveyor("cycle t1"),
                add("the answer is 42"),
                add("the answer is explained"),
                conveyor("criteria t1 --satisfy 1 --run -- grep -x 42 answer"),
                finish(),
                conveyor("criteria t1 --defer 2 --rationale 'a task of its own'"),
                finish(),
                say("The task is finished."),
            ],
        )
}

fn git(world: &World, words: &str) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(words.split(' '));
    assert!(git.current_dir(world.work_dir("project")).status().unwrap().success(), "git {words}");
}

#[test]
fn a_manager_holds_its_worker_to_what_was_agreed() {
    let world = World::with_codex(script());
    git(&world, "init -q");
    git(&world, "commit -q --allow-empty -m first");
    let pair = "pair --task t1 --worker-name w1 --manager-name m1 --timeout-seconds 60 --json";
    let mut args: Vec<&str> = pair.split(' ').collect();
    args.extend(["--task-goal", "Find the answer", "--task-prompt", "Task alpha: write the answer."]);
    args.extend(["--sandbox", "danger-full-access", "--ask-for-approval", "never"]);
    world.conveyor_in(&world.work_dir("project"), &args, "").ok();
    let is_done = || (texts(&world, "SELECT state FROM tasks") == ["done"]).then_some(());
    assert!(
        poll(DEADLINE, is_done).is_some(),
        "{:#?}",
        texts(&world, "SELECT type || payload_json FROM events")
    );

    let happened = texts(
        &world,
        "SELECT type || coalesce(' ' || (payload_json ->> '$.status'), '') ||
                coalesce(' ' || (payload_json ->> '$.failure_stage'), '') FROM events
         WHERE type LIKE 'acceptance%' OR type LIKE 'executed%' OR type LIKE 'finish_task_%ed' ORDER BY id",
    );
    assert_eq!(
        happened,
        [
            "acceptance_criterion_added accepted",
            "acceptance_criterion_added accepted",
            "executed_evidence_started",
            "executed_evidence_recorded",
            "acceptance_criterion_updated satisfied",
            "finish_task_failed final_criteria_audit",
            "acceptance_criterion_updated deferred",
            "finish_task_succeeded",
        ]
    );
    let evidence =
        texts(&world, "SELECT state || ' ' || exit_code || ' ' || argv_json FROM executed_evidence");
    assert_eq!(evidence, [r#"passed 0 ["grep","-x","42","answer"]"#]);
    let audit = world.conveyor(&["mutation-audit", "t1", "--json"]).ok().json();
    let finishes: Vec<&Value> =
        audit["records"].as_array().unwrap().iter().map(|record| &record["command"]["state"]).collect();
    assert_eq!(finishes, ["failed", "succeeded"]);

    let story = world.conveyor(&["replay", "t1"]).ok().stdout;
    let mut rest = story.as_str();
    for told in [
        "w1 completes its turn",
        "the answer is 42",
        "the answer is explained",
        "finish_task",
        "deferred",
        "finish_task succeeded: what was agreed holds",
    ] {
        let at =
            rest.find(told).unwrap_or_else(|| panic!("{told:?} is not told, or not in its place:\n{story}"));
        rest = &rest[at..];
    }
    world.conveyor(&["finish-task", "t1", "--stop-worker", "--stop-manager"]).ok();
    world.conveyor(&["run", "--stop"]).ok();
}
