//! The history of a task: everything that was recorded of it and of its pair, a page at a time.

mod looks;
mod quiet;
mod stays;
mod told;
mod turns;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

pub use looks::Look;
pub use quiet::{FindQuiet, Gap, Quiet};
pub use told::ToldFact;
pub use turns::{BegunTurn, EndedTurn};

use super::audit::{self, Audit};
use super::deliveries::{self, Delivery};
use super::page::{Newest, Page};
use super::transcripts::{self, StoredSegment};
use super::{Query, StoreError, tasks};

/// What is on record about a task and about the sessions that were bound to it. Each list has the
/// newest rows, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// What was done to the task, and what came of it.
    pub audit: Audit,
    /// The manager's looks at the worker.
    pub looks: Newest<Look>,
    /// What was kept of the terminals.
    pub segments: Newest<StoredSegment>,
    /// The worker's turns that began.
    pub begun: Newest<BegunTurn>,
    /// The worker's turns that ended.
    pub ended: Newest<EndedTurn>,
    /// What became known about the sessions beside their turns.
    pub facts: Newest<ToldFact>,
    /// What was said to the sessions, or stopped them, without a fact or a command behind it.
    pub direct: Newest<Delivery>,
}

/// A page of a task's history.
#[derive(Debug, Clone)]
pub struct ReadHistory {
    /// The task, by id or name.
    pub task: String,
    /// Which part.
    pub page: Page,
    /// Read also what the terminals showed.
    pub include_content: bool,
}

impl Query for ReadHistory {
    type Out = History;

    /// # Errors
    /// `NotFound` for an unknown task, `Refused` when the texts are too much for one answer.
    fn run(self, conn: &Connection) -> Result<History, StoreError> {
        let Self { task, page, include_content } = self;
        let task = tasks::get(conn, &task)?;
        let stays = stays::of_task(conn, &task.id)?;
        Ok(History {
            looks: looks::newest_of_task(conn, &task.id, &page)?,
            segments: transcripts::newest_of_task(conn, &task.id, &page, include_content)?,
            begun: stays::newest(&stays, &page, |stay| turns::begun(conn, stay, &page))?,
            ended: stays::newest(&stays, &page, |stay| turns::ended(conn, stay, &page))?,
            facts: stays::newest(&stays, &page, |stay| told::newest(conn, stay, &page))?,
            direct: stays::newest(&stays, &page, |stay| {
                deliveries::newest_direct(conn, &stay.binding_id, &stays::during("d.claimed_at"), &page)
            })?,
            audit: audit::read(conn, task, &page, false)?,
        })
    }
}
