//! Conditions that somebody waits for: whose, since when, and whether they are met.

mod check;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bindings::{self, BoundTask};
use super::following::BoundSessions;
use super::sessions::{self, LinkedSession, Session};
use super::{Query, StoreError, turn_facts};
use crate::domain::time::now_iso;
use crate::domain::{Condition, Failure, Role};

pub use check::CheckConditions;

/// Who and what is waited for.
#[derive(Debug, Clone)]
pub struct PlanWait {
    /// Tasks, by name or id.
    pub tasks: Vec<String>,
    /// Sessions, by name or id. Without tasks and sessions: every bound task.
    pub sessions: Vec<String>,
    /// What for. Any of them will do.
    pub conditions: Vec<Condition>,
    /// From when on.
    pub since: Since,
}

/// From when on something counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Since {
    /// Turns: from now on. Everything else: also what is so already.
    #[default]
    Usual,
    /// From now on.
    Now,
    /// After this rollout event was read.
    Event(i64),
}

/// What to look for, and where.
#[derive(Debug, Clone)]
pub struct WaitPlan {
    /// Each is met by any of its conditions.
    pub targets: Vec<Target>,
    /// The sessions of all targets.
    pub sessions: Vec<LinkedSession>,
    /// Those of them that are bound: a supervisor attends to them.
    pub bound: Vec<String>,
    pub(super) floor: Floor,
}

/// A task or a session that is waited for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// The name of the task, when it is one.
    pub task: Option<String>,
    /// What is looked for, and of which session.
    pub(super) looks: Vec<(Condition, Session)>,
}

/// What happened up to here does not count.
#[derive(Debug, Clone, Default)]
pub(super) struct Floor {
    /// The newest turn fact that does not count, when turns are counted by these.
    pub(super) turn_fact: Option<i64>,
    /// The newest event that does not count, when turns are counted by these.
    pub(super) event: Option<i64>,
    /// What is so since before this instant does not count.
    pub(super) at: Option<String>,
}

/// A condition that is met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Met {
    /// Which.
    pub condition: Condition,
    /// The session it is about.
    pub session: String,
    /// The task that was waited for, when it was one.
    pub task: Option<String>,
    /// The turn, the inbox, the delivery, the exit or the wait.
    pub object: Value,
}

impl Query for PlanWait {
    type Out = WaitPlan;

    /// # Errors
    /// `NotFound` for an unknown name, `Refused` for a task that is not bound.
    fn run(self, conn: &Connection) -> Result<WaitPlan, StoreError> {
        let floor = self.floor(conn)?;
        let bound: Vec<String> = BoundSessions.run(conn)?.into_iter().map(|bound| bound.session.id).collect();
        let mut targets = Vec::new();
        for task in &self.tasks {
            targets.push(self.of_task(bindings::bound_task(conn, task)?));
        }
        for session in &self.sessions {
            targets.push(self.of_session(sessions::get(conn, session)?));
        }
        if self.tasks.is_empty() && self.sessions.is_empty() {
            for task in live_tasks(conn)? {
                targets.push(self.of_task(bindings::bound_task(conn, &task)?));
            }
        }
        if targets.is_empty() {
            return Err(Failure::refused("nothing is bound, so there is nothing to wait for")
                .hint("name a session with --session, or bind a task: `conveyor bind --help`")
                .into());
        }
        let mut sessions: Vec<LinkedSession> = Vec::new();
        for (_, session) in targets.iter().flat_map(|target| &target.looks) {
            if !sessions.iter().any(|known| known.session.id == session.id) {
                sessions.push(sessions::linked(conn, session.clone())?);
            }
        }
        Ok(WaitPlan { targets, sessions, bound, floor })
    }
}

impl PlanWait {
    /// A task's turns are its worker's, and its inbox is its manager's.
    fn of_task(&self, bound: BoundTask) -> Target {
        let sides = |condition: Condition| match condition {
            Condition::TurnEnd => vec![Role::Worker],
            Condition::Inbox => vec![Role::Manager],
            Condition::Delivery | Condition::Exit | Condition::Approval => vec![Role::Worker, Role::Manager],
        };
        let session = |role: Role| match role {
            Role::Worker => bound.worker.clone(),
            Role::Manager => bound.manager.clone(),
        };
        let looks = self
            .conditions
            .iter()
            .flat_map(|condition| sides(*condition).into_iter().map(|role| (*condition, session(role))));
        Target { name: bound.task.name.clone(), task: Some(bound.task.name.clone()), looks: looks.collect() }
    }

    fn of_session(&self, session: Session) -> Target {
        let looks = self.conditions.iter().map(|condition| (*condition, session.clone())).collect();
        Target { name: session.name, task: None, looks }
    }

    fn floor(&self, conn: &Connection) -> Result<Floor, StoreError> {
        Ok(match self.since {
            Since::Usual => Floor { turn_fact: Some(turn_facts::newest_id(conn)?), ..Floor::default() },
            Since::Now => {
                Floor { turn_fact: Some(turn_facts::newest_id(conn)?), at: Some(now_iso()), event: None }
            }
            Since::Event(id) => Floor { turn_fact: None, event: Some(id), at: Some(read_at(conn, id)?) },
        })
    }
}

/// When the newest event up to `id` was read.
fn read_at(conn: &Connection, id: i64) -> Result<String, StoreError> {
    let at = conn
        .prepare_cached("SELECT ingested_at FROM codex_events WHERE id <= ?1 ORDER BY id DESC LIMIT 1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(at.unwrap_or_default())
}

fn live_tasks(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let tasks = conn
        .prepare_cached(
            "SELECT task_id FROM bindings WHERE state IN ('active', 'ending')
               AND worker_session_id IS NOT NULL AND manager_session_id IS NOT NULL ORDER BY created_at, id",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(tasks)
}
