//! A push into a terminal that is killed between the text and its Enter.

use super::{Way, way};
use crate::supervisor::{Supervisor, open, texts};
use crate::support::model::say;
use crate::support::wait::{PATIENCE, poll};
use crate::support::{Script, World, wait_for};
use conveyor::fault::Point;

const START: [&str; 6] = ["start-worker", "--name", "w", "--timeout-seconds", "120", "--transport"];

#[test]
fn a_text_that_stands_typed_is_shown_and_submitted_before_the_next_one() {
    let point = Point::ALL.iter().copied().find(|point| way(*point) == Way::Terminal).unwrap();
    let world = World::with_codex(Script::new().on("first", [say("One.")]).on("second", [say("Two.")]));
    world.conveyor_in(&world.work_dir("w"), &[&START[..], &["tmux"]].concat(), "").ok();
    world.conveyor(&["tasks", "--create", "t", "--goal", "be told"]).ok();
    let manager = crate::support::rollout::Rollout::create(&world.codex_home(), world.root()).unwrap();
    let rollout = manager.path.to_str().unwrap();
    world.conveyor(&["register-manager", "--name", "m", "--codex-session", rollout]).ok();
    world.conveyor(&["bind", "--task", "t", "--worker", "w", "--manager", "m"]).ok();

    let mut supervisor = Supervisor::suffering(&world, point.name());
    world.conveyor(&["enqueue-nudge-worker", "t", "--message", "first"]).ok();
    assert_eq!(supervisor.ends(), None, "{}", supervisor.said());
    assert!(world.pane("codex-w").contains("first"), "{}", world.pane("codex-w"));

    let survivor = Supervisor::start(&world);
    let over = "UPDATE commands SET claim_expires_at = '2026-01-01T00:00:00.000Z' WHERE state = 'attempted'";
    open(&world).execute(over, []).unwrap();
    let states = || texts(&world, "SELECT state FROM deliveries WHERE transport = 'tmux' ORDER BY id");
    wait_for("the doubt", PATIENCE, || (states() == ["unknown"]).then_some(()));
    let shown = world.conveyor(&["deliveries", "--state", "unknown", "--json"]).ok().json();
    assert_eq!(shown.as_array().unwrap().len(), 1, "{shown}");

    world.conveyor(&["enqueue-nudge-worker", "t", "--message", "second"]).ok();
    let both = poll(PATIENCE, || (states() == ["observed", "observed"]).then_some(()));
    assert!(both.is_some(), "{}\n{}", world.conveyor(&["deliveries"]).text(), survivor.said());
    let heard: Vec<String> = world.model().requests().into_iter().map(|request| request.user).collect();
    assert!(heard.iter().filter(|text| text.ends_with("first")).count() == 1, "{heard:?}");
    drop(survivor.stop());
}
