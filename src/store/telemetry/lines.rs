//! Telemetry events without what else is known: attributes can quote what somebody wrote.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use super::filter;
use crate::store::StoreError;
use crate::store::scope::Scope;

/// A telemetry event in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TelemetryLine {
    /// `telemetry-<uuid>`.
    pub id: String,
    /// The run it belongs to.
    pub run_id: Option<String>,
    /// The task it belongs to.
    pub task_id: Option<String>,
    /// When.
    pub timestamp: String,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub event_type: String,
    /// How much it matters.
    pub severity: String,
    /// One sentence.
    pub summary: String,
}

impl TelemetryLine {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            run_id: row.get(1)?,
            task_id: row.get(2)?,
            timestamp: row.get(3)?,
            actor: row.get(4)?,
            event_type: row.get(5)?,
            severity: row.get(6)?,
            summary: row.get(7)?,
        })
    }
}

/// The newest events of a scope that fit a condition on `telemetry_events e`, newest first.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_lines(
    conn: &Connection,
    scope: &Scope,
    condition: &str,
    limit: u32,
) -> Result<Vec<TelemetryLine>, StoreError> {
    let filter = filter(scope, Some("timestamp")).and(condition);
    let sql = format!(
        "SELECT id, run_id, task_id, timestamp, actor, event_type, severity, summary FROM telemetry_events e
         WHERE {} ORDER BY timestamp DESC, rowid DESC LIMIT {limit}",
        filter.sql()
    );
    let lines = conn
        .prepare_cached(&sql)?
        .query_map(filter.values(), TelemetryLine::of)?
        .collect::<Result<_, _>>()?;
    Ok(lines)
}
