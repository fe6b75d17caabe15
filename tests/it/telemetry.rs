//! `conveyor telemetry`: events, their counts and the views, as people and programs ask for them.

use crate::support::World;

fn world() -> World {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    let criterion = ["criteria", "t1", "--add", "--criterion", "it is quick", "--source", "user_requested"];
    world.conveyor(&[&criterion[..], &["--status", "accepted"]].concat()).ok();
    world.conveyor(&["record-decision", "t1", "wait", "--reason", "nothing to do yet"]).ok();
    world
}

fn types(events: &serde_json::Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|event| event["event_type"].as_str().unwrap()).collect()
}

#[test]
fn events_are_listed_found_and_counted() {
    let world = world();
    let (added, recorded) = ("acceptance_criterion_added", "manager_decision_recorded");
    let list = |args: &[&str]| world.conveyor(&[&["telemetry"], args, &["--json"]].concat()).ok().json();
    let check = |args: &[&str], expect: &[&str]| assert_eq!(types(&list(args)), expect, "{args:?}");
    check(&[], &[added, recorded]);
    check(&["--newest"], &[recorded, added]);
    check(&["--limit", "1"], &[recorded]);
    check(&["--task", "t1", "--window", "1h", "--severity", "info"], &[added, recorded]);
    check(&["--event-type", added, "--actor", "workerctl"], &[added]);
    check(&["--search", "criterion accepted"], &[added]);
    check(&["--search", recorded], &[recorded]);
    check(&["--search", "\"NOT (", "--newest"], &[]);
    assert_eq!(list(&["--summary"])["by_event_type"][added], 1);

    let text = world.conveyor(&["telemetry"]).ok().stdout;
    assert_eq!((text.lines().count(), text.contains(&format!("\tinfo\tworkerctl\t{added}\t"))), (2, true));
    let summary = world.conveyor(&["telemetry", "--summary", "--task", "t1"]).ok().stdout;
    assert!(summary.starts_with("total: 2\n"), "{summary}");
}

#[test]
fn views_are_told_as_text_and_as_json() {
    let world = world();
    let text = |args: &[&str]| world.conveyor(&[&["telemetry"], args].concat()).ok().stdout;
    assert!(text(&["metrics"]).starts_with("window: 24h\n"));
    assert!(
        text(&["failures", "--active-only"])
            .ends_with("warning: open_accepted_criteria: 1 accepted criterion is not shown yet\n")
    );
    assert!(text(&["task", "t1"]).starts_with("task: t1\nworker_alive: -\n"));
    assert!(text(&["snapshot", "--task", "t1"]).starts_with("task: t1\nstate: candidate\nworker: -\n"));
    for view in ["metrics", "failures", "task", "snapshot"] {
        let view = world.conveyor(&["telemetry", view, "t1", "--json"]).ok();
        assert_eq!(view.json()["schema_version"], 1, "{}", view.text());
        assert!(!view.stdout.contains("it is quick"), "{}", view.text());
    }
    let check =
        |args: &[&str], code| world.conveyor(&[&["telemetry", "check"], args].concat()).exits(code).stdout;
    assert!(check(&[], 1).contains("open_criteria: 1 of 0 (too many)"));
    assert!(check(&["--max-open-criteria", "1"], 0).starts_with("ok: true\n"));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let world = world();
    let check = |args: &[&str], code, says: &str| {
        let refused = world.conveyor(&[&["telemetry"], args].concat()).exits(code);
        assert!(refused.stdout.is_empty() && refused.stderr.contains(says), "{}", refused.text());
    };
    check(&["task"], 2, "conveyor telemetry task TASK");
    check(&["snapshot"], 2, "conveyor tasks");
    check(&["task", "t2"], 1, "task t2 does not exist");
    check(&["task", "t1", "--task", "t1"], 2, "--task");
    check(&["failures", "--run", "r1"], 1, "conveyor runs --list");
    check(&["--task", "nope"], 1, "conveyor tasks");
    check(&["sideways"], 2, "failures");
    check(&["--limit", "0"], 2, "limit");
    check(&["metrics", "--window", "soon"], 2, "24h");
    check(&["--severity", "fatal"], 2, "warning");
    check(&["check", "--max-open-criteria=-1"], 2, "--max-open-criteria");
    check(&["check", "--worker-staleness-seconds", "nan"], 2, "seconds");
}
