//! What became known about the sessions of a pair beside their turns, while they were bound.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stays::{Stay, during};
use crate::domain::Role;
use crate::domain::redaction::redact_wait;
use crate::domain::session_fact::SessionFactKind;
use crate::store::page::{self, Newest, Page, Source};
use crate::store::{StoreError, row};

/// A fact about a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToldFact {
    /// Its row.
    pub id: i64,
    /// The session's name.
    pub session: String,
    /// Its side of the pair.
    pub role: Role,
    /// What became known.
    pub kind: SessionFactKind,
    /// When.
    pub recorded_at: String,
    /// When it was so no longer.
    pub cleared_at: Option<String>,
    /// What else is known, without what the session wants to do and why.
    pub detail: Value,
}

impl ToldFact {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            session: row.get(1)?,
            role: row::word(row, 2)?,
            kind: row::word(row, 3)?,
            recorded_at: row.get(4)?,
            cleared_at: row.get(5)?,
            detail: redact_wait(row::json(row, 6)?),
        })
    }
}

pub(super) fn newest(conn: &Connection, stay: &Stay, page: &Page) -> Result<Newest<ToldFact>, StoreError> {
    let of_stay = format!(
        "f.session_id IN (SELECT worker_session_id FROM bindings WHERE id = ?1
                          UNION ALL SELECT manager_session_id FROM bindings WHERE id = ?1) AND {}",
        during("f.recorded_at")
    );
    let source = Source {
        select: "SELECT f.id, s.name, s.role, f.kind, f.recorded_at, f.cleared_at, f.detail_json
            FROM session_facts f JOIN sessions s ON s.id = f.session_id",
        of_task: &of_stay,
        at: "f.recorded_at",
        order: "f.id",
        written_at_once: None,
    };
    page::newest(conn, &source, &stay.binding_id, page, ToldFact::of)
}
