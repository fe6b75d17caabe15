//! Continuations: what the worker and the manager propose to do next, and what a reviewer thinks of it.
use crate::domain::shell::quoted;

mod change;
mod subject;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use change::{RecordReview, RecordedReview, SubmitContinuation};
pub use subject::{GetReviewSubject, ReviewSubject};

use super::tasks::{self, Task};
use super::{Query, StoreError, row};
use crate::domain::continuation::{Agreement, Reader, Verdict};
use crate::domain::{Failure, Role};

/// A row of `task_continuations`: one proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuation {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// Whose it is.
    pub proposer: Role,
    /// What is proposed.
    pub payload: Map<String, Value>,
    /// Counts up from 1 for each task and proposer.
    pub revision: i64,
    /// When it was made.
    pub created_at: String,
    /// Ties the proposals about one completion together.
    pub correlation_id: String,
}

const COLUMNS: &str = "id, task_id, proposer, payload_json, revision, created_at, correlation_id";

impl Continuation {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            proposer: row::word(row, 2)?,
            payload: row::json(row, 3)?,
            revision: row.get(4)?,
            created_at: row.get(5)?,
            correlation_id: row.get(6)?,
        })
    }
}

/// A row of `continuation_reviews`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContinuationReview {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// The worker's proposal.
    pub worker_continuation_id: i64,
    /// The manager's proposal.
    pub manager_continuation_id: i64,
    /// How they relate.
    pub agreement: Agreement,
    /// What follows.
    pub verdict: Verdict,
    /// What is to be done differently.
    pub addendum: Option<String>,
    /// Why.
    pub rationale: String,
    /// How the review was made.
    pub subagent_run: Value,
    /// When it was recorded.
    pub created_at: String,
    /// Ties it to the proposals.
    pub correlation_id: String,
}

const REVIEW_COLUMNS: &str = "id, task_id, worker_continuation_id, manager_continuation_id, agreement, verdict, \
    addendum, rationale, subagent_run_json, created_at, correlation_id";

impl ContinuationReview {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            worker_continuation_id: row.get(2)?,
            manager_continuation_id: row.get(3)?,
            agreement: row::word(row, 4)?,
            verdict: row::word(row, 5)?,
            addendum: row.get(6)?,
            rationale: row.get(7)?,
            subagent_run: row::json(row, 8)?,
            created_at: row.get(9)?,
            correlation_id: row.get(10)?,
        })
    }
}

/// The latest proposal of one side, about one completion or about any.
///
/// # Errors
/// Whatever SQLite answers.
pub fn latest(
    conn: &Connection,
    task_id: &str,
    proposer: Role,
    correlation_id: Option<&str>,
) -> Result<Option<Continuation>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM task_continuations
         WHERE task_id = ?1 AND proposer = ?2 AND (?3 IS NULL OR correlation_id = ?3)
         ORDER BY revision DESC, id DESC LIMIT 1"
    );
    let parameters = (task_id, proposer.as_str(), correlation_id);
    Ok(conn.prepare_cached(&sql)?.query_row(parameters, Continuation::of).optional()?)
}

/// The latest review of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn latest_review(conn: &Connection, task_id: &str) -> Result<Option<ContinuationReview>, StoreError> {
    let sql = format!(
        "SELECT {REVIEW_COLUMNS} FROM continuation_reviews WHERE task_id = ?1 ORDER BY id DESC LIMIT 1"
    );
    Ok(conn.prepare_cached(&sql)?.query_row([task_id], ContinuationReview::of).optional()?)
}

/// A proposal as lists show it: with its payload or without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedContinuation {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// Whose it is.
    pub proposer: Role,
    /// Counts up from 1 for each task and proposer.
    pub revision: i64,
    /// When it was made.
    pub created_at: String,
    /// Ties the proposals about one completion together.
    pub correlation_id: String,
    /// What is proposed, where the reader may see it and asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Map<String, Value>>,
    /// True where the payload is kept back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub payload_redacted: bool,
}

/// Proposals and reviews of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinuationList {
    /// The task.
    pub task: Task,
    /// The proposals, oldest first.
    pub continuations: Vec<ListedContinuation>,
    /// The reviews, oldest first.
    pub reviews: Vec<ContinuationReview>,
}

/// Lists proposals and reviews, as far as the reader may see them.
#[derive(Debug, Clone)]
pub struct ListContinuations {
    /// The task, by id or name.
    pub task: String,
    /// Only those about this completion.
    pub correlation_id: Option<String>,
    /// Who reads.
    pub reader: Reader,
    /// Show what is proposed.
    pub include_payload: bool,
}

impl Query for ListContinuations {
    type Out = ContinuationList;

    fn run(self, conn: &Connection) -> Result<ContinuationList, StoreError> {
        let task = tasks::get(conn, &self.task)?;
        let all: Vec<Continuation> =
            of_task(conn, COLUMNS, "task_continuations", &task, &self, Continuation::of)?;
        let has_own = |correlation_id: &str| {
            all.iter().any(|own| own.proposer == Role::Manager && own.correlation_id == correlation_id)
        };
        if let (Reader::Manager, Some(asked)) = (self.reader, self.correlation_id.as_deref())
            && !has_own(asked)
        {
            return Err(Failure::refused(format!(
                "the proposals of task {} for {asked} are not shown to its manager before its own is in",
                task.name
            ))
            .hint(format!(
                    "hand it in: `conveyor continuation {} --submit manager --from-stdin --correlation-id {asked}`",
                    quoted(&task.name)
                ))
                .into());
        }
        let hidden = |proposal: &Continuation| {
            let before_own = self.reader == Reader::Manager && !has_own(&proposal.correlation_id);
            !self.include_payload || (before_own && proposal.proposer == Role::Worker)
        };
        let continuations = all.iter().map(|proposal| listed(proposal.clone(), hidden(proposal))).collect();
        let reviews =
            of_task(conn, REVIEW_COLUMNS, "continuation_reviews", &task, &self, ContinuationReview::of)?;
        Ok(ContinuationList { task, continuations, reviews })
    }
}

fn listed(proposal: Continuation, hidden: bool) -> ListedContinuation {
    ListedContinuation {
        id: proposal.id,
        task_id: proposal.task_id,
        proposer: proposal.proposer,
        revision: proposal.revision,
        created_at: proposal.created_at,
        correlation_id: proposal.correlation_id,
        payload: (!hidden).then_some(proposal.payload),
        payload_redacted: hidden,
    }
}

fn of_task<T>(
    conn: &Connection,
    columns: &str,
    table: &str,
    task: &Task,
    list: &ListContinuations,
    of: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let sql = format!(
        "SELECT {columns} FROM {table} WHERE task_id = ?1 AND (?2 IS NULL OR correlation_id = ?2) ORDER BY id"
    );
    let rows = conn
        .prepare_cached(&sql)?
        .query_map((&task.id, &list.correlation_id), of)?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}
