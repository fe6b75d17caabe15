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

/// Which events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// All.
    Any,
    /// Reads of rollouts that failed.
    IngestErrors,
    /// Reads of rollouts that skipped lines.
    SkippedLines,
}

impl LineKind {
    /// The table, by the index that has few others, and the condition.
    fn source(self) -> (&'static str, &'static str) {
        match self {
            Self::Any => ("telemetry_events", "TRUE"),
            Self::IngestErrors => (
                "telemetry_events INDEXED BY telemetry_events_severity",
                "event_type IN ('codex_events_ingested', 'codex_events_tail_read') AND severity = 'error'",
            ),
            Self::SkippedLines => (
                "telemetry_events INDEXED BY telemetry_events_skipped",
                "event_type = 'codex_events_ingested' AND json_extract(attributes_json, '$.skipped_lines') > 0",
            ),
        }
    }
}

/// The newest events of a scope, newest first.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_lines(
    conn: &Connection,
    scope: &Scope,
    kind: LineKind,
    limit: u32,
) -> Result<Vec<TelemetryLine>, StoreError> {
    let (from, condition) = kind.source();
    let filter = filter(scope, Some("timestamp")).and(condition);
    let sql = format!(
        "SELECT id, run_id, task_id, timestamp, actor, event_type, severity, summary FROM {from}
         WHERE {} ORDER BY timestamp DESC, rowid DESC LIMIT {limit}",
        filter.sql()
    );
    let lines = conn
        .prepare_cached(&sql)?
        .query_map(filter.values(), TelemetryLine::of)?
        .collect::<Result<_, _>>()?;
    Ok(lines)
}
