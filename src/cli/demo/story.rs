//! The story: every step is waited for, and the demonstration succeeds only when all were seen.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::follow::{Follower, What};
use super::program;
use super::scene::session_name;
use super::setting;
use super::stage::Stage;
use super::timeline::{Timeline, Who};
use super::wait::until;
use crate::domain::header::OriginHeader;
use crate::domain::{Failure, Role};

const GOAL: &str = "Write a haiku about conveyor belts into haiku.txt.";

/// What the worker writes.
const WORK: &str = "haiku.txt";

/// Two prompts for the worker, two completions for the manager.
const DELIVERIES: usize = 4;

/// What tells the manager that the worker's turn has ended.
const COMPLETION: &str = "worker_task_complete";

/// Plays everything on a stage that was set for `task`.
///
/// # Errors
/// The first step that was not seen, and what was seen instead.
pub(super) fn play(stage: &Stage, timeline: &mut Timeline, task: &str, tmux: bool) -> Result<(), Failure> {
    setting::supervisor(stage, timeline)?;
    let worker = setting::register(stage, timeline, Role::Worker, tmux)?;
    let manager = setting::register(stage, timeline, Role::Manager, tmux)?;
    setting::bind(stage, timeline, task, GOAL)?;
    let mut story = Story { stage, timeline, task, tmux, worker, manager };
    story.prompt()?;
    let ended_at = story.worker_turn("prompt_arrived", "first_turn_ended")?;
    story.delivery("first_delivery_arrived", ended_at)?;
    story.cycle("first_cycle")?;
    story.manager_runs("criterion_accepted", "conveyor criteria")?;
    story.manager_runs(
        "nudge_sent",
        if tmux { "conveyor session-nudge" } else { "conveyor enqueue-nudge-worker" },
    )?;
    let ended_at = story.worker_turn("nudge_arrived", "second_turn_ended")?;
    story.delivery("second_delivery_arrived", ended_at)?;
    story.cycle("second_cycle")?;
    story.manager_runs("criterion_satisfied", "conveyor criteria")?;
    story.manager_runs("task_finished", "conveyor finish-task")?;
    story.manager_rests()?;
    story.work()?;
    story.deliveries()?;
    story.settle()
}

/// The part in which the sessions act.
struct Story<'a> {
    stage: &'a Stage,
    timeline: &'a mut Timeline,
    task: &'a str,
    tmux: bool,
    worker: Follower,
    manager: Follower,
}

impl Story<'_> {
    /// The person at the keyboard tells the worker what to do.
    fn prompt(&mut self) -> Result<(), Failure> {
        let worker = session_name(Role::Worker);
        let args = match self.tmux {
            true => vec!["session-nudge", &worker, GOAL],
            false => vec!["enqueue-nudge-worker", self.task, "--message", GOAL],
        };
        self.stage.conveyor(&args)?;
        self.timeline.step("prompt_sent", Who::You, format!("$ {}", program::command_line(&args)))
    }

    /// Gives when the turn ended.
    fn worker_turn(&mut self, arrived: &'static str, ended: &'static str) -> Result<Timestamp, Failure> {
        let (_, told) = self.worker.told("being told what to do")?;
        let body = OriginHeader::split(&told).map_or(told.as_str(), |(_, body)| body);
        self.timeline.step(arrived, Who::Worker, format!("reads: {}", body.trim()))?;
        let (at, said) = self.worker.wait_for("the end of its turn", |event| match &event.what {
            What::Ended(end) => Some((event.at, end.last_agent_message.clone().unwrap_or_default())),
            _ => None,
        })?;
        self.timeline.step(ended, Who::Worker, format!("says: {said}"))?;
        Ok(at)
    }

    /// The manager has been told: seen in its own rollout, not in what Dispatch says.
    fn delivery(&mut self, step: &'static str, ended_at: Timestamp) -> Result<(), Failure> {
        let (at, told) = self.manager.told("being told that the worker's turn has ended")?;
        let header = OriginHeader::split(&told).map(|(header, _)| header.kind);
        let way = match (self.tmux, header.as_deref()) {
            (true, Some(COMPLETION)) => "typed into its terminal",
            (false, None) => "taken from its mailbox",
            _ => return Err(Failure::internal(format!("the manager was told something else: {told}"))),
        };
        let latency_ms = at.duration_since(ended_at).as_millis();
        let first_line = told.lines().next().unwrap_or_default();
        let text = format!("{latency_ms} ms later the manager knows ({way})\n{first_line}");
        self.timeline.step(step, Who::Dispatch, text)
    }

    fn cycle(&mut self, step: &'static str) -> Result<(), Failure> {
        let (line, output) = self.manager.ran("conveyor cycle")?;
        let cycle: Value = serde_json::from_str(&output)
            .map_err(|error| Failure::internal(format!("`{line}` answered no JSON: {error}")))?;
        if cycle["task_completed"] != true || cycle["state"] != "idle" {
            return Err(Failure::internal(format!("`{line}` saw no completed turn: {output}")));
        }
        let text = format!("$ {line}\nthe worker is idle, its turn completed");
        self.timeline.step(step, Who::Manager, text)
    }

    fn manager_runs(&mut self, step: &'static str, command: &str) -> Result<(), Failure> {
        let (line, _) = self.manager.ran(command)?;
        self.timeline.step(step, Who::Manager, format!("$ {line}"))
    }

    fn manager_rests(&mut self) -> Result<(), Failure> {
        self.manager
            .wait_for("the end of its turn", |event| matches!(event.what, What::Ended(_)).then_some(()))
    }

    /// What came out of it all.
    fn work(&mut self) -> Result<(), Failure> {
        let file = self.stage.scene.work().join(WORK);
        let haiku = std::fs::read_to_string(&file)
            .map_err(|error| Failure::external(format!("failed to read {}: {error}", file.display())))?;
        if haiku.lines().count() != 3 {
            return Err(Failure::internal(format!("{WORK} is no haiku: {haiku:?}")));
        }
        self.timeline.step("work_seen", Who::You, format!("$ cat {WORK}\n{}", haiku.trim_end()))
    }

    /// Every text that was sent is known to have arrived.
    fn deliveries(&mut self) -> Result<(), Failure> {
        let deliveries = until("every delivery to be observed", self.stage.patience, || {
            let all = self.stage.conveyor(&["deliveries"])?;
            let all = all.as_array().cloned().unwrap_or_default();
            Ok(all.iter().all(|delivery| delivery["state"] == "observed").then_some(all))
        })?;
        check(deliveries.len() == DELIVERIES, "not every delivery is on record", &json!(deliveries))?;
        let text = format!("$ conveyor deliveries\n{DELIVERIES} sent, {DELIVERIES} observed");
        self.timeline.step("deliveries_observed", Who::You, text)
    }

    /// The task is done, and the supervisor goes when it is told to.
    fn settle(&mut self) -> Result<(), Failure> {
        let tasks = self.stage.conveyor(&["tasks"])?;
        check(tasks[0]["name"] == self.task && tasks[0]["state"] == "done", "the task is not done", &tasks)?;
        self.timeline.step("task_done", Who::You, format!("$ conveyor tasks\n{} is done", self.task))?;
        let stopped = self.stage.conveyor(&["run", "--stop"])?;
        check(stopped["stopped"] == true, "the supervisor did not stop", &stopped)?;
        self.timeline.step("supervisor_stopped", Who::You, "$ conveyor run --stop".to_owned())
    }
}

fn check(holds: bool, else_failed: &str, seen: &Value) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::internal(format!("{else_failed}: {seen}"))) }
}
