//! The record as evidence: whether somebody altered it.

use crate::support::World;
use rusqlite::Connection;

fn database(world: &World) -> Connection {
    Connection::open(world.state_root().join("workerctl.db")).unwrap()
}

#[test]
fn a_row_altered_behind_the_programs_back_is_named() {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    world.conveyor(&["record-decision", "t1", "nudge", "--reason", "it stopped"]).ok();
    world
        .conveyor(&["criteria", "t1", "--add", "--criterion", "tests pass", "--source", "user_requested"])
        .ok();
    let whole = world.conveyor(&["audit", "verify"]).ok();
    assert!(whole.stdout.starts_with("the record is as it was written: "), "{}", whole.text());
    let head = whole.stdout.lines().last().unwrap().strip_prefix("head: ").unwrap().to_owned();
    world.conveyor(&["audit", "verify", "--head", &head]).ok();

    database(&world)
        .execute("UPDATE acceptance_criteria SET status = 'satisfied', proof = 'green'", [])
        .unwrap();
    let altered = world.conveyor(&["audit", "verify"]).exits(1);
    assert!(
        altered.stdout.starts_with("altered: acceptance_criteria 1 differs in status, proof, as written at "),
        "{}",
        altered.text()
    );
    let json = world.conveyor(&["audit", "verify", "--json"]).exits(1).json();
    assert_eq!((&json["ok"], &json["findings"][0]["columns"][0]), (&false.into(), &"status".into()));
}

#[test]
fn pruning_is_no_alteration_and_forging_after_it_is() {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    let task: String = database(&world).query_row("SELECT id FROM tasks", [], |row| row.get(0)).unwrap();
    for text in ["one", "two"] {
        database(&world)
            .execute(
                "INSERT INTO terminal_captures (task_id, role, tmux_session, captured_at, history_lines,
                     content_sha256, content, byte_count, line_count, classifier_json, source)
                 VALUES (?1, 'worker', 's', '2999-01-01T00:00:00Z', 1, 'h', ?2, 3, 1, '{}', 'test')",
                (&task, text),
            )
            .unwrap();
    }
    let verdict = world.conveyor(&["audit", "verify", "--json"]).ok().json();
    assert_eq!(
        (&verdict["outside"][0]["table"], &verdict["outside"][0]["count"]),
        (&"terminal_captures".into(), &2.into())
    );
    world.conveyor(&["transcript-prune", "t1", "--keep-latest", "0"]).ok();
    world.conveyor(&["prune", "--keep-latest", "0"]).ok();
    world.conveyor(&["audit", "verify"]).ok();
}

#[test]
fn a_head_that_is_none_is_bad_usage() {
    let world = World::new();
    for head in ["", "1", "x:y", "1:abc"] {
        world.conveyor(&["audit", "verify", "--head", head]).exits(2);
    }
    world.conveyor(&["audit"]).exits(2);
    world.conveyor(&["audit", "verify"]).ok();
    let gone = format!("7:{}", "0".repeat(64));
    let missing = world.conveyor(&["audit", "verify", "--head", &gone]).exits(1);
    assert!(missing.stdout.contains("head missing: there is no link 7"), "{}", missing.text());
}
