//! Many clients at once, and a supervisor that is killed among them.

use super::*;
use std::thread;

const COMMANDS: usize = 32;

#[test]
fn thirty_two_commands_at_once_all_do_what_they_say() {
    for supervised in [false, true] {
        let world = World::new();
        let _supervisor = supervised.then(|| Supervisor::start(&world));
        thread::scope(|scope| {
            for number in 0..COMMANDS {
                let world = &world;
                scope.spawn(move || create(world, &format!("t-{number}")).ok());
            }
        });
        assert_eq!(texts(&world, "SELECT name FROM tasks").len(), COMMANDS, "supervised: {supervised}");
        let check = "PRAGMA integrity_check";
        assert_eq!(texts(&world, check), ["ok"]);
    }
}

#[test]
fn of_the_same_task_created_by_all_at_once_there_is_one() {
    let world = World::new();
    let created = thread::scope(|scope| {
        let commands: Vec<_> = (0..8).map(|_| scope.spawn(|| create(&world, "t1").status)).collect();
        commands.into_iter().map(|one| one.join().unwrap()).filter(|status| *status == Some(0)).count()
    });
    assert_eq!(created, 1);
}

/// Creates tasks, one after the other, until the supervisor is gone; gives those it was told are
/// there.
fn create_until_killed(world: &World, client: usize) -> Vec<String> {
    let mut connection = Client::connect(world);
    let mut acknowledged = Vec::new();
    for count in 0.. {
        let name = format!("t-{client}-{count}");
        match connection.create(&name, "be counted") {
            Ok(Answer::Done { .. }) => acknowledged.push(name),
            Ok(other) => panic!("{other:?}"),
            Err(_) => break,
        }
    }
    acknowledged
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    const CLIENTS: usize = 8;
    let world = World::new();
    for round in 1..=3 {
        let mut supervisor = Supervisor::start(&world);
        let begun = texts(&world, "SELECT name FROM tasks").len();
        let acknowledged: Vec<String> = thread::scope(|scope| {
            let world = &world;
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| scope.spawn(move || create_until_killed(world, 100 * round + client)))
                .collect();
            wait_for("some work", PATIENCE, || {
                (texts(world, "SELECT name FROM tasks").len() >= begun + 50).then_some(())
            });
            supervisor.kill();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        let kept = texts(&world, "SELECT name FROM tasks");
        let lost: Vec<_> = acknowledged.iter().filter(|name| !kept.contains(name)).collect();
        assert!(lost.is_empty(), "{lost:?} of {}", acknowledged.len());
        assert!(acknowledged.len() >= 50 - CLIENTS, "{}", acknowledged.len());
        assert_eq!(texts(&world, "PRAGMA integrity_check"), ["ok"]);
    }
}
