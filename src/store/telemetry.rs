//! Telemetry: what the runtime did, searchable. Rows are written with the change they tell of.

mod counts;
mod find;
mod lines;

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use counts::{Counts, ReadCounts, Tally, counts, read as read_counts};
pub use find::{Find, find, search};
pub use lines::{LineKind, TelemetryLine, newest_lines};

use super::scope::{ACTIVE, Filter, Scope};
use super::{StoreError, row};
pub use crate::domain::telemetry::{Actor, Severity};
use crate::domain::{ids::new_id, time::now_iso};

/// One telemetry event, before it has an id and a time.
#[derive(Debug, Clone)]
pub struct Telemetry<'a> {
    /// Who did it.
    pub actor: Actor,
    /// Which of the contract's event types, e.g. `dispatch_signal_routed`.
    pub event_type: &'a str,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence for a person; searchable.
    pub summary: &'a str,
    /// The task it belongs to.
    pub task_id: Option<&'a str>,
    /// The run it belongs to.
    pub run_id: Option<&'a str>,
    /// Ids that tie it to other records, as a JSON object.
    pub correlation: Value,
    /// What else is known, as a JSON object; searchable. No prompt, message or terminal text.
    pub attributes: Value,
}

/// Writes one telemetry event; gives its id, `telemetry-<uuid>`.
///
/// # Errors
/// Whatever SQLite answers.
pub fn emit(conn: &Connection, event: &Telemetry<'_>) -> Result<String, StoreError> {
    let id = new_id("telemetry");
    let attributes = event.attributes.to_string();
    conn.prepare_cached(
        "INSERT INTO telemetry_events (id, run_id, task_id, timestamp, actor, event_type, severity, summary, correlation_json, attributes_json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute((
        &id,
        event.run_id,
        event.task_id,
        now_iso(),
        event.actor.as_str(),
        event.event_type,
        event.severity.as_str(),
        event.summary,
        event.correlation.to_string(),
        &attributes,
    ))?;
    conn.prepare_cached(
        "INSERT INTO telemetry_events_fts (event_id, task_id, run_id, actor, event_type, summary, attributes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        &id,
        event.task_id,
        event.run_id,
        event.actor.as_str(),
        event.event_type,
        event.summary,
        &attributes,
    ))?;
    Ok(id)
}

/// A row of `telemetry_events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TelemetryRow {
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
    /// Ids that tie it to other records.
    pub correlation: Value,
    /// What else is known.
    pub attributes: Value,
}

impl TelemetryRow {
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
            correlation: row::json(row, 8)?,
            attributes: row::json(row, 9)?,
        })
    }
}

const COLUMNS: &str =
    "id, run_id, task_id, timestamp, actor, event_type, severity, summary, correlation_json, attributes_json";

/// The events of a scope. An event of a run need not name its task.
fn filter(scope: &Scope, at: Option<&str>) -> Filter {
    let mut filter = Scope { run_id: None, active_only: false, ..scope.clone() }.filter("task_id", at);
    if scope.active_only {
        filter.also(&format!("task_id IN (SELECT id FROM tasks WHERE {ACTIVE})"));
    }
    if let Some(run_id) = &scope.run_id {
        filter.add("run_id = ?", run_id.clone());
    }
    filter
}
