//! `conveyor continuation-reviewer`: a reviewer that cannot see what it must not.

use super::bound;
use crate::support::World;
use crate::support::run::Run;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// Tells what of its arguments it could read, in which directory it ran and with which variables.
const SPY: &str = r#"
cat > /dev/null
for path in "$@"; do
    if cat "$path" > /dev/null 2>&1 || ls "$path/" > /dev/null 2>&1; then seen="$seen $path"; fi
done
variables=$(env | cut -d= -f1 | sort | tr '\n' ' ')
printf '{"agreement":"match","verdict":"proceed","rationale":"%s|%s|%s"}' "$seen" "$PWD" "$variables"
"#;

/// Proposals of both sides, to be reviewed.
fn with_proposals(world: &World) {
    world.conveyor(&["manager-config", "t1", "--permit", "context.spawn_reviewer"]).ok();
    for side in ["worker", "manager"] {
        let submit = ["continuation", "t1", "--submit", side, "--payload-json", r#"{"next":"tests"}"#];
        world.conveyor(&[&submit[..], &["--correlation-id", "c1"]].concat()).ok();
    }
}

fn review(world: &World, options: &[&str], command: &[&str]) -> Run {
    let begin =
        "continuation-reviewer t1 --correlation-id c1 --reviewer-session-id r1 --manager-session-id m1";
    let begin: Vec<&str> = begin.split(' ').collect();
    world.conveyor(&[&begin[..], options, &["--reviewer-command"], command].concat())
}

#[test]
fn a_reviewer_reads_neither_rollouts_nor_the_database_nor_the_state_root() {
    let world = World::new();
    let rollouts = bound(&world);
    with_proposals(&world);
    let beside = world.work_dir("project").join("code");
    fs::write(&beside, "public").unwrap();
    let shortcut = world.root().join("shortcut");
    std::os::unix::fs::symlink(world.state_root(), &shortcut).unwrap();
    let other = world.conveyor(&["--path", "other.db", "tasks"]).ok();
    drop(other);
    let secret: Vec<PathBuf> = [
        rollouts[0].path.clone(),
        rollouts[1].path.clone(),
        world.state_root(),
        world.state_root().join("workerctl.db"),
        shortcut.clone(),
        shortcut.join("workerctl.db"),
    ]
    .into();
    assert!(secret.iter().all(|path| path.exists()), "{secret:?}");
    let paths: Vec<&str> = secret.iter().chain([&beside]).map(|path| path.to_str().unwrap()).collect();
    let reviewed = review(&world, &[], &[&["/bin/sh", "-c", SPY, "spy"], &paths[..]].concat()).ok().json();
    assert_eq!(reviewed["verdict"], "proceed", "{reviewed}");
    let told: Vec<&str> = reviewed["rationale"].as_str().unwrap().split('|').collect();
    assert_eq!(told[0].trim(), beside.to_str().unwrap(), "only what is beside the secrets is seen");
    assert!(told[1].contains("conveyor-review-") && !PathBuf::from(told[1]).exists(), "{told:?}");
    let variables: Vec<&str> = told[2].split_whitespace().filter(|name| *name != "_").collect();
    assert_eq!(
        variables,
        ["LANG", "OLDPWD", "PATH", "PWD", "TMPDIR"]
            .as_slice()
            .iter()
            .copied()
            .filter(|name| variables.contains(name))
            .collect::<Vec<_>>()
    );
    let run = &reviewed["subagent_run"];
    assert_eq!((&run["status"], &run["returncode"]), (&json!("succeeded"), &json!(0)));
    #[cfg(target_os = "linux")]
    assert_eq!(
        (&run["sandbox"]["kind"], &run["sandbox"]["reads"], &run["sandbox"]["no_new_privs"]),
        (&json!("landlock"), &json!("denied"), &json!(true))
    );
}

#[test]
fn a_database_elsewhere_is_kept_from_the_reviewer_as_well() {
    let world = World::new();
    let database = world.root().join("other.db");
    let conveyor = |args: &[&str]| world.conveyor(&[&["--path", "other.db"], args].concat()).ok();
    conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]);
    conveyor(&["manager-config", "t1", "--permit", "context.spawn_reviewer"]);
    for side in ["worker", "manager"] {
        let submit =
            ["continuation", "t1", "--submit", side, "--payload-json", "{}", "--correlation-id", "c1"];
        conveyor(&submit);
    }
    let begin =
        "continuation-reviewer t1 --correlation-id c1 --reviewer-session-id r1 --manager-session-id m1";
    let mut args: Vec<&str> = begin.split(' ').collect();
    args.extend(["--reviewer-command", "/bin/sh", "-c", SPY, "spy", database.to_str().unwrap()]);
    let reviewed = conveyor(&args).json();
    assert!(reviewed["rationale"].as_str().unwrap().starts_with('|'), "{reviewed}");
}

#[test]
fn a_reviewer_that_gives_no_verdict_stops_everything() {
    let world = World::new();
    bound(&world);
    with_proposals(&world);
    let check = |options: &[&str], command: &[&str], status: &str, says: &str| {
        let reviewed = review(&world, options, command).ok().json();
        let found = (&reviewed["verdict"], &reviewed["agreement"], &reviewed["subagent_run"]["status"]);
        assert_eq!(found, (&json!("stop"), &json!("divergent"), &json!(status)), "{reviewed}");
        assert!(reviewed["rationale"].as_str().unwrap().contains(says), "{says}: {reviewed}");
        assert_eq!(reviewed["operator_routing_required"], true);
    };
    check(&[], &["false"], "failed", "exit status: 1");
    check(&[], &["true"], "failed", "not the JSON");
    check(&[], &["echo", "looks good"], "failed", "not the JSON");
    check(&[], &["no-such-reviewer"], "failed", "could not run");
    check(&["--timeout", "0.5"], &["sleep", "1000"], "timeout", "0.5 s");
    let empty = r#"{"agreement":"match","verdict":"proceed","rationale":" "}"#;
    check(&[], &["echo", empty], "failed", "empty rationale");
    check(&[], &["head", "-c", "3000000", "/dev/zero"], "failed", "longer than");
    let listed = world.conveyor(&["continuation", "t1", "--list"]).ok().json();
    assert_eq!(listed["reviews"].as_array().unwrap().len(), 7, "each is on record");
}

#[test]
fn a_dry_run_shows_the_context_and_a_manager_cannot_review_itself() {
    let world = World::new();
    bound(&world);
    with_proposals(&world);
    let planned = review(&world, &["--dry-run"], &["touch", "--", "ran"]).ok().json();
    assert_eq!(planned["reviewer_command"], json!(["touch", "--", "ran"]));
    assert_eq!(planned["context"]["worker_continuation"]["payload"], json!({"next": "tests"}));
    assert_eq!(planned["context"]["recent_pull_requests"]["available"], false);
    assert_eq!(planned["context"]["constraints"]["manager_rollout_access"], Value::Bool(false));
    let own = "continuation-reviewer t1 --correlation-id c1 --reviewer-session-id m1 --manager-session-id m1 \
               --reviewer-command true";
    world.conveyor(&own.split_whitespace().collect::<Vec<_>>()).exits(2);
    let listed = world.conveyor(&["continuation", "t1", "--list"]).ok().json();
    assert_eq!(listed["reviews"], json!([]));
}
