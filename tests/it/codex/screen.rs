//! The classes of a real session's screen, and what its rollout tells meanwhile.

use crate::support::codex::rollouts;
use crate::support::model::{escalate, fail, fail_first, hold, say};
use crate::support::wait::PATIENCE;
use crate::support::{Script, Terminal, World, wait_for};
use conveyor::codex::pane;
use conveyor::codex::rollout::{ReadLimits, RolloutReader, SessionMeta, TurnChange, TurnSignal, TurnTracker};
use std::path::Path;

/// Waits until the screen alone has `class`.
#[track_caller]
fn becomes(terminal: &Terminal<'_>, class: &str) {
    wait_for(class, PATIENCE, || (pane::classify(&terminal.screen(), None).as_str() == class).then_some(()));
}

#[track_caller]
fn draft_becomes(terminal: &Terminal<'_>, draft: &str) {
    wait_for(draft, PATIENCE, || {
        (pane::composer_text(&terminal.screen()).as_deref() == Some(draft)).then_some(())
    });
}

/// The outcomes of a finished rollout's turns, and the turn still open.
fn outcomes(path: &Path) -> (Vec<String>, bool) {
    let mut reader = RolloutReader::open(path, 0, ReadLimits::default()).unwrap();
    let mut tracker = TurnTracker::default();
    let batch = reader.next_batch().unwrap();
    assert!(batch.at_end && batch.skipped_lines == 0, "{batch:?}");
    let mut outcomes = Vec::new();
    for parsed in &batch.lines {
        let change = TurnSignal::of(&parsed.line).and_then(|signal| tracker.apply(parsed.offset, signal));
        if let Some(TurnChange::Ended(end)) = change {
            outcomes.push(end.outcome.to_string());
        }
    }
    (outcomes, tracker.open().is_some())
}

#[test]
fn a_session_is_seen_at_rest_at_work_asking_and_failing() {
    // Codex asks five times before its screen says that it tries again.
    let flaky = [fail_first(6, 500), say("at last")];
    let script = Script::new()
        .on("held", [hold("gate"), say("released reply")])
        .on("escalated", [escalate("true"), say("allowed reply")])
        .on("refused", [fail(400)])
        .on("flaky", flaky);
    let world = World::with_codex(script);
    let terminal = Terminal::start(&world, "tui", &world.work_dir("tui"), "-s workspace-write -a on-request");
    becomes(&terminal, "idle");
    draft_becomes(&terminal, "");

    terminal.submit("please be held");
    becomes(&terminal, "working");
    terminal.press("d");
    draft_becomes(&terminal, "d");
    terminal.press("BSpace");
    draft_becomes(&terminal, "");
    world.model().release("gate");
    becomes(&terminal, "idle");

    terminal.submit("something escalated");
    becomes(&terminal, "blocked:approval");
    assert_eq!(pane::composer_text(&terminal.screen()), None);
    terminal.press("Escape");
    becomes(&terminal, "idle");

    terminal.submit("this is refused");
    becomes(&terminal, "idle:error");
    terminal.submit("something flaky");
    becomes(&terminal, "working:retrying");
    becomes(&terminal, "idle");

    terminal.press("!");
    draft_becomes(&terminal, "!");
    terminal.press("BSpace");
    draft_becomes(&terminal, "");

    let path = rollouts(&world.codex_home()).pop().unwrap();
    let (outcomes, open) = outcomes(&path);
    assert_eq!(outcomes, ["completed", "interrupted", "failed", "completed"]);
    assert!(!open);
    assert_eq!(SessionMeta::read(&path).unwrap().cwd.as_deref(), world.work_dir("tui").to_str());
}
