//! The story with the real Codex: what the sessions do is up to their models, so everything they do
//! is told, and what has to happen is counted.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::{COMPLETION, WORK};
use crate::cli::demo::event::{Event, What};
use crate::cli::demo::follow::Follower;
use crate::cli::demo::scene::session_name;
use crate::cli::demo::stage::Stage;
use crate::cli::demo::timeline::{Timeline, Who};
use crate::cli::demo::wait::until;
use crate::domain::header::OriginHeader;
use crate::domain::printable::one_line;
use crate::domain::{Failure, Role};

/// Longer texts of a session are cut.
const SHOWN_CHARS: usize = 120;

pub(super) fn play(stage: &Stage, timeline: &mut Timeline, task: &str) -> Result<(), Failure> {
    let followers = pair(stage, timeline, task)?;
    let mut story = Story { stage, timeline, followers, unread: VecDeque::new(), tally: Tally::default() };
    for milestone in MILESTONES {
        story.wait_for(&milestone)?;
    }
    Ok(())
}

/// Starts both sessions and gives their rollouts.
fn pair(stage: &Stage, timeline: &mut Timeline, task: &str) -> Result<[Follower; 2], Failure> {
    let (worker, manager) = (session_name(Role::Worker), session_name(Role::Manager));
    let prompt = format!(
        "Write the first two lines of a haiku about conveyor belts into {WORK} in this directory, and nothing else. \
         Then end your turn; your manager will tell you how to go on."
    );
    let goal = format!("{WORK} holds a haiku about conveyor belts, of exactly three lines.");
    let objective = format!(
        "Look at {WORK} after each turn of the worker. While a line is missing, nudge the worker to write it. \
         Once there are three lines, finish the task."
    );
    let criterion = format!("{WORK} has exactly three lines");
    let work = stage.scene.work().to_string_lossy().into_owned();
    let args = [
        &["pair", "--task", task, "--worker-name", &worker, "--manager-name", &manager, "--cwd", &work][..],
        &["--task-goal", &goal, "--task-prompt", &prompt, "--manager-objective", &objective],
        &["--manager-acceptance", &criterion],
        &["--sandbox", "workspace-write", "--accept-trust", "--dispatcher-id", "dispatch-demo"],
    ]
    .concat();
    let args = if stage.cast.no_tmux { [&args[..], &["--no-tmux"]].concat() } else { args };
    stage.conveyor(&args)?;
    let line = format!("$ conveyor pair --task {task} --worker-name {worker} --manager-name {manager} …");
    timeline.step("pair_started", Who::You, line)?;
    Ok([follow(stage, Role::Worker)?, follow(stage, Role::Manager)?])
}

/// Follows a session as soon as its rollout is known.
fn follow(stage: &Stage, role: Role) -> Result<Follower, Failure> {
    let name = session_name(role);
    let rollout = until(&format!("the rollout of {name}"), stage.patience, || {
        let listed = stage.conveyor(&["sessions", "--name", &name, "--include-legacy"])?;
        Ok(listed[0]["codex_session_path"].as_str().map(PathBuf::from).filter(|path| path.is_file()))
    })?;
    Ok(Follower::new(role, rollout, stage.patience))
}

/// Ends the sessions that are still there.
pub(super) fn stop_sessions(stage: &Stage, timeline: &mut Timeline) -> Result<(), Failure> {
    for (role, step) in [(Role::Worker, "worker_stopped"), (Role::Manager, "manager_stopped")] {
        let name = session_name(role);
        let listed = stage.conveyor(&["sessions", "--name", &name, "--include-legacy"])?;
        // A manager may have ended both when it finished the task.
        if listed[0]["name"] == name.as_str() {
            stage.conveyor(&["stop", &name])?;
            timeline.step(step, Who::You, format!("$ conveyor stop {name}"))?;
        }
    }
    Ok(())
}

/// What has been seen so far.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    worker_turns: u32,
    nudges: u32,
    completions: u32,
    cycles: u32,
    finished: bool,
}

impl Tally {
    fn count(&mut self, role: Role, what: &What) {
        let kind = match what {
            What::Told(text) => OriginHeader::split(text).map(|(header, _)| header.kind),
            _ => None,
        };
        match (role, what) {
            (Role::Worker, What::Ended(_)) => self.worker_turns += 1,
            (Role::Worker, What::Told(_)) if self.worker_turns > 0 => self.nudges += 1,
            (Role::Manager, What::Told(_)) if kind.as_deref() == Some(COMPLETION) => self.completions += 1,
            (Role::Manager, What::Ran(ran)) if ran.runs("cycle") && !ran.failed => self.cycles += 1,
            (Role::Manager, What::Ran(ran)) if ran.runs("finish-task") && !ran.failed => self.finished = true,
            _ => {}
        }
    }
}

/// Something that has to happen. Once it has, it has: in whatever order the rollouts are read.
struct Milestone {
    step: &'static str,
    what: &'static str,
    reached: fn(&Tally) -> bool,
}

