//! The program is killed, at every named point and at any instant, and nothing is lost or doubled.
//!
//! `CONVEYOR_CRASH_SECONDS` says for how long it is killed at random, `CONVEYOR_CRASH_SEED` how.

mod chance;
mod closing;
mod codex;
mod launch;
mod leases;
mod rules;
mod scene;
mod terminal;

use crate::supervisor::texts;
use crate::support::wait::{PATIENCE, poll};
use chance::Chance;
use conveyor::fault::Point;
use scene::{Scene, TASKS};
use std::time::{Duration, Instant};

/// How a point is come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By a supervisor with everything there is to do.
    Supervisor,
    /// By a supervisor whose dispatcher panics.
    Panic,
    /// By starting a session.
    Launch,
    /// By a push into a terminal.
    Terminal,
    /// By closing a task.
    Closing,
}

fn way(point: Point) -> Way {
    match point {
        Point::StoreBegin
        | Point::StoreCommit
        | Point::StoreCommitted
        | Point::RolloutRead
        | Point::FactStored
        | Point::DispatchClaimed
        | Point::PushStarted
        | Point::PushMade
        | Point::InboxTaken
        | Point::InboxAcknowledged
        | Point::GatewayReply => Way::Supervisor,
        Point::GuardianRestart => Way::Panic,
        Point::LaunchPlanned | Point::LaunchStarted | Point::LaunchRegistered => Way::Launch,
        Point::PushTyped => Way::Terminal,
        Point::ClosingBegun | Point::ClosingEnded => Way::Closing,
    }
}

/// Everything that a supervisor does is asked for.
fn everything_happens(scene: &mut Scene, chance: &mut Chance) {
    for task in 0..TASKS.len() {
        scene.turn(task, chance);
        scene.enqueue(task);
    }
}

/// Kills a supervisor by `faults` while everything happens.
#[track_caller]
fn killed_by(scene: &mut Scene, chance: &mut Chance, faults: &str) {
    let mut supervisor = scene.supervisor(faults);
    everything_happens(scene, chance);
    let ended = poll(PATIENCE, || {
        scene.read_inbox();
        supervisor.process.try_wait().unwrap()
    });
    let ended = ended.unwrap_or_else(|| panic!("{faults} does not happen\n{}", supervisor.said()));
    assert_eq!(ended.code(), None, "{faults}: {}", supervisor.said());
    scene.kills += 1;
}

#[test]
fn a_supervisor_is_killed_at_every_point_it_comes_to() {
    let (mut scene, mut chance) = (Scene::new(), Chance::new(1));
    for point in Point::ALL.iter().filter(|point| way(**point) == Way::Supervisor) {
        for time in 1..=2 {
            killed_by(&mut scene, &mut chance, &format!("{}:{time}", point.name()));
        }
        scene.comes_to_rest();
        rules::hold(&scene);
    }
}

#[test]
fn a_command_whose_answer_was_cut_off_says_so_and_is_not_repeated() {
    let scene = Scene::new();
    let mut supervisor = scene.supervisor(Point::GatewayReply.name());
    let enqueue = ["enqueue-nudge-worker", TASKS[0], "--message", "go on"];
    let cut_off = scene.world.conveyor(&enqueue).exits(1);
    assert!(cut_off.stderr.contains("may have been carried out"), "{}", cut_off.text());
    assert!(cut_off.stderr.contains("look whether it has before repeating it"), "{}", cut_off.text());
    assert_eq!(supervisor.ends(), None);
    assert_eq!(texts(&scene.world, "SELECT id FROM commands").len(), 1);
}

#[test]
fn a_dispatcher_that_panicked_is_replaced_also_after_a_kill_in_between() {
    let (mut scene, mut chance) = (Scene::new(), Chance::new(2));
    let panics = format!("{}=panic", Point::DispatchClaimed.name());
    killed_by(&mut scene, &mut chance, &format!("{panics},{}", Point::GuardianRestart.name()));
    let survivor = scene.supervisor(&panics);
    everything_happens(&mut scene, &mut chance);
    let panicked = poll(PATIENCE, || survivor.said().contains("an actor panicked").then_some(()));
    assert!(panicked.is_some(), "{}", survivor.said());
    drop(survivor.stop());
    scene.comes_to_rest();
    rules::hold(&scene);
}

