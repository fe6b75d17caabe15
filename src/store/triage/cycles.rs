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

impl CycleKind {
    /// The index that ends a list where it is full, and the order that it has. A task's cycles are in the
    /// order of their ids as well.
    fn source(self, scope: &Scope) -> (&'static str, &'static str) {
        match (self, &scope.task_id) {
            (Self::Any | Self::WithPane | Self::WithoutPane, Some(_)) => ("", "c.id DESC"),
            (Self::WithPane | Self::WithoutPane, None) => {
                ("INDEXED BY manager_cycles_pane", "c.started_at DESC, c.id DESC")
            }
            _ => ("", "c.started_at DESC, c.id DESC"),
        }
    }
}

fn filter(scope: &Scope, kind: CycleKind) -> Filter {
    of_scope(scope, scope.filter("c.task_id", Some("c.started_at"))).and(kind.condition())
}

fn of_scope(scope: &Scope, mut filter: Filter) -> Filter {
    if let Some(run_id) = &scope.run_id {
        let of_run =
            "EXISTS (SELECT 1 FROM manager_cycle_spans r WHERE r.manager_cycle_id = c.id AND r.run_id = ?)";
        filter.add(of_run, run_id.clone());
    }
    filter
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
    let (index, order) = kind.source(scope);
    let sql = format!(
        "SELECT {COLUMNS} FROM manager_cycles c {index} JOIN tasks t ON t.id = c.task_id
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
    count(conn, &filter(scope, kind))
}

fn count(conn: &Connection, filter: &Filter) -> Result<i64, StoreError> {
    let sql = format!("SELECT COUNT(*) FROM manager_cycles c WHERE {}", filter.sql());
    Ok(conn.prepare_cached(&sql)?.query_row(filter.values(), |row| row.get(0))?)
}

/// How many cycles are in which state.
///
/// # Errors
/// Whatever SQLite answers.
pub fn cycles_by_state(conn: &Connection, scope: &Scope) -> Result<BTreeMap<String, i64>, StoreError> {
    let filter = of_scope(scope, scope.count_filter("c.task_id", Some("c.started_at")));
    let mut by_state = BTreeMap::new();
    for state in ["failed", "started", "succeeded"] {
        let filter = filter.clone().and(&format!("c.state = '{state}'"));
        let count = count(conn, &filter)?;
        if count > 0 {
            by_state.insert(state.to_owned(), count);
        }
    }
    Ok(by_state)
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
