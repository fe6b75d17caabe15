//! Telemetry: what the runtime did, searchable. Rows are written with the change they tell of.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{StoreError, row};
use crate::domain::{ids::new_id, time::now_iso};

/// Who did it. The words are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Dispatch, routing or executing.
    Dispatch,
    /// A manager session.
    Manager,
    /// A worker session.
    Worker,
    /// A person at a command line.
    Operator,
    /// This program, on somebody's behalf.
    Workerctl,
    /// The runtime itself.
    System,
}

impl Actor {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Manager => "manager",
            Self::Worker => "worker",
            Self::Operator => "operator",
            Self::Workerctl => "workerctl",
            Self::System => "system",
        }
    }
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Only for looking closely.
    Debug,
    /// Ordinary.
    Info,
    /// Somebody may want to look.
    Warning,
    /// Something failed.
    Error,
}

impl Severity {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

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

/// The newest events, newest first: those with every word of `query` in their summary or
/// attributes, and those whose type `query` is. All events when `query` is blank.
///
/// # Errors
/// Whatever SQLite answers.
pub fn search(conn: &Connection, query: &str, limit: u32) -> Result<Vec<TelemetryRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM telemetry_events
         WHERE ?1 = '' OR event_type = ?2
            OR id IN (SELECT event_id FROM telemetry_events_fts WHERE telemetry_events_fts MATCH ?1)
         ORDER BY rowid DESC LIMIT ?3"
    );
    let words = (full_text_words(query), query.trim(), limit);
    let rows = conn.prepare_cached(&sql)?.query_map(words, TelemetryRow::of)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Each word as a phrase, so that nothing in it is an operator.
fn full_text_words(query: &str) -> String {
    let phrase = |word: &str| format!("\"{}\"", word.replace('"', "\"\""));
    query.split_whitespace().map(phrase).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::testing::TestDb;

    #[test]
    fn a_search_takes_every_word_literally() {
        let db = TestDb::new();
        for (event_type, summary) in [("command_created", "nudge queued"), ("task_finished", "all is done")] {
            let event = Telemetry {
                actor: Actor::Workerctl,
                event_type,
                severity: Severity::Info,
                summary,
                task_id: None,
                run_id: None,
                correlation: json!({}),
                attributes: json!({ "session": "w1" }),
            };
            emit(&db.conn, &event).unwrap();
        }
        let check = |query: &str, expect: &[&str]| {
            let found = search(&db.conn, query, 10).unwrap();
            let types: Vec<_> = found.iter().map(|row| row.event_type.as_str()).collect();
            assert_eq!(types, expect, "{query:?}");
        };
        check("", &["task_finished", "command_created"]);
        check("  ", &["task_finished", "command_created"]);
        check("queued nudge", &["command_created"]);
        check("queued done", &[]);
        check("W1", &["task_finished", "command_created"]);
        check("task_finished", &["task_finished"]);
        for odd in ["\"", "*", "NOT", "a OR", "(", "-", "summary:done"] {
            check(odd, &[]);
        }
        assert_eq!(search(&db.conn, "", 1).unwrap().len(), 1);
    }
}