/// What the disk, or another process, does to the store.
const TROUBLES: [&str; 3] = ["full", "ioerr", "busy"];

#[test]
fn a_supervisor_outlives_what_its_disk_does_and_loses_nothing() {
    for trouble in TROUBLES {
        let (mut scene, mut chance) = (Scene::new(), Chance::new(4));
        let supervisor = scene.supervisor(&format!("{}:2-20={trouble}", Point::StoreCommit.name()));
        everything_happens(&mut scene, &mut chance);
        scene.rests_with(&supervisor);
        assert!(supervisor.said().contains("the batch was not written"), "{}", supervisor.said());
        drop(supervisor.stop());
        rules::hold(&scene);
    }
}

/// Rounds of killing at random, when no time is given.
const ROUNDS: usize = 25;

#[test]
#[allow(clippy::print_stderr, reason = "who soaks wants to know how much was tried")]
fn a_supervisor_is_killed_at_any_instant() {
    let seed = from_env("CONVEYOR_CRASH_SEED").unwrap_or(3);
    let seconds = from_env("CONVEYOR_CRASH_SECONDS");
    let begun = Instant::now();
    let goes_on = |round: usize| match seconds {
        Some(seconds) => begun.elapsed() < Duration::from_secs(seconds),
        None => round < ROUNDS,
    };
    let (mut chance, mut done, mut kills, mut faults) = (Chance::new(seed), 0, 0, 0);
    while goes_on(done) {
        let mut scene = Scene::new();
        for _ in 0..ROUNDS {
            killed_at_random(&mut scene, &mut chance);
            done += 1;
        }
        scene.comes_to_rest();
        rules::hold(&scene);
        scene.settle_what_never_came();
        scene.comes_to_rest();
        rules::hold(&scene);
        kills += scene.kills;
        faults += scene.faults;
    }
    eprintln!("crash: {kills} kills, {faults} injected faults, {done} crash rounds");
}

/// A supervisor works until it is killed, after a random time or by a random fault.
fn killed_at_random(scene: &mut Scene, chance: &mut Chance) {
    let points: Vec<Point> =
        Point::ALL.iter().copied().filter(|point| way(*point) == Way::Supervisor).collect();
    let faults = match chance.below(4) {
        0 => String::new(),
        1 => {
            let (first, trouble) = (1 + chance.below(8), TROUBLES[chance.below(TROUBLES.len())]);
            format!("{}:{first}-{}={trouble}", Point::StoreCommit.name(), first + chance.below(8))
        }
        _ => format!("{}:{}", points[chance.below(points.len())].name(), 1 + chance.below(6)),
    };
    if chance.below(4) == 0 {
        return serves_itself_at_random(scene, chance, &faults);
    }
    let mut supervisor = scene.supervisor(&faults);
    for _ in 0..1 + chance.below(5) {
        match chance.below(5) {
            4 => scene.nudge(),
            0 => scene.enqueue(chance.below(TASKS.len())),
            1 => drop(scene.read_inbox()),
            _ => scene.turn(chance.below(TASKS.len()), chance),
        }
    }
    if chance.below(3) == 0 {
        scene.time_passes();
    }
    let patience = Duration::from_millis(chance.below(120) as u64);
    let fell = poll(patience, || supervisor.process.try_wait().unwrap()).is_some();
    if !fell {
        supervisor.kill();
    }
    scene.kills += 1;
    scene.faults += usize::from(fell || faults.contains('='));
}

/// Commands without a supervisor do the same, and are killed likewise.
fn serves_itself_at_random(scene: &mut Scene, chance: &mut Chance, faults: &str) {
    const COMMANDS: [&[&str]; 4] = [
        &["ingest", "pushed-worker"],
        &["ingest", "polled-worker"],
        &["ingest", "pushed-manager"],
        &["dispatch", "--once"],
    ];
    scene.turn(chance.below(TASKS.len()), chance);
    for _ in 0..1 + chance.below(4) {
        let patience = Duration::from_millis(chance.below(100) as u64);
        scene.serves_itself(COMMANDS[chance.below(COMMANDS.len())], faults, patience);
    }
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect(name))
}
