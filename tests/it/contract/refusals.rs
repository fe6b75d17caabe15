//! Every refusal of the supervision contract names the rule, the object and the command that opens
//! the way: each is refused, then does what it was told, then is not refused any more.

use super::bound;
use crate::support::World;
use crate::support::run::Run;
use regex::Regex;
use std::process::Command;

/// What stands for something in the commands of hints, and what it stands for here.
const PLACEHOLDERS: [(&str, &str); 7] = [
    ("…", "x"),
    (" ID", " 1"),
    (" WHY", " because"),
    (" TEXT", " 'in words'"),
    (" COMMAND", " true"),
    (" WORKER", " w1"),
    (" MANAGER", " m1"),
];

/// Something that is refused, and how it goes on.
struct Case {
    /// What was done before, a command a line.
    before: &'static str,
    refused: &'static str,
    /// The rule and the objects that must be named.
    names: &'static [&'static str],
    /// What succeeds after the hints were followed; nothing where they only show more.
    then: &'static str,
}

const CASES: [Case; 22] = [
    Case {
        before: "criteria t1 --add --criterion works --source user_requested --status accepted",
        refused: "finish-task t1 --require-criteria-audit",
        names: &["task t1", "accepted criteria are not satisfied", "1"],
        then: "finish-task t1 --require-criteria-audit",
    },
    Case {
        before: "",
        refused: "finish-task t1 --require-acks",
        names: &["task t1", "no acknowledgement", "worker, manager"],
        then: "finish-task t1 --require-acks",
    },
    Case {
        before: "manager-config t1 --epilogue record-handoff --epilogue draft-pr",
        refused: "finish-task t1 --require-epilogue",
        names: &["task t1", "epilogue steps", "record-handoff, draft-pr"],
        then: "finish-task t1 --require-epilogue",
    },
    Case {
        before: "criteria t1 --add --criterion works --source user_requested",
        refused: "finish-task t1 --require-executed-evidence",
        names: &["task t1", "no criterion is carried by executed evidence"],
        then: "finish-task t1 --require-executed-evidence",
    },
    Case {
        before: "criteria t1 --add --criterion works --source user_requested --status satisfied",
        refused: "finish-task t1 --require-executed-evidence",
        names: &["task t1", "executed evidence", "criterion 1 (somebody only said so)"],
        then: "finish-task t1 --require-executed-evidence",
    },
    Case {
        before: "",
        refused: "finish-task t1 --require-adversarial-proof",
        names: &["task t1", "disprove", "adversarial_check"],
        then: "finish-task t1 --require-adversarial-proof",
    },
    Case {
        before: "",
        refused: "finish-task t1 --strict-decisions",
        names: &["task t1", "no decision covers it", "missing_decision_id"],
        then: "finish-task t1 --strict-decisions --decision-id 1",
    },
    Case {
        before: "record-decision t1 wait --reason busy",
        refused: "stop-task t1 --strict-decisions --decision-id 1",
        names: &["task t1", "no decision covers it", "decision_mismatch"],
        then: "stop-task t1 --strict-decisions --decision-id 2",
    },
    Case {
        before: "finish-task t1",
        refused: "finish-task t1",
        names: &["task t1 is done already"],
        then: "finish-task t1 --stop-worker",
    },
    Case {
        before: "manager-config t1 --require-acks",
        refused: "cycle t1",
        names: &["t1", "has not acknowledged the contract"],
        then: "cycle t1",
    },
    Case {
        before: "",
        refused: "continuation t1 --submit manager --payload-json {} --correlation-id 1",
        names: &["task t1", "the worker proposed before"],
        then: "continuation t1 --submit manager --payload-json {} --correlation-id 1",
    },
    Case {
        before: "continuation t1 --submit worker --payload-json {} --correlation-id c1",
        refused: "continuation t1 --list --as-role manager --correlation-id c1",
        names: &["task t1", "c1", "before its own is in"],
        then: "continuation t1 --list --as-role manager --correlation-id c1",
    },
    Case {
        before: "",
        refused: "continuation-reviewer t1 --correlation-id c1 --reviewer-session-id r --manager-session-id m \
                  --dry-run --reviewer-command true",
        names: &["task t1", "context.spawn_reviewer"],
        then: "manager-permission t1 context.spawn_reviewer --require",
    },
    Case {
        before: "manager-config t1 --permit context.spawn_reviewer\n\
                 continuation t1 --submit worker --payload-json {} --correlation-id c1",
        refused: "continuation-reviewer t1 --correlation-id c1 --reviewer-session-id r --manager-session-id m \
                  --dry-run --reviewer-command true",
        names: &["task t1", "no proposal of the manager for c1"],
        then: "continuation-reviewer t1 --correlation-id c1 --reviewer-session-id r --manager-session-id m \
               --dry-run --reviewer-command true",
    },
    Case {
        before: "",
        refused: "epilogue t1 --step draft-pr",
        names: &["task t1", "draft-pr is not a step"],
        then: "epilogue t1 --step draft-pr",
    },
    Case {
        before: "",
        refused: "compact-worker t1 --reason long --dry-run",
        names: &["task t1", "w1", "/compact", "missing_manager_config", "missing_worker_handoff"],
        then: "compact-worker t1 --reason long --dry-run",
    },
    Case {
        before: "manager-config t1 --allow-worker-compact-clear\nhandoff t1 --summary half",
        refused: "request-worker-compact t1 --strict-decisions --clear --dry-run",
        names: &["task t1", "/clear", "missing_decision_id"],
        then: "request-worker-compact t1 --strict-decisions --clear --dry-run --decision-id 1",
    },
    Case {
        before: "unbind --task t1",
        refused: "request-worker-compact t1 --dry-run",
        names: &["task t1", "no active binding"],
        then: "cycle t1",
    },
    Case {
        before: "",
        refused: "manager-permission t1 repo.open_pr --require --require-handoff",
        names: &["t1", "repo.open_pr", "missing_manager_config", "missing_worker_handoff"],
        then: "manager-permission t1 repo.open_pr --require --require-handoff",
    },
    Case { before: "", refused: "criteria t1 --satisfy 9", names: &["task t1", "criterion 9"], then: "" },
    Case {
        before: "criteria t1 --add --criterion works --source user_requested",
        refused: "criteria t1 --satisfy 1 --run -- false",
        names: &["task t1", "criterion 1 ", "`false` exited with 1"],
        then: "",
    },
    Case {
        before: "",
        refused: "record-decision t1 wait --reason busy --cycle-id 1",
        names: &["cycle 1"],
        then: "record-decision t1 wait --reason busy --cycle-id 1",
    },
];

