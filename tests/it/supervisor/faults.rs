//! State roots and databases that cannot be used: clear errors, nothing half-done, and nothing
//! changed that was not ours to change.

use super::*;
use conveyor::domain::FailureKind;
use rustix::process::{Resource, Rlimit, prlimit};

/// How each way into the database fails: a one-shot command, a supervisor, and one in the background.
#[track_caller]
fn all_fail(world: &World, says: &str) {
    for args in [&["tasks"][..], &["run"], &["run", "--detach"]] {
        let failed = world.conveyor(args).exits(1);
        assert!(failed.stderr.contains(says), "{says}: {}", failed.text());
        assert!(failed.stderr.contains("hint: "), "{}", failed.text());
        assert_eq!(failed.stdout, "", "{}", failed.text());
    }
}

#[test]
fn a_state_root_below_a_file_is_named() {
    let world = World::new();
    fs::remove_dir(world.state_root()).unwrap();
    fs::write(world.state_root(), "a file").unwrap();
    all_fail(&world, world.state_root().to_str().unwrap());
    assert_eq!(fs::read_to_string(world.state_root()).unwrap(), "a file");
}

#[test]
fn a_database_that_is_none_or_damaged_or_of_another_version_is_left_alone() {
    fn check(content: &[u8], says: &str) {
        let world = World::new();
        fs::write(database(&world), content).unwrap();
        all_fail(&world, says);
        assert_eq!(fs::read(database(&world)).unwrap(), content, "{says}");
        assert_eq!(status(&world), None);
    }
    fn made(version: i64) -> Vec<u8> {
        let world = World::new();
        create(&world, "t1").ok();
        let conn = open(&world);
        conn.pragma_update(None, "journal_mode", "DELETE").unwrap();
        conn.pragma_update(None, "user_version", version).unwrap();
        drop(conn);
        fs::read(database(&world)).unwrap()
    }
    check(b"this is a text file, and a long one at that: no database begins so\n", "no SQLite database");
    check(&made(27), "version 27 is newer");
    check(&made(21), "version 21 is older");
    let mut damaged = made(22);
    damaged[100..200].fill(0xff);
    check(&damaged, "damaged");
}

#[test]
fn a_database_that_somebody_keeps_locked_is_reported_and_used_again_when_it_is_free() {
    let world = World::new();
    create(&world, "t1").ok();
    let holder = open(&world);
    let check = |supervised: bool| {
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        let failed = create(&world, "t2").exits(1);
        assert!(failed.stderr.contains("locked"), "{}", failed.text());
        assert!(failed.stderr.contains("another process held it for more than 5 s"), "{}", failed.text());
        // Who only reads is not held up.
        if supervised {
            world.conveyor(&["tasks"]).ok();
        }
        holder.execute_batch("ROLLBACK").unwrap();
        assert_eq!(texts(&world, "SELECT name FROM tasks"), ["t1"]);
    };
    check(false);
    let supervisor = Supervisor::start(&world);
    check(true);
    create(&world, "t3").ok();
    assert_eq!(status(&world).unwrap()["pid"], supervisor.pid());
}

/// A limit on the size of files stands in for a full disk: writing fails all the same.
#[test]
fn a_disk_that_takes_no_more_loses_nothing_that_was_acknowledged() {
    const LIMIT_BYTES: u64 = 3 << 20;
    let world = World::new();
    create(&world, "t1").ok();
    // Without the trap the system would end the process at the limit.
    let limited = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$0\" run", LIMIT_BYTES / 512);
    let mut shell = world.command("/bin/sh");
    let supervisor = Supervisor::spawn(&world, shell.args(["-c", &limited, env!("CARGO_BIN_EXE_conveyor")]));
    wait_for("the supervisor", PATIENCE, || UnixStream::connect(socket(&world)).ok());

    let (mut client, goal) = (Client::connect(&world), "g".repeat(200_000));
    let mut acknowledged = vec!["t1".to_owned()];
    let failure = (0..100).find_map(|number| {
        let name = format!("big-{number:02}");
        match client.create(&name, &goal).unwrap() {
            Answer::Done { .. } => {
                acknowledged.push(name);
                None
            }
            Answer::Failed(failure) => Some(failure),
            other => panic!("{other:?}"),
        }
    });
    let failure = failure.expect("the limit was never reached");
    assert!(failure.kind == FailureKind::Database && failure.hints.len() == 1, "{failure:?}");
    assert_eq!(texts(&world, "SELECT name FROM tasks").len(), acknowledged.len(), "{failure}");
    world.conveyor(&["tasks"]).ok();

    let unlimited = Rlimit { current: None, maximum: None };
    prlimit(Some(Pid::from_child(&supervisor.process)), Resource::Fsize, unlimited).unwrap();
    create(&world, "after").ok();
    acknowledged.push("after".to_owned());
    acknowledged.sort();
    assert_eq!(texts(&world, "SELECT name FROM tasks ORDER BY name"), acknowledged);
    assert_eq!(texts(&world, "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(status(&world).unwrap()["pid"], supervisor.pid());
}

#[test]
fn a_command_whose_disk_fails_says_so_stores_nothing_and_can_be_repeated() {
    let world = World::new();
    create(&world, "before").ok();
    for (trouble, says, hint) in [
        ("full", "full", "free some space"),
        ("ioerr", "disk I/O error", "conveyor db-doctor"),
        ("busy", "locked", "another process held it"),
    ] {
        let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
        command.env("CONVEYOR_FAULT", format!("store.commit:1-99={trouble}"));
        let failed = Run::of(command.args(["tasks", "--create", trouble, "--goal", "g"]), "").exits(1);
        assert!(failed.stderr.contains(says) && failed.stderr.contains(hint), "{}", failed.text());
        assert!(!texts(&world, "SELECT name FROM tasks").contains(&trouble.to_owned()));
        create(&world, trouble).ok();
        assert!(texts(&world, "SELECT name FROM tasks").contains(&trouble.to_owned()));
    }
}

#[test]
fn a_fault_that_there_is_not_is_refused() {
    let world = World::new();
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    let refused = Run::of(command.env("CONVEYOR_FAULT", "store.comit").arg("tasks"), "").exits(2);
    assert!(refused.stderr.contains("there is no point \"store.comit\""), "{}", refused.text());
    assert!(refused.stderr.contains("hint: unset CONVEYOR_FAULT"), "{}", refused.text());
}
