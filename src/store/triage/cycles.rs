//! Observation cycles, without what they saw.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::by_word;
use crate::store::scope::{Filter, Scope};
use crate::store::{StoreError, row};

/// A cycle, without what it saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleLine {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// That task's name.
    pub task_name: String,
    /// `started`, `succeeded` or `failed`.
    pub state: String,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub completed_at: Option<String>,
    /// What was decided in it; only by agent-conveyor's older managers.
    pub decision: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// The health that older cycles looked at.
    pub health: Value,
    /// The pattern found on the worker's screen, or why there was no screen.
    pub notable_pane_pattern: Option<String>,
    /// What the worker was doing.
    pub worker_state: Option<String>,
}

const COLUMNS: &str = "c.id, c.task_id, t.name, c.state, c.started_at, c.completed_at, c.decision, c.error, \
    c.health_json, json_extract(c.status_json, '$.notable_pane_pattern'), json_extract(c.status_json, '$.state')";

impl CycleLine {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            task_name: row.get(2)?,
            state: row.get(3)?,
            started_at: row.get(4)?,
            completed_at: row.get(5)?,
            decision: row.get(6)?,
            error: row.get(7)?,
            health: row::optional_json(row, 8)?.unwrap_or_else(|| json!({})),
            notable_pane_pattern: row.get(9)?,
            worker_state: row.get(10)?,
        })
    }
}

/// Which cycles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CycleKind {
    /// All.
    Any,
    /// Those that succeeded.
    Succeeded,
    /// Those that failed.
    Failed,
    /// Those that failed because the worker's rollout could not be read.
    IngestFailed,
    /// Those that succeeded without the worker's screen.
    WithoutPane,
    /// Those that succeeded with it.
    WithPane,
}

impl CycleKind {
    fn condition(self) -> &'static str {
        match self {
            Self::Any => "TRUE",
            Self::Succeeded => "c.state = 'succeeded'",
            Self::Failed => "c.state = 'failed'",
            Self::IngestFailed => {
                "c.state = 'failed' AND EXISTS (SELECT 1 FROM manager_cycle_spans s WHERE s.manager_cycle_id = c.id
                     AND s.phase = 'ingest_rollout' AND s.state = 'failed')"
            }
            Self::WithoutPane => {
                "json_extract(c.status_json, '$.pane_signal.captured') = 0 AND c.state = 'succeeded'"
            }
            Self::WithPane => {
                "json_extract(c.status_json, '$.pane_signal.captured') = 1 AND c.state = 'succeeded'"
            }
        }
    }
}

fn filter(scope: &Scope, kind: CycleKind) -> Filter {
    let mut filter = scope.filter("c.task_id", Some("c.started_at"));
    if let Some(run_id) = &scope.run_id {
        let of_run =
            "EXISTS (SELECT 1 FROM manager_cycle_spans r WHERE r.manager_cycle_id = c.id AND r.run_id = ?)";
        filter.add(of_run, run_id.clone());
    }
    filter.and(kind.condition())
}

/// The newest cycles, newest first.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_cycles(
    conn: &Connection,
    scope: &Scope,
    kind: CycleKind,
    limit: u32,
) -> Result<Vec<CycleLine>, StoreError> {
    let filter = filter(scope, kind);
    // A task's cycles are in the order of their ids, all cycles in that of their instants.
    let order = if scope.task_id.is_some() { "c.id DESC" } else { "c.started_at DESC, c.id DESC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM manager_cycles c JOIN tasks t ON t.id = c.task_id
         WHERE {} ORDER BY {order} LIMIT {limit}",
        filter.sql()
    );
    let cycles =
        conn.prepare_cached(&sql)?.query_map(filter.values(), CycleLine::of)?.collect::<Result<_, _>>()?;
    Ok(cycles)
}

/// How many cycles there are.
///
/// # Errors
/// Whatever SQLite answers.
pub fn cycle_count(conn: &Connection, scope: &Scope, kind: CycleKind) -> Result<i64, StoreError> {
    let filter = filter(scope, kind);
    let sql = format!("SELECT COUNT(*) FROM manager_cycles c WHERE {}", filter.sql());
    Ok(conn.prepare_cached(&sql)?.query_row(filter.values(), |row| row.get(0))?)
}

/// How many cycles are in which state.
///
/// # Errors
/// Whatever SQLite answers.
pub fn cycles_by_state(conn: &Connection, scope: &Scope) -> Result<BTreeMap<String, i64>, StoreError> {
    let filter = filter(scope, CycleKind::Any);
    by_word(conn, "SELECT c.state, COUNT(*) FROM manager_cycles c", &filter, "c.state")
}

/// How often which pattern was found on a worker's screen.
///
/// # Errors
/// Whatever SQLite answers.
pub fn notable_patterns(conn: &Connection, scope: &Scope) -> Result<BTreeMap<String, i64>, StoreError> {
    let pattern = "json_extract(c.status_json, '$.notable_pane_pattern')";
    let filter = filter(scope, CycleKind::Any).and(&format!("{pattern} IS NOT NULL"));
    by_word(conn, &format!("SELECT {pattern}, COUNT(*) FROM manager_cycles c"), &filter, pattern)
}
