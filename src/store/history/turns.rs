//! A worker's turns while it was bound.

use std::collections::HashSet;

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stays::{Stay, during};
use crate::store::page::{self, Newest, Page, Source};
use crate::store::{StoreError, row};

/// A turn that began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BegunTurn {
    /// The rollout event.
    pub event_id: i64,
    /// When.
    pub at: String,
    /// The worker's name.
    pub session: String,
    /// Codex's id of the turn.
    pub turn_id: Option<String>,
}

/// A turn that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndedTurn {
    /// The turn fact's row.
    pub fact_id: i64,
    /// When it ended; or became known, where it had ended before the worker was bound.
    pub at: String,
    /// The worker's name.
    pub session: String,
    /// Which turn of its thread.
    pub turn_key: String,
    /// `completed`, `interrupted` or `failed`.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<Value>,
    /// The rollout event that ended it; none when its process died without writing one.
    pub event_id: Option<i64>,
    /// How long it took, where Codex tells.
    pub duration_ms: Option<f64>,
    /// What the worker said last.
    pub last_message: Option<String>,
}

pub(super) fn begun(conn: &Connection, stay: &Stay, page: &Page) -> Result<Newest<BegunTurn>, StoreError> {
    let of_stay = format!(
        "e.session_id = (SELECT worker_session_id FROM bindings WHERE id = ?1)
         AND e.subtype IN ('task_started', 'turn_started') AND {}",
        during("e.timestamp")
    );
    let source = Source {
        select: "SELECT e.id, e.timestamp, s.name, e.payload_json ->> '$.turn_id'
            FROM codex_events e JOIN sessions s ON s.id = e.session_id",
        of_task: &of_stay,
        at: "e.timestamp",
        order: "e.id",
        written_at_once: Some("codex_events e"),
    };
    let mut begun = page::newest(conn, &source, &stay.binding_id, page, |row| {
        Ok(BegunTurn { event_id: row.get(0)?, at: row.get(1)?, session: row.get(2)?, turn_id: row.get(3)? })
    })?;
    // A rollout is read again when its session is registered again.
    let mut known = HashSet::new();
    begun.rows.retain(|turn| turn.turn_id.as_ref().is_none_or(|id| known.insert(id.clone())));
    Ok(begun)
}

pub(super) fn ended(conn: &Connection, stay: &Stay, page: &Page) -> Result<Newest<EndedTurn>, StoreError> {
    let of_stay = format!(
        "t.session_id = (SELECT worker_session_id FROM bindings WHERE id = ?1) AND {}",
        during("t.recorded_at")
    );
    let source = Source {
        select: "SELECT t.id, COALESCE(e.timestamp, t.recorded_at), s.name, t.turn_key, t.outcome, t.error_json,
                t.event_id, e.payload_json ->> '$.duration_ms', e.payload_json ->> '$.last_agent_message', t.recorded_at
            FROM turn_facts t JOIN sessions s ON s.id = t.session_id
            LEFT JOIN codex_events e ON e.id = t.event_id",
        of_task: &of_stay,
        at: "COALESCE(e.timestamp, t.recorded_at)",
        order: "t.id",
        written_at_once: Some("turn_facts t LEFT JOIN codex_events e ON e.id = t.event_id"),
    };
    page::newest(conn, &source, &stay.binding_id, page, |row| ended_turn(row, stay))
}

fn ended_turn(row: &Row<'_>, stay: &Stay) -> rusqlite::Result<EndedTurn> {
    let at: String = row.get(1)?;
    Ok(EndedTurn {
        fact_id: row.get(0)?,
        at: if at < stay.from { row.get(9)? } else { at },
        session: row.get(2)?,
        turn_key: row.get(3)?,
        outcome: row.get(4)?,
        error: row::optional_json(row, 5)?,
        event_id: row.get(6)?,
        duration_ms: row.get(7)?,
        last_message: row.get(8)?,
    })
}
