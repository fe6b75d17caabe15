//! The promise, held against everything that can happen: a completion is never missed, never
//! invented, never doubled, and "delivered" means that the other session was seen to receive it.
//!
//! Sessions write rollouts, processes read them and dispatch, readers take items from mailboxes,
//! people nudge and settle, and any process is killed at any time, in random order, on a real
//! database and real files. After every change, [`rules`] compares what the database says with what
//! the sessions really wrote and what really left ([`stage`]). At the end of each story everything
//! that is still on its way must get there, or be shown as unknown ([`end`]).
//!
//! `CONVEYOR_MODEL_STEPS` says how long a story may be, `CONVEYOR_MODEL_SECONDS` for how long stories
//! are told.

mod dispatching;
mod end;
mod ledger;
mod mailbox;
mod moving;
mod play;
mod reading;
mod rules;
mod stage;
mod step;
mod thread;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use proptest::test_runner::{Config, TestError, TestRunner};

use crate::domain::DeliveryState::{self, Claimed, Failed, Observed, Sent, Started, Unknown};
use stage::{Stage, Tally};
use step::Move;

/// Stories of one round. Nearly always enough for each move below to be made.
const STORIES: u32 = 64;

/// A move that is not made in as many rounds is not made any more.
const ENOUGH_ROUNDS: usize = 5;

/// How long a story that fails is made shorter: less than a test may take.
const SHRINK_MILLISECONDS: u32 = 60_000;

const STEPS: usize = 150;

/// Every way from state to state that there is.
const MOVES: [(Option<DeliveryState>, DeliveryState); 12] = [
    (None, Claimed),
    (None, Sent),
    (Some(Claimed), Started),
    (Some(Claimed), Failed),
    (Some(Started), Sent),
    (Some(Started), Observed),
    (Some(Started), Failed),
    (Some(Started), Unknown),
    (Some(Sent), Observed),
    (Some(Sent), Unknown),
    (Some(Unknown), Observed),
    (Some(Unknown), Failed),
];

#[test]
fn the_rules_hold_in_every_story() {
    let steps = from_env("CONVEYOR_MODEL_STEPS").unwrap_or(STEPS);
    let end = Instant::now() + Duration::from_secs(from_env("CONVEYOR_MODEL_SECONDS").unwrap_or(0) as u64);
    let tally = RefCell::new(Tally::default());
    for round in 1.. {
        tell_stories(steps, &tally);
        let missing = missing_moves(&tally.borrow());
        assert!(missing.is_empty() || round < ENOUGH_ROUNDS, "nothing moved so: {missing:?}");
        if missing.is_empty() && Instant::now() >= end {
            break;
        }
    }
    let tally = tally.into_inner();
    assert_eq!(tally.moves.len(), MOVES.len(), "{:?}", tally.moves);
    say(&tally);
}

/// The rare moves are left to chance, and chance is given more than one round.
fn missing_moves(tally: &Tally) -> Vec<(Option<DeliveryState>, DeliveryState)> {
    MOVES.into_iter().filter(|made| !tally.moves.contains_key(made)).collect()
}

fn tell_stories(steps: usize, tally: &RefCell<Tally>) {
    let config = Config {
        cases: STORIES,
        max_shrink_iters: 10_000,
        max_shrink_time: SHRINK_MILLISECONDS,
        failure_persistence: None,
        ..Config::default()
    };
    let told = TestRunner::new(config).run(&step::stories(steps), |story| {
        tally.borrow_mut().add(&tell(story));
        Ok(())
    });
    match told {
        Ok(()) => {}
        Err(TestError::Fail(reason, story)) => panic!("{reason}\nafter\n{}", lines(&story)),
        Err(aborted) => panic!("{aborted}"),
    }
}

/// Plays a story and holds it to the rules.
fn tell(story: Vec<Move>) -> Tally {
    let mut stage = Stage::new();
    for next in story {
        stage.play(next);
    }
    end::everything_gets_there(&mut stage);
    stage.tally
}

fn lines(story: &[Move]) -> String {
    story.iter().map(|next| format!("{next:?}\n")).collect()
}

fn from_env(name: &str) -> Option<usize> {
    std::env::var(name).ok().map(|value| value.parse().expect(name))
}

#[allow(clippy::print_stderr, reason = "who soaks wants to know how much was tried")]
fn say(tally: &Tally) {
    let Tally { stories, changes, kills, moves } = tally;
    eprintln!(
        "model: {stories} stories, {changes} changes, {kills} kills, {} moves of deliveries",
        moves.values().sum::<usize>()
    );
}
