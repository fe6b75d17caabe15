//! `conveyor export-task` and the commands that keep the record tidy: `reconcile`, `prune`.

use std::fs;

use crate::support::World;

fn world() -> World {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    world
}

#[test]
fn an_export_is_put_where_it_is_asked_for_and_counted() {
    let world = world();
    let export = |args: &[&str]| world.conveyor(&[&["export-task", "t1"], args].concat());
    let reply = export(&["--output", "out", "--zip", "--include-full-transcripts"]).ok().json();
    let directory = reply["export_dir"].as_str().unwrap().to_owned();
    assert_eq!(reply["archive"], format!("{directory}.zip"));
    for name in ["manifest.json", "telemetry-report.md", "transcripts/manager.txt"] {
        assert!(fs::exists(format!("{directory}/{name}")).unwrap(), "{name}");
    }
    let again = export(&["--output", "out"]).exits(1);
    assert!(
        again.stderr.contains("there already") && again.stderr.contains("--output DIR"),
        "{}",
        again.text()
    );

    let reply = export(&[]).ok().json();
    assert_eq!((&reply["archive"], &reply["task"]), (&serde_json::Value::Null, &"t1".into()));
    assert!(reply["export_dir"].as_str().unwrap().ends_with("/export"));
    assert!(fs::exists(world.state_root().join("artifacts/tasks")).unwrap());
    let metrics = world.conveyor(&["telemetry", "metrics", "--json"]).ok().json();
    assert_eq!(metrics["counters"]["exports"]["total"], 2);
}

#[test]
fn what_cannot_be_exported_is_refused() {
    let world = world();
    let check = |args: &[&str], code, says: &str| {
        let refused = world.conveyor(&[&["export-task"], args].concat()).exits(code);
        assert!(refused.stdout.is_empty() && refused.stderr.contains(says), "{}", refused.text());
    };
    check(&[], 2, "TASK");
    check(&["nope"], 1, "conveyor tasks");
    check(&["t1", "--output", "/"], 2, "--output DIR");
    check(&["t1", "--output"], 2, "--output");
    check(&["t1", "--output", "/dev/null/out"], 1, "t1");
}

#[test]
fn reconcile_and_prune_tell_what_they_would_do() {
    let world = world();
    let reply = world.conveyor(&["reconcile"]).ok().json();
    assert_eq!((&reply["dead_pid_sessions"], reply.get("applied")), (&serde_json::json!([]), None));
    assert_eq!(
        world.conveyor(&["reconcile", "--apply"]).ok().json()["applied"]["sessions_marked_gone"],
        serde_json::json!([])
    );
    world.conveyor(&["reconcile", "--stale-cycle-seconds", "0.5"]).ok();
    for seconds in ["soon", "-1", "nan"] {
        world.conveyor(&["reconcile", &format!("--stale-cycles-seconds={seconds}")]).exits(2);
    }
    assert_eq!(world.conveyor(&["prune", "--dry-run"]).ok().json()["would_prune_count"], 0);
    world.conveyor(&["prune", "--keep-latest=-1"]).exits(2);
    world.conveyor(&["transcript-prune", "nope"]).exits(1);
}
