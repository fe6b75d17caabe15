//! Telemetry: what the runtime did, searchable. Rows are written with the change they tell of.

use rusqlite::Connection;
use serde_json::Value;

use super::StoreError;
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
