//! One task as a dashboard shows it.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Asked;
use super::task::{self, TaskView};
use crate::domain::redaction::redact_cycle;
use crate::domain::time::iso;
use crate::store::triage::{CycleKind, CycleLine, SessionLine, newest_cycles, working};
use crate::store::{Query, StoreError, bindings, cycles};

/// One task as a dashboard shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotView {
    /// When this was read.
    pub generated_at: String,
    /// Who is bound to it.
    pub pair: Option<Pair>,
    /// Its last cycle, and what it saw.
    pub latest_cycle: Option<LatestCycle>,
    /// What there is to look into.
    #[serde(flatten)]
    pub view: TaskView,
}

/// Who is bound to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// `binding-<uuid>`.
    pub binding_id: String,
    /// `active` or `ending`.
    pub state: String,
    /// Since when.
    pub created_at: String,
    /// Its worker; none when it is gone.
    pub worker: Option<SessionLine>,
    /// Its manager; none when it is gone.
    pub manager: Option<SessionLine>,
}

/// A cycle and what it saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatestCycle {
    /// The cycle.
    #[serde(flatten)]
    pub cycle: CycleLine,
    /// What it saw, without messages and terminal text.
    pub status: Option<Value>,
}

/// Reads a [`SnapshotView`].
#[derive(Debug)]
pub struct ReadSnapshot(pub Asked);

impl Query for ReadSnapshot {
    type Out = SnapshotView;

    /// # Errors
    /// `NotFound` for an unknown task or run; `Usage` when no task is named.
    fn run(self, conn: &Connection) -> Result<SnapshotView, StoreError> {
        let Self(asked) = self;
        let view = task::read(conn, &asked)?;
        let scope = asked.scope(conn)?;
        let latest = newest_cycles(conn, &scope, CycleKind::Any, 1)?.pop();
        let latest_cycle = match latest {
            Some(cycle) => Some(LatestCycle { status: status(conn, cycle.id)?, cycle }),
            None => None,
        };
        Ok(SnapshotView {
            generated_at: iso(asked.now),
            pair: pair(conn, &asked, &view.task.task.id)?,
            latest_cycle,
            view,
        })
    }
}

fn status(conn: &Connection, cycle_id: i64) -> Result<Option<Value>, StoreError> {
    Ok(cycles::status(conn, cycle_id)?.map(redact_cycle))
}

fn pair(conn: &Connection, asked: &Asked, task_id: &str) -> Result<Option<Pair>, StoreError> {
    let Some(binding) = bindings::live_of_task(conn, task_id)? else { return Ok(None) };
    let sessions = working(conn, asked.now, 0)?.sessions;
    let session = |id: &str| sessions.iter().find(|session| session.id == id).cloned();
    Ok(Some(Pair {
        worker: session(&binding.worker_session_id),
        manager: session(&binding.manager_session_id),
        binding_id: binding.id,
        state: binding.state,
        created_at: binding.created_at,
    }))
}
