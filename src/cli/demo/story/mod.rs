//! The stories: every step is waited for, and a demonstration succeeds only when all were seen.

mod codex;
mod scripted;
mod setting;

use serde_json::{Value, json};

use super::stage::Stage;
use super::timeline::{Timeline, Who};
use super::wait::until;
use crate::domain::Failure;

/// What the worker writes.
const WORK: &str = "haiku.txt";

/// What tells the manager that the worker's turn has ended.
const COMPLETION: &str = "worker_task_complete";

/// Plays everything on a stage that was set for `task`.
///
/// # Errors
/// The first step that was not seen, and what was seen instead.
pub(super) fn play(stage: &Stage, timeline: &mut Timeline, task: &str) -> Result<(), Failure> {
    setting::supervisor(stage, timeline)?;
    match stage.cast.codex {
        true => codex::play(stage, timeline, task)?,
        false => scripted::play(stage, timeline, task)?,
    }
    work(stage, timeline)?;
    deliveries(stage, timeline)?;
    done(stage, timeline, task)?;
    stop(stage, timeline)
}

/// What came out of it all.
fn work(stage: &Stage, timeline: &mut Timeline) -> Result<(), Failure> {
    let file = stage.scene.work().join(WORK);
    let haiku = std::fs::read_to_string(&file)
        .map_err(|error| Failure::external(format!("failed to read {}: {error}", file.display())))?;
    if haiku.lines().filter(|line| !line.trim().is_empty()).count() != 3 {
        return Err(Failure::external(format!("{WORK} is no haiku: {haiku:?}")));
    }
    timeline.step("work_seen", Who::You, format!("$ cat {WORK}\n{}", haiku.trim_end()))
}

/// Every text that was sent is known to have arrived: two for each side at least.
fn deliveries(stage: &Stage, timeline: &mut Timeline) -> Result<(), Failure> {
    let all = until("every delivery to be observed", stage.patience, || {
        let all = stage.conveyor(&["deliveries"])?;
        let all = all.as_array().cloned().unwrap_or_default();
        Ok(all.iter().all(|delivery| delivery["state"] == "observed").then_some(all))
    })?;
    let count = all.len();
    check(count >= 4, "not every delivery is on record", &json!(all))?;
    let text = format!("$ conveyor deliveries\n{count} sent, {count} observed");
    timeline.step("deliveries_observed", Who::You, text)
}

fn done(stage: &Stage, timeline: &mut Timeline, task: &str) -> Result<(), Failure> {
    let tasks = stage.conveyor(&["tasks"])?;
    check(tasks[0]["name"] == task && tasks[0]["state"] == "done", "the task is not done", &tasks)?;
    timeline.step("task_done", Who::You, format!("$ conveyor tasks\n{task} is done"))
}

/// The sessions that were started with commands end with commands.
fn stop(stage: &Stage, timeline: &mut Timeline) -> Result<(), Failure> {
    if stage.cast.codex {
        codex::stop_sessions(stage, timeline)?;
    }
    let stopped = stage.conveyor(&["run", "--stop"])?;
    check(stopped["stopped"] == true, "the supervisor did not stop", &stopped)?;
    timeline.step("supervisor_stopped", Who::You, "$ conveyor run --stop".to_owned())
}

fn check(holds: bool, else_failed: &str, seen: &Value) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::internal(format!("{else_failed}: {seen}"))) }
}
