//! The story with scripted sessions: who does what, and when, is known beforehand.

use jiff::Timestamp;
use serde_json::Value;

use super::{COMPLETION, setting};
use crate::cli::demo::event::What;
use crate::cli::demo::follow::Follower;
use crate::cli::demo::program;
use crate::cli::demo::scene::session_name;
use crate::cli::demo::stage::Stage;
use crate::cli::demo::timeline::{Timeline, Who};
use crate::domain::header::OriginHeader;
use crate::domain::{Failure, Role};

const GOAL: &str = "Write a haiku about conveyor belts into haiku.txt.";

pub(super) fn play(stage: &Stage, timeline: &mut Timeline, task: &str) -> Result<(), Failure> {
    let worker = setting::register(stage, timeline, Role::Worker)?;
    let manager = setting::register(stage, timeline, Role::Manager)?;
    setting::bind(stage, timeline, task, GOAL)?;
    let mut story = Story { stage, timeline, task, worker, manager };
    story.prompt()?;
    let ended_at = story.worker_turn("prompt_arrived", "first_turn_ended")?;
    story.delivery("first_delivery_arrived", ended_at)?;
    story.cycle("first_cycle")?;
    story.manager_runs("criterion_accepted", "criteria")?;
    story.manager_runs("nudge_sent", story.nudge_command())?;
    let ended_at = story.worker_turn("nudge_arrived", "second_turn_ended")?;
    story.delivery("second_delivery_arrived", ended_at)?;
    story.cycle("second_cycle")?;
    story.manager_runs("criterion_satisfied", "criteria")?;
    story.manager_runs("task_finished", "finish-task")?;
    story.manager_rests()
}

struct Story<'a> {
    stage: &'a Stage,
    timeline: &'a mut Timeline,
    task: &'a str,
    worker: Follower,
    manager: Follower,
}

impl Story<'_> {
    fn is_typed(&self) -> bool {
        !self.stage.cast.no_tmux
    }

    fn nudge_command(&self) -> &'static str {
        if self.is_typed() { "session-nudge" } else { "enqueue-nudge-worker" }
    }

    /// The person at the keyboard tells the worker what to do.
    fn prompt(&mut self) -> Result<(), Failure> {
        let worker = session_name(Role::Worker);
        let args = match self.is_typed() {
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
        let way = match (self.is_typed(), header.as_deref()) {
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
        let ran = self.manager.ran("cycle")?;
        let cycle: Value = serde_json::from_str(&ran.output)
            .map_err(|error| Failure::internal(format!("`{}` answered no JSON: {error}", ran.line)))?;
        if cycle["task_completed"] != true || cycle["state"] != "idle" {
            return Err(Failure::internal(format!("`{}` saw no completed turn: {}", ran.line, ran.output)));
        }
        let text = format!("$ {}\nthe worker is idle, its turn completed", ran.line);
        self.timeline.step(step, Who::Manager, text)
    }

    fn manager_runs(&mut self, step: &'static str, command: &str) -> Result<(), Failure> {
        let ran = self.manager.ran(command)?;
        self.timeline.step(step, Who::Manager, format!("$ {}", ran.line))
    }

    fn manager_rests(&mut self) -> Result<(), Failure> {
        self.manager
            .wait_for("the end of its turn", |event| matches!(event.what, What::Ended(_)).then_some(()))
    }
}
