//! Executed evidence: the commands that conveyor ran itself, and whether what they showed still counts.

mod gate;
mod run;
mod runners;
#[cfg(test)]
mod tests;
mod trees;

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

pub use gate::{ExecutedAudit, Unproven, audit, fresh_for_pass};
pub use run::{About, BeginEvidence, Begun, EndEvidence, Ended, KeptOutput, RunOutcome, Satisfy, TreeState};
pub use runners::{EndLost, EvidenceRunner, EvidenceRunners};
pub use trees::{SawTree, SeenTree, WorktreesOf};

use super::tasks;
use super::{Query, StoreError, row};
use crate::domain::Failure;
use crate::domain::evidence::{EvidenceState, Freshness, Trees};

/// A row of `executed_evidence`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutedEvidence {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// The task's name.
    pub task: String,
    /// The criterion it is about.
    pub criterion_id: Option<i64>,
    /// The loop run whose pass it is about.
    pub loop_run_id: Option<String>,
    /// Which pass.
    pub iteration: Option<i64>,
    /// What it is evidence of in that pass.
    pub evidence_type: Option<String>,
    /// The command.
    pub argv: Vec<String>,
    /// Where it ran.
    pub directory: String,
    /// How long it was allowed to run.
    pub time_limit_seconds: f64,
    /// The session that ran it; none for a person.
    pub run_by_session_id: Option<String>,
    /// How it went.
    pub state: EvidenceState,
    /// Whether it still counts, as far as was seen at the last look at its tree.
    pub freshness: Freshness,
    /// When it started.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// What it exited with; none when it did not exit by itself.
    pub exit_code: Option<i32>,
    /// Why there is no exit code.
    pub error: Option<String>,
    /// The file with what it wrote.
    pub output_path: Option<String>,
    /// The digest of that file.
    pub output_sha256: Option<String>,
    /// How much it wrote.
    pub output_bytes: Option<i64>,
    /// How much of that was kept.
    pub output_kept_bytes: Option<i64>,
    /// The git work tree it ran in.
    pub worktree: Option<String>,
    /// The commit that was checked out.
    pub git_commit: Option<String>,
    /// Something in the work tree differed from that commit.
    pub git_dirty: Option<bool>,
    /// Names the content of the work tree before it ran.
    pub tree_before: Option<String>,
    /// The same after it.
    pub tree_after: Option<String>,
    /// The same at the last look.
    pub tree_seen: Option<String>,
    /// When that was.
    pub tree_seen_at: Option<String>,
}

const SELECT: &str =
    "SELECT e.id, e.task_id, t.name, e.criterion_id, e.loop_run_id, e.iteration, e.evidence_type,
    e.argv_json, e.directory, e.time_limit_seconds, e.run_by_session_id, e.state, e.started_at, e.ended_at,
    e.duration_ms, e.exit_code, e.error, e.output_path, e.output_sha256, e.output_bytes, e.output_kept_bytes,
    e.worktree, e.git_commit, e.git_dirty, e.tree_before, e.tree_after, e.tree_seen, e.tree_seen_at
    FROM executed_evidence e JOIN tasks t ON t.id = e.task_id";

impl ExecutedEvidence {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let state = row::word(row, 11)?;
        let trees: [Option<String>; 3] = [row.get(24)?, row.get(25)?, row.get(26)?];
        let [before, after, seen] = trees.each_ref().map(Option::as_deref);
        let freshness = Freshness::of(state, Trees { before, after, seen });
        let [tree_before, tree_after, tree_seen] = trees;
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            task: row.get(2)?,
            criterion_id: row.get(3)?,
            loop_run_id: row.get(4)?,
            iteration: row.get(5)?,
            evidence_type: row.get(6)?,
            argv: row::json(row, 7)?,
            directory: row.get(8)?,
            time_limit_seconds: row.get(9)?,
            run_by_session_id: row.get(10)?,
            state,
            freshness,
            started_at: row.get(12)?,
            ended_at: row.get(13)?,
            duration_ms: row.get(14)?,
            exit_code: row.get(15)?,
            error: row.get(16)?,
            output_path: row.get(17)?,
            output_sha256: row.get(18)?,
            output_bytes: row.get(19)?,
            output_kept_bytes: row.get(20)?,
            worktree: row.get(21)?,
            git_commit: row.get(22)?,
            git_dirty: row.get(23)?,
            tree_before,
            tree_after,
            tree_seen,
            tree_seen_at: row.get(27)?,
        })
    }
}

/// The evidence with this id.
///
/// # Errors
/// `NotFound` when there is none.
pub fn get(conn: &Connection, id: i64) -> Result<ExecutedEvidence, StoreError> {
    let found = conn
        .prepare_cached(&format!("{SELECT} WHERE e.id = ?1"))?
        .query_row([id], ExecutedEvidence::of)
        .optional()?;
    found.ok_or_else(|| {
        Failure::not_found(format!("executed evidence {id} does not exist"))
            .hint("see what there is: `conveyor evidence`")
            .into()
    })
}

/// [`get`] as a query.
#[derive(Debug)]
pub struct GetEvidence(pub i64);

impl Query for GetEvidence {
    type Out = ExecutedEvidence;

    fn run(self, conn: &Connection) -> Result<ExecutedEvidence, StoreError> {
        get(conn, self.0)
    }
}

/// The newest evidence, newest first.
#[derive(Debug)]
pub struct ListEvidence {
    /// Only that of this task, by id or name.
    pub task: Option<String>,
    /// Only that about this criterion.
    pub criterion: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

impl Query for ListEvidence {
    type Out = Vec<ExecutedEvidence>;

    fn run(self, conn: &Connection) -> Result<Vec<ExecutedEvidence>, StoreError> {
        let task = self.task.map(|task| tasks::get(conn, &task)).transpose()?;
        let (column, value): (&str, Option<&dyn rusqlite::ToSql>) = match (&self.criterion, &task) {
            (Some(criterion), _) => ("e.criterion_id", Some(criterion)),
            (None, Some(task)) => ("e.task_id", Some(&task.id)),
            (None, None) => ("1", None),
        };
        let task_id = task.as_ref().map(|task| task.id.as_str());
        let sql = format!(
            "{SELECT} WHERE {column} = ?1 AND (?2 IS NULL OR e.task_id = ?2) ORDER BY e.id DESC LIMIT ?3"
        );
        let everything: &dyn rusqlite::ToSql = &1;
        let rows = conn
            .prepare_cached(&sql)?
            .query_map((value.unwrap_or(everything), task_id, self.limit), ExecutedEvidence::of)?
            .collect::<Result<_, _>>()?;
        Ok(rows)
    }
}
