//! The bound tasks, with what is recorded about their sessions and commands.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::store::bindings::{BoundTask, bound_task};
use crate::store::session_facts::{self, SessionFact};
use crate::store::{Query, StoreError};

/// A bound task as the database has it.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundPair {
    /// The task, its binding and its sessions.
    pub bound: BoundTask,
    /// Its commands that are neither done nor failed.
    pub unfinished_commands: Vec<UnfinishedCommand>,
    /// What is so of its worker now.
    pub worker_conditions: Vec<SessionFact>,
    /// What is so of its manager now.
    pub manager_conditions: Vec<SessionFact>,
}

/// A command that waits or is under way. Its payload is left out: it may carry prompt text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedCommand {
    /// How often it was tried.
    pub attempts: i64,
    /// When it was asked for.
    pub created_at: String,
    /// `command-<uuid>`.
    pub id: String,
    /// `pending` or `attempted`.
    pub state: String,
    /// What it does, e.g. `nudge_worker`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// All tasks whose binding has not ended, oldest binding first.
#[derive(Debug)]
pub struct BoundPairs;

impl Query for BoundPairs {
    type Out = Vec<BoundPair>;

    fn run(self, conn: &Connection) -> Result<Vec<BoundPair>, StoreError> {
        let tasks: Vec<String> = conn
            .prepare_cached(
                "SELECT task_id FROM bindings
                 WHERE state IN ('active', 'ending')
                 AND worker_session_id IS NOT NULL AND manager_session_id IS NOT NULL
                 ORDER BY created_at, id",
            )?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        tasks
            .iter()
            .map(|task| {
                let bound = bound_task(conn, task)?;
                Ok(BoundPair {
                    unfinished_commands: unfinished_commands(conn, task)?,
                    worker_conditions: session_facts::open(conn, &bound.worker.id)?,
                    manager_conditions: session_facts::open(conn, &bound.manager.id)?,
                    bound,
                })
            })
            .collect()
    }
}

fn unfinished_commands(conn: &Connection, task: &str) -> rusqlite::Result<Vec<UnfinishedCommand>> {
    conn.prepare_cached(
        "SELECT attempts, created_at, id, state, type FROM commands
         WHERE task_id = ?1 AND state IN ('pending', 'attempted') ORDER BY created_at, id",
    )?
    .query_map([task], |row| {
        Ok(UnfinishedCommand {
            attempts: row.get(0)?,
            created_at: row.get(1)?,
            id: row.get(2)?,
            state: row.get(3)?,
            kind: row.get(4)?,
        })
    })?
    .collect()
}
