//! A manager's looks at its worker: one a cycle.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use crate::store::StoreError;
use crate::store::page::{self, Newest, Page, Source};

/// What a cycle saw, in brief.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// The cycle's row.
    pub cycle_id: i64,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub completed_at: Option<String>,
    /// `started`, `succeeded` or `failed`.
    pub state: String,
    /// What the worker was doing, as its rollout told.
    pub worker_state: Option<String>,
    /// Seconds since the event that told it.
    pub staleness_seconds: Option<f64>,
    /// The pattern found on the worker's screen, or why there was no screen.
    pub notable_pane_pattern: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

const SELECT: &str = "SELECT id, started_at, completed_at, state, json_extract(status_json, '$.state'),
        json_extract(status_json, '$.staleness_seconds'),
        json_extract(status_json, '$.notable_pane_pattern'), error
    FROM manager_cycles";

impl Look {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            cycle_id: row.get(0)?,
            started_at: row.get(1)?,
            completed_at: row.get(2)?,
            state: row.get(3)?,
            worker_state: row.get(4)?,
            staleness_seconds: row.get(5)?,
            notable_pane_pattern: row.get(6)?,
            error: row.get(7)?,
        })
    }
}

/// The newest looks at a task's worker.
pub(super) fn newest_of_task(
    conn: &Connection,
    task_id: &str,
    page: &Page,
) -> Result<Newest<Look>, StoreError> {
    let source = Source {
        select: SELECT,
        of_task: "task_id = ?1",
        at: "started_at",
        order: "id",
        written_at_once: Some("manager_cycles"),
    };
    page::newest(conn, &source, task_id, page, Look::of)
}