const MILESTONES: [Milestone; 7] = [
    Milestone {
        step: "first_turn_ended",
        what: "the end of the worker's first turn",
        reached: |tally| tally.worker_turns >= 1,
    },
    Milestone {
        step: "first_delivery_arrived",
        what: "the manager to be told of it",
        reached: |tally| tally.completions >= 1,
    },
    Milestone { step: "first_cycle", what: "the manager to look", reached: |tally| tally.cycles >= 1 },
    Milestone {
        step: "nudge_arrived",
        what: "the worker to be told how to go on",
        reached: |tally| tally.nudges >= 1,
    },
    Milestone {
        step: "second_turn_ended",
        what: "the end of the worker's second turn",
        reached: |tally| tally.worker_turns >= 2,
    },
    Milestone {
        step: "second_delivery_arrived",
        what: "the manager to be told of it",
        reached: |tally| tally.completions >= 2,
    },
    Milestone {
        step: "task_finished",
        what: "the manager to finish the task",
        reached: |tally| tally.finished,
    },
];

struct Story<'a> {
    stage: &'a Stage,
    timeline: &'a mut Timeline,
    followers: [Follower; 2],
    unread: VecDeque<(Role, Event)>,
    tally: Tally,
}

impl Story<'_> {
    /// Tells what happens until the milestone is reached.
    fn wait_for(&mut self, milestone: &Milestone) -> Result<(), Failure> {
        let reached = until(milestone.what, self.stage.patience, || {
            while !(milestone.reached)(&self.tally) {
                match self.next()? {
                    Some((role, event)) => self.tell(role, &event.what)?,
                    None => return Ok(None),
                }
            }
            Ok(Some(()))
        });
        reached.map_err(|failure| {
            let seen = self.followers.iter().map(Follower::last_seen);
            seen.fold(failure, Failure::hint)
        })
    }

    /// An event is a step when it is the one that reaches a milestone.
    fn tell(&mut self, role: Role, what: &What) -> Result<(), Failure> {
        let before = self.tally;
        self.tally.count(role, what);
        let is_new =
            |milestone: &&Milestone| (milestone.reached)(&self.tally) && !(milestone.reached)(&before);
        match MILESTONES.iter().find(is_new) {
            Some(milestone) => self.timeline.step(milestone.step, role.into(), shown(what)),
            None => self.timeline.note(role.into(), &shown(what)),
        }
    }

    /// The next event of either session, the older one first.
    fn next(&mut self) -> Result<Option<(Role, Event)>, Failure> {
        if self.unread.is_empty() {
            let mut events = Vec::new();
            for follower in &mut self.followers {
                while let Some(event) = follower.next()? {
                    events.push((follower.role, event));
                }
            }
            events.sort_by_key(|(_, event)| event.at);
            self.unread.extend(events);
        }
        Ok(self.unread.pop_front())
    }
}

impl From<Role> for Who {
    fn from(role: Role) -> Self {
        match role {
            Role::Worker => Self::Worker,
            Role::Manager => Self::Manager,
        }
    }
}

fn shown(what: &What) -> String {
    match what {
        What::Told(text) => {
            let body = OriginHeader::split(text).map_or(text.as_str(), |(_, body)| body);
            format!("reads: {}", brief(body))
        }
        What::Ran(ran) => {
            let mark = if ran.line.starts_with("tool ") { "calls the" } else { "$" };
            format!("{mark} {}{}", brief(&ran.line), if ran.failed { "   (failed)" } else { "" })
        }
        What::Ended(end) => format!("says: {}", brief(end.last_agent_message.as_deref().unwrap_or_default())),
    }
}

/// One line, not too long.
fn brief(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::event::Ran;
    use crate::codex::rollout::{RolloutLine, TurnSignal};

    fn told(kind: &str) -> What {
        What::Told(format!("[conveyor {kind} from=x id=d-1 n=1]\ntext"))
    }

    fn ran(line: &str, failed: bool) -> What {
        What::Ran(Ran { line: line.into(), failed, output: String::new() })
    }

    fn ended() -> What {
        let line = br#"{"type":"event_msg","payload":{"type":"task_complete"}}"#;
        match TurnSignal::of(&RolloutLine::parse(line).unwrap()) {
            Some(TurnSignal::Ended(end)) => What::Ended(end),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_has_to_happen_is_a_milestone() {
        let mut tally = Tally::default();
        let mut check = |role: Role, what: What, expect: Option<&str>| {
            let before = tally;
            tally.count(role, &what);
            let new = MILESTONES.iter().find(|one| (one.reached)(&tally) && !(one.reached)(&before));
            assert_eq!(new.map(|milestone| milestone.step), expect, "{what:?}");
        };
        let (worker, manager) = (Role::Worker, Role::Manager);
        check(worker, What::Told("the first prompt".into()), None);
        check(manager, What::Told("the briefing".into()), None);
        check(manager, ended(), None);
        check(worker, ended(), Some("first_turn_ended"));
        check(manager, told("notify_manager"), None);
        check(manager, told(COMPLETION), Some("first_delivery_arrived"));
        check(manager, ran("conveyor cycle t", true), None);
        check(manager, ran("tool cycle", false), Some("first_cycle"));
        check(manager, ran("conveyor cycle t", false), None);
        check(worker, told("nudge"), Some("nudge_arrived"));
        check(worker, ended(), Some("second_turn_ended"));
        check(manager, told(COMPLETION), Some("second_delivery_arrived"));
        check(manager, ran("conveyor finish-task t", true), None);
        check(manager, ran("conveyor finish-task t", false), Some("task_finished"));
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(brief("one\n\n two"), "one two");
        let cut = brief(&"é".repeat(200));
        assert_eq!(cut.chars().count(), SHOWN_CHARS + 1);
        assert!(cut.ends_with('…'));
    }
}
