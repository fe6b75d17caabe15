//! Bounded loops: what a pass leaves as evidence, and what lets the next one begin.

mod codex;
mod evidence;
mod executed;
mod templates;

use crate::support::World;
use serde_json::Value;

/// A world with the task `t1`, whose pair has no terminal, and its loop run `loop`.
fn with_loop(policy: &[&str]) -> World {
    let world = World::new();
    let create = ["create-disposable-binding", "t1", "--run-name", "loop", "--json"];
    world.conveyor(&[&create[..], policy].concat()).ok();
    world
}

/// Asks for a pass and lets Dispatch decide; gives its report.
fn request(world: &World, iteration: &str) -> Value {
    enqueue(world, iteration);
    world.conveyor(&["dispatch", "--once", "--json"]).ok().json()["processed"][0].take()
}

/// Asks for a pass.
fn enqueue(world: &World, iteration: &str) {
    let enqueue = ["enqueue-continue-iteration", "t1", "--loop-run", "loop", "--message", "go on"];
    world.conveyor(&[&enqueue[..], &["--requested-iteration", iteration]].concat()).ok();
}

/// `loop-evidence VERB` for the first pass.
fn evidence<'a>(verb: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["loop-evidence", verb, "t1", "--loop-run", "loop", "--iteration", "1"], rest].concat()
}

fn status(world: &World) -> Value {
    world.conveyor(&["loop-status", "t1", "--run", "loop", "--json"]).ok().json()
}
