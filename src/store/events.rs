//! The audit log: what was done to tasks and sessions, append-only.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::page::{self, Newest, Page, Source};
use super::{StoreError, row};
use crate::domain::time::now_iso;

/// One audit event, before it has an id and a time.
#[derive(Debug, Clone, Default)]
pub struct Event<'a> {
    /// Who did it: `workerctl`, `manager`, `dispatch` …
    pub actor: &'a str,
    /// What was done, e.g. `session_nudged`.
    pub event_type: &'a str,
    /// The task it was done to.
    pub task_id: Option<&'a str>,
    /// The durable command it belongs to.
    pub command_id: Option<&'a str>,
    /// Ties it to the other records of the same cause.
    pub correlation_id: Option<&'a str>,
    /// What else is known.
    pub payload: Value,
}

/// Appends one audit event; gives its row id.
///
/// # Errors
/// Whatever SQLite answers.
pub fn record(conn: &Connection, event: &Event<'_>) -> Result<i64, StoreError> {
    append(conn, event, None)
}

/// As [`record`], of a worker with a row in `workers`.
///
/// # Errors
/// Whatever SQLite answers.
pub fn record_of_worker(conn: &Connection, worker_id: &str, event: &Event<'_>) -> Result<i64, StoreError> {
    append(conn, event, Some(worker_id))
}

/// As [`record`], of what a durable command did to a task.
///
/// # Errors
/// Whatever SQLite answers.
pub(super) fn record_of_command(
    conn: &Connection,
    task_id: &str,
    command_id: &str,
    event_type: &str,
    payload: Value,
) -> Result<(), StoreError> {
    let (task_id, command_id) = (Some(task_id), Some(command_id));
    record(
        conn,
        &Event { actor: "workerctl", event_type, task_id, command_id, payload, ..Event::default() },
    )?;
    Ok(())
}

fn append(conn: &Connection, event: &Event<'_>, worker_id: Option<&str>) -> Result<i64, StoreError> {
    conn.prepare_cached(
        "INSERT INTO events (created_at, actor, command_id, correlation_id, task_id, worker_id, type, payload_json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute((
        now_iso(),
        event.actor,
        event.command_id,
        event.correlation_id,
        event.task_id,
        worker_id,
        event.event_type,
        event.payload.to_string(),
    ))?;
    Ok(conn.last_insert_rowid())
}

/// A row of `events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Its row id; grows with time.
    pub id: i64,
    /// When it was done.
    pub created_at: String,
    /// Who did it.
    pub actor: String,
    /// The durable command it belongs to.
    pub command_id: Option<String>,
    /// Ties it to the other records of the same cause.
    pub correlation_id: Option<String>,
    /// The task it was done to.
    pub task_id: Option<String>,
    /// A worker of the time before sessions.
    pub worker_id: Option<String>,
    /// A manager of the time before sessions.
    pub manager_id: Option<String>,
    /// What was done.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What else is known.
    pub payload: Value,
}

pub(super) const COLUMNS: &str =
    "id, created_at, actor, command_id, correlation_id, task_id, worker_id, manager_id, type, payload_json";

impl AuditEvent {
    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            created_at: row.get(1)?,
            actor: row.get(2)?,
            command_id: row.get(3)?,
            correlation_id: row.get(4)?,
            task_id: row.get(5)?,
            worker_id: row.get(6)?,
            manager_id: row.get(7)?,
            event_type: row.get(8)?,
            payload: row::json(row, 9)?,
        })
    }
}

/// The newest audit events of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_of_task(
    conn: &Connection,
    task_id: &str,
    page: &Page,
) -> Result<Newest<AuditEvent>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM events");
    let source = Source {
        select: &select,
        of_task: "task_id = ?1",
        at: "created_at",
        order: "id",
        written_at_once: Some("events"),
    };
    page::newest(conn, &source, task_id, page, AuditEvent::of)
}
