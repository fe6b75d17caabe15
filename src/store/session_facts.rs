//! Session facts: what became known about a session beside its turns. Each is recorded once.

use std::collections::HashMap;

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Query, StoreError, row};
use crate::domain::redaction::redact_wait;
use crate::domain::session_fact::SessionFactKind;
use crate::domain::time::now_iso;

/// A fact about to be recorded.
#[derive(Debug)]
pub struct NewSessionFact<'a> {
    /// The session.
    pub session_id: &'a str,
    /// What became known.
    pub kind: SessionFactKind,
    /// Tells this occasion from every other.
    pub dedupe_key: &'a str,
    /// What else is known, as a JSON object.
    pub detail: &'a Value,
}

/// Records a fact. `false` when it was known already; it is then so again, if it was not any more.
///
/// # Errors
/// Whatever SQLite answers.
pub fn record(conn: &Connection, fact: &NewSessionFact<'_>) -> Result<bool, StoreError> {
    let inserted = conn
        .prepare_cached(
            "INSERT INTO session_facts (session_id, kind, dedupe_key, detail_json, recorded_at)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (dedupe_key) DO NOTHING",
        )?
        .execute((
            fact.session_id,
            fact.kind.as_str(),
            fact.dedupe_key,
            fact.detail.to_string(),
            now_iso(),
        ))?;
    if inserted == 0 {
        conn.prepare_cached(
            "UPDATE session_facts SET cleared_at = NULL WHERE dedupe_key = ?1 AND cleared_at IS NOT NULL",
        )?
        .execute([fact.dedupe_key])?;
    }
    Ok(inserted == 1)
}

/// Records that the open facts of a kind are so no longer; of every kind without one. Gives how many.
///
/// # Errors
/// Whatever SQLite answers.
pub fn clear(
    conn: &Connection,
    session_id: &str,
    kind: Option<SessionFactKind>,
) -> Result<usize, StoreError> {
    let cleared = conn
        .prepare_cached(
            "UPDATE session_facts SET cleared_at = ?3
             WHERE session_id = ?1 AND (?2 IS NULL OR kind = ?2) AND cleared_at IS NULL",
        )?
        .execute((session_id, kind.map(SessionFactKind::as_str), now_iso()))?;
    Ok(cleared)
}

/// A row of `session_facts`, as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionFact {
    /// Row id; grows with time.
    pub id: i64,
    /// What became known.
    pub kind: SessionFactKind,
    /// When.
    pub recorded_at: String,
    /// What else is known, without what the session wants to do and why.
    pub detail: Value,
}

impl SessionFact {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            kind: row::word(row, 1)?,
            recorded_at: row.get(2)?,
            detail: redact_wait(row::json(row, 3)?),
        })
    }
}

/// What is so of a session now, oldest first.
///
/// # Errors
/// Whatever SQLite answers.
pub fn open(conn: &Connection, session_id: &str) -> Result<Vec<SessionFact>, StoreError> {
    let facts = conn
        .prepare_cached(
            "SELECT id, kind, recorded_at, detail_json FROM session_facts
             WHERE session_id = ?1 AND cleared_at IS NULL ORDER BY id",
        )?
        .query_map([session_id], SessionFact::of)?
        .collect::<Result<_, _>>()?;
    Ok(facts)
}

/// What is so of the sessions now, by session id. Sessions of which nothing is known are left out.
#[derive(Debug)]
pub struct OpenFacts;

impl Query for OpenFacts {
    type Out = HashMap<String, Vec<SessionFact>>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        let mut statement = conn.prepare_cached(
            "SELECT DISTINCT session_id FROM session_facts INDEXED BY session_facts_open WHERE cleared_at IS NULL",
        )?;
        let ids: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        ids.into_iter().map(|id| Ok((id.clone(), open(conn, &id)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Role;
    use crate::store::testing::TestDb;

    #[test]
    fn a_fact_is_recorded_once_and_can_become_so_again() {
        let db = TestDb::new();
        let session = db.session("w1", Role::Worker);
        let detail = json!({"command": "rm x", "pid": 7});
        let fact = NewSessionFact {
            session_id: &session.id,
            kind: SessionFactKind::Waiting,
            dedupe_key: "k",
            detail: &detail,
        };
        assert!(record(&db.conn, &fact).unwrap());
        assert!(!record(&db.conn, &fact).unwrap());
        let [shown] = open(&db.conn, &session.id).unwrap().try_into().unwrap();
        assert_eq!((shown.kind, &shown.detail["command_redacted"]), (SessionFactKind::Waiting, &json!(true)));

        assert_eq!(clear(&db.conn, &session.id, Some(SessionFactKind::Exited)).unwrap(), 0);
        assert_eq!(clear(&db.conn, &session.id, Some(SessionFactKind::Waiting)).unwrap(), 1);
        assert_eq!(db.read(OpenFacts), HashMap::new());
        assert!(!record(&db.conn, &fact).unwrap(), "the same occasion");
        assert_eq!(db.read(OpenFacts)[&session.id].len(), 1);
        assert_eq!(clear(&db.conn, &session.id, None).unwrap(), 1);
    }
}
