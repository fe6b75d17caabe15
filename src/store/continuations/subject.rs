//! What a reviewer is shown of a task, and what must be kept from it.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Continuation;
use super::change::{both_proposals, refuse_without_permission};
use crate::domain::permissions::{Permission, PermissionSet};
use crate::store::criteria::{self, Criterion};
use crate::store::manager_config::{self, ManagerConfig};
use crate::store::tasks::{self, Task};
use crate::store::{Query, StoreError};

/// The part of a task that its reviewer may see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewSubject {
    /// The task.
    pub task: Task,
    /// The worker's proposal.
    pub worker: Continuation,
    /// The manager's proposal.
    pub manager: Continuation,
    /// The task's criteria.
    pub criteria: Vec<Criterion>,
    /// What the contract says that matters here.
    pub contract: Value,
    /// Whether the manager may look at pull requests.
    pub may_fetch_pull_requests: bool,
    /// The rollouts that the reviewer must not read.
    pub rollouts: Vec<String>,
}

/// Looks up what there is to review.
#[derive(Debug)]
pub struct GetReviewSubject {
    /// The task, by id or name.
    pub task: String,
    /// Which completion the proposals are about.
    pub correlation_id: String,
}

impl Query for GetReviewSubject {
    type Out = ReviewSubject;

    /// Refuses as the recording of the review would.
    fn run(self, conn: &Connection) -> Result<ReviewSubject, StoreError> {
        let task = tasks::get(conn, &self.task)?;
        refuse_without_permission(conn, &task)?;
        let (worker, manager) = both_proposals(conn, &task, &self.correlation_id)?;
        let config = manager_config::find(conn, &task.id)?;
        let fetch = Permission::of("context", "fetch_prs");
        let granted = |config: &ManagerConfig| fetch.is_some_and(|fetch| config.permissions.allows(&[fetch]));
        Ok(ReviewSubject {
            worker,
            manager,
            criteria: criteria::of_task(conn, &task.id)?,
            contract: contract(config.as_ref()),
            may_fetch_pull_requests: config.as_ref().is_some_and(granted),
            rollouts: rollouts(conn, &task.id)?,
            task,
        })
    }
}

fn contract(config: Option<&ManagerConfig>) -> Value {
    json!({
        "acceptance_criteria": config.map_or(&[][..], |config| &config.acceptance_criteria),
        "epilogues": config.map_or(&[][..], |config| &config.epilogues),
        "nudge_on_completion": config.map(|config| config.nudge_on_completion),
        "permissions": config.map_or_else(PermissionSet::default, |config| config.permissions.clone()),
        "tools": config.map_or(&[][..], |config| &config.tools),
    })
}

/// Of the sessions that are or were bound to the task, and of every session that is bound now.
fn rollouts(conn: &Connection, task_id: &str) -> Result<Vec<String>, StoreError> {
    let rows = conn
        .prepare_cached(
            "WITH bound (id) AS (
                 SELECT worker_session_id FROM bindings WHERE task_id = ?1 OR state IN ('active', 'ending')
                 UNION
                 SELECT manager_session_id FROM bindings WHERE task_id = ?1 OR state IN ('active', 'ending'))
             SELECT codex_session_path FROM sessions JOIN bound USING (id) WHERE codex_session_path IS NOT NULL
             UNION
             SELECT rollout_path FROM rollout_cursors JOIN bound ON bound.id = rollout_cursors.session_id",
        )?
        .query_map([task_id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}
