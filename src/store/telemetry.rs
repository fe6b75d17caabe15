//! Telemetry: what the runtime did, searchable. Rows are written with the change they tell of.

mod books;
mod counts;
mod find;
mod lines;

use rusqlite::{Connection, Row, ToSql, params_from_iter};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) use books::{enter_after, newest};
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

/// An event with its id and its time, not written yet.
#[derive(Debug, Clone)]
pub struct Event {
    id: String,
    run_id: Option<String>,
    task_id: Option<String>,
    timestamp: String,
    actor: &'static str,
    event_type: String,
    severity: &'static str,
    summary: String,
    correlation: String,
    attributes: String,
}

impl Telemetry<'_> {
    /// The event as it happens now, to be written with others.
    pub fn happens(&self) -> Event {
        Event {
            id: new_id("telemetry"),
            run_id: self.run_id.map(str::to_owned),
            task_id: self.task_id.map(str::to_owned),
            timestamp: now_iso(),
            actor: self.actor.as_str(),
            event_type: self.event_type.to_owned(),
            severity: self.severity.as_str(),
            summary: self.summary.to_owned(),
            correlation: self.correlation.to_string(),
            attributes: self.attributes.to_string(),
        }
    }
}

impl Event {
    fn columns(&self) -> [&dyn ToSql; 10] {
        [
            &self.id,
            &self.run_id,
            &self.task_id,
            &self.timestamp,
            &self.actor,
            &self.event_type,
            &self.severity,
            &self.summary,
            &self.correlation,
            &self.attributes,
        ]
    }
}

/// Writes one telemetry event; gives its id, `telemetry-<uuid>`. Before the transaction is committed,
/// it is entered in the index and the counts.
///
/// # Errors
/// Whatever SQLite answers.
pub fn emit(conn: &Connection, event: &Telemetry<'_>) -> Result<String, StoreError> {
    let event = event.happens();
    insert(conn, std::slice::from_ref(&event))?;
    Ok(event.id)
}

/// Events that one statement writes. Each statement opens the table and its nine indexes.
const TOGETHER: usize = 64;

/// Writes events in their order, as [`emit`] does.
///
/// # Errors
/// Whatever SQLite answers.
pub fn emit_all(conn: &Connection, events: &[Event]) -> Result<(), StoreError> {
    let (many, few) = events.as_chunks::<TOGETHER>();
    for events in many {
        insert(conn, events)?;
    }
    for event in few {
        insert(conn, std::slice::from_ref(event))?;
    }
    Ok(())
}

fn insert(conn: &Connection, events: &[Event]) -> Result<(), StoreError> {
    let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; events.len()].join(", ");
    let sql = format!("INSERT INTO telemetry_events ({COLUMNS}) VALUES {rows}");
    conn.prepare_cached(&sql)?.execute(params_from_iter(events.iter().flat_map(Event::columns)))?;
    Ok(())
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
