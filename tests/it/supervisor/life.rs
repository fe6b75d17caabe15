//! One supervisor per state root, from its start to its end.

use super::*;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;

#[test]
fn of_many_started_at_once_one_supervises_and_the_others_say_which() {
    let world = World::new();
    let mut started: Vec<Supervisor> = (0..6).map(|_| Supervisor::spawn(&world, &mut run(&world))).collect();
    let running = wait_for("a single one", PATIENCE, || {
        let running: Vec<u32> = started
            .iter_mut()
            .filter_map(|one| one.process.try_wait().unwrap().is_none().then(|| one.pid()))
            .collect();
        <[u32; 1]>::try_from(running).ok()
    });
    for loser in started.iter_mut().filter(|one| one.pid() != running[0]) {
        assert_eq!(loser.ends(), Some(1));
        let said = loser.said();
        assert!(said.contains("already supervised by process"), "{said}");
        assert!(said.contains(&running[0].to_string()) || said.contains("another process"), "{said}");
        assert!(said.contains("conveyor run --status"), "{said}");
    }
    wait_for("its socket", PATIENCE, || UnixStream::connect(socket(&world)).ok());
    assert_eq!(status(&world).unwrap()["pid"], running[0]);
}

#[test]
fn one_whose_state_root_was_removed_ends() {
    let world = World::new();
    let mut supervisor = Supervisor::start(&world);
    // It may be making a file in there right now.
    wait_for("the removal", PATIENCE, || fs::remove_dir_all(world.state_root()).ok());
    assert_eq!(supervisor.ends(), Some(0));
}

#[test]
fn one_that_nobody_finds_any_more_ends() {
    let world = World::new();
    let mut supervisor = Supervisor::start(&world);
    fs::rename(world.state_root().join("run"), world.root().join("elsewhere")).unwrap();
    assert_eq!(supervisor.ends(), Some(0));
    Supervisor::start(&world).stop();
}

#[test]
fn what_it_leaves_is_for_its_owner_alone() {
    let world = World::new();
    let root = world.state_root();
    let mode = |name: &str| fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o777;
    fs::create_dir(root.join("logs")).unwrap();
    let supervisor = Supervisor::start(&world);
    assert_eq!((mode("logs"), mode("run"), mode("workerctl.db")), (0o700, 0o700, 0o600));
    let lock = conveyor::actors::paths::Paths::of(&root, None).lock();
    assert_eq!(fs::metadata(&lock).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o644)).unwrap();
    supervisor.stop();
    Supervisor::start(&world).stop();
    assert_eq!(fs::metadata(&lock).unwrap().permissions().mode() & 0o777, 0o600, "one of an earlier version");
}

#[test]
fn it_is_started_in_the_background_asked_about_and_stopped() {
    let world = World::new();
    assert_eq!(status(&world), None);
    let first = world.conveyor(&["run", "--detach", "--dispatcher-id", "d-7", "--json"]).ok().json();
    assert_eq!((&first["started"], &first["supervisor"]["dispatcher_id"]), (&true.into(), &"d-7".into()));
    assert_eq!(status(&world).unwrap(), first["supervisor"]);
    let again = world.conveyor(&["run", "--detach", "--json"]).ok().json();
    assert_eq!((&again["started"], &again["supervisor"]), (&false.into(), &first["supervisor"]));
    create(&world, "t1").ok();

    let stopped = world.conveyor(&["run", "--stop", "--json"]).ok().json();
    assert_eq!(
        (&stopped["stopped"], &stopped["supervisor"]["pid"]),
        (&true.into(), &first["supervisor"]["pid"])
    );
    assert_eq!(status(&world), None);
    assert!(!socket(&world).exists());
    let nobody = world.conveyor(&["run", "--stop", "--json"]).ok().json();
    assert_eq!(nobody["stopped"], false);
    assert_eq!(texts(&world, "SELECT name FROM tasks"), ["t1"]);
}

#[test]
fn many_that_start_it_in_the_background_at_once_get_the_same_one() {
    let world = World::new();
    let pids: Vec<Value> = std::thread::scope(|scope| {
        let detach = || world.conveyor(&["run", "--detach", "--json"]).ok().json();
        let detached: Vec<_> = (0..6).map(|_| scope.spawn(detach)).collect();
        detached.into_iter().map(|one| one.join().unwrap()["supervisor"]["pid"].clone()).collect()
    });
    let alive = status(&world).unwrap();
    assert!(pids.iter().all(|pid| *pid == alive["pid"]), "{pids:?}, {alive}");
}

#[test]
fn a_signal_ends_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let world = World::new();
        let mut supervisor = Supervisor::start(&world);
        create(&world, "t1").ok();
        // A client that only waits does not hold it up.
        let mut waiting = world.command(env!("CARGO_BIN_EXE_conveyor"));
        waiting.args(["manager-inbox", "t1", "--wait", "--timeout", "3600"]);
        let mut waiting = waiting.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        supervisor.signal(signal);
        assert_eq!(supervisor.ends(), Some(0), "{}", supervisor.said());
        assert!(supervisor.said().contains("stopped"), "{}", supervisor.said());
        assert!(!socket(&world).exists());
        assert_eq!(status(&world), None);
        wait_for("the end of its client", PATIENCE, || waiting.try_wait().unwrap());
    }
}

#[test]
fn what_a_killed_one_leaves_is_in_nobodys_way() {
    let world = World::new();
    let mut killed = Supervisor::start(&world);
    create(&world, "t1").ok();
    killed.kill();
    assert!(socket(&world).exists(), "it had no time to remove it");
    assert_eq!(status(&world), None);
    create(&world, "t2").ok();

    let next = Supervisor::start(&world);
    assert_eq!(status(&world).unwrap()["pid"], next.pid());
    create(&world, "t3").ok();
    assert_eq!(texts(&world, "SELECT name FROM tasks ORDER BY name"), ["t1", "t2", "t3"]);
}

#[test]
fn a_fact_of_the_time_when_none_was_alive_is_routed_by_the_next() {
    let world = World::new();
    let mut killed = Supervisor::start(&world);
    let mut worker = at_once::bind_pair(&world, "t1");
    killed.kill();
    worker.begin("do it").unwrap();
    worker.complete("done").unwrap();
    let _next = Supervisor::start(&world);
    let inbox = world.conveyor(&["manager-inbox", "t1", "--consume-next", "--wait", "--json"]).ok().json();
    assert_eq!(inbox["consumed"]["signal_type"], "worker_task_complete");
}

#[test]
fn another_database_is_served_without_the_supervisor() {
    let world = World::new();
    let _supervisor = Supervisor::start(&world);
    create(&world, "here").ok();
    let other = world.root().join("other.db");
    let there = ["--path", other.to_str().unwrap(), "tasks", "--create", "there", "--goal", "be counted"];
    world.conveyor(&there).ok();
    assert_eq!(texts(&world, "SELECT name FROM tasks"), ["here"]);
    let in_other = "SELECT group_concat(name) FROM tasks";
    let names: String = Connection::open(other).unwrap().query_row(in_other, [], |row| row.get(0)).unwrap();
    assert_eq!(names, "there");
}

#[test]
fn who_is_waited_for_is_said_when_it_hangs() {
    let world = World::new();
    let supervisor = Supervisor::start(&world);
    supervisor.signal(Signal::STOP);
    let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
    let mut waiting = command
        .arg("tasks")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains(&format!("waiting for supervisor {}", supervisor.pid())), "{said}");
    supervisor.signal(Signal::CONT);
    assert!(waiting.wait().unwrap().success());
    supervisor.stop();
}