/// Runs a line as it was printed, as a person would who copies it into a shell.
fn in_shell(world: &World, line: &str) -> Run {
    let mut shell = world.command("/bin/sh");
    Run::of(shell.args(["-c", line]).current_dir(world.work_dir("project")), r#"{"next":"x"}"#)
}

/// The commands that a refusal names.
fn told(refusal: &Run) -> Vec<String> {
    let marked = Regex::new(r"`(conveyor [^`]*)`|hint: (conveyor .*)").unwrap();
    let text = format!("{}{}", refusal.stdout, refusal.stderr).replace(r#"\""#, "\"");
    marked
        .captures_iter(&text)
        .map(|found| found.iter().flatten().nth(1).unwrap().as_str().to_owned())
        .collect()
}

fn check(case: &Case) {
    let world = World::new();
    let _rollouts = bound(&world);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_conveyor"), world.bin().join("conveyor")).unwrap();
    for words in ["init -q", "-c user.name=t -c user.email=t@example.org commit -q --allow-empty -m first"] {
        let git = Command::new("git").args(words.split(' ')).current_dir(world.work_dir("project")).status();
        assert!(git.unwrap().success());
    }
    for line in case.before.lines() {
        in_shell(&world, &format!("conveyor {}", line.trim())).ok();
    }
    let refused = in_shell(&world, &format!("conveyor {}", case.refused)).exits(1);
    let text = format!("{}{}", refused.stdout, refused.stderr);
    for name in case.names {
        assert!(text.contains(name), "{name:?} is not named: {}", refused.text());
    }
    let told = told(&refused);
    assert!(!told.is_empty(), "no way out: {}", refused.text());
    for line in &told {
        let line = PLACEHOLDERS.iter().fold(line.clone(), |line, (name, value)| line.replace(name, value));
        let run = in_shell(&world, &line);
        assert_ne!(run.status, Some(2), "{line}: {}", run.text());
    }
    if !case.then.is_empty() {
        let then = in_shell(&world, &format!("conveyor {}", case.then));
        assert_eq!(then.status, Some(0), "after {told:?}: {}", then.text());
    }
}

#[test]
fn every_refusal_opens_a_way_that_leads_on() {
    CASES.iter().for_each(check);
}

#[test]
fn dispatch_refuses_what_is_not_permitted_before_any_effect() {
    let world = World::new();
    let _rollouts = bound(&world);
    let enqueue = "enqueue-nudge-worker t1 --message go --required-permission worker_session.interrupt";
    world.conveyor(&enqueue.split(' ').collect::<Vec<_>>()).ok();
    let report = world.conveyor(&["dispatch", "--once", "--json"]).ok().json()["processed"][0].clone();
    assert_eq!((&report["state"], &report["side_effect_started"]), (&"failed".into(), &false.into()));
    assert_eq!(report["hints"][0], "conveyor manager-config t1 --permit worker_session.interrupt");
    assert_eq!(super::texts(&world, "SELECT state FROM routed_notifications"), Vec::<String>::new());
    assert_eq!(super::texts(&world, "SELECT state FROM deliveries"), Vec::<String>::new());
}
