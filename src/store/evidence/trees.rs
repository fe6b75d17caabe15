//! What stands in the work trees that evidence was taken on: which ones to look at, and what was seen.

use rusqlite::Connection;

use crate::domain::time::now_iso;
use crate::store::tasks;
use crate::store::{Change, Query, StoreError};

/// The work trees that evidence of a task was taken on and that may still count.
#[derive(Debug)]
pub struct WorktreesOf {
    /// The task, by id or name.
    pub task: String,
}

impl Query for WorktreesOf {
    type Out = Vec<String>;

    fn run(self, conn: &Connection) -> Result<Vec<String>, StoreError> {
        let task = tasks::get(conn, &self.task)?;
        let rows = conn
            .prepare_cached(
                "SELECT DISTINCT worktree FROM executed_evidence
                 WHERE task_id = ?1 AND state = 'passed' AND worktree IS NOT NULL",
            )?
            .query_map([&task.id], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(rows)
    }
}

/// What a look at a work tree saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTree {
    /// The work tree.
    pub worktree: String,
    /// What stands there; none when it is no git work tree any more.
    pub tree: Option<String>,
}

/// Keeps what was seen, for the evidence that was taken there.
#[derive(Debug)]
pub struct SawTree(pub SeenTree);

impl Change for SawTree {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        tx.prepare_cached(
            "UPDATE executed_evidence SET tree_seen = ?2, tree_seen_at = ?3
             WHERE worktree = ?1 AND state = 'passed'",
        )?
        .execute((self.0.worktree, self.0.tree, now_iso()))?;
        Ok(())
    }
}
