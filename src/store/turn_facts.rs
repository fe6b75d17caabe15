//! Turn facts: that a turn of a session ended, and how. A turn ends once, whoever reads it and
//! however often.

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Value, json};

use super::sessions::Session;
use super::{StoreError, forks};
use crate::domain::time::now_iso;
use crate::domain::{TurnKey, TurnOutcome};

/// The end of a turn, about to be recorded.
#[derive(Debug)]
pub struct NewFact<'a> {
    /// The session whose rollout told of it.
    pub session_id: &'a str,
    /// The thread it happened in.
    pub thread_id: &'a str,
    /// Which turn of the thread.
    pub key: &'a TurnKey,
    /// How it ended.
    pub outcome: TurnOutcome,
    /// The event that ended it; none when its process died without writing one.
    pub event_id: Option<i64>,
    /// Why it failed: `{message, codex_error_info}`. Only for a failed turn.
    pub error: Option<&'a Value>,
}

/// Records the end of a turn. `false` when it was known already, and nothing changed.
///
/// Where one thread is registered under two names, the fact belongs to the one that is a bound
/// worker: read first under the other, it would be told to nobody. Likewise where a fork repeats the
/// turns of the thread it came from. That a turn never ended there does not mean that it did not end
/// where it began.
///
/// # Errors
/// Whatever SQLite answers.
pub fn record(conn: &Connection, fact: &NewFact<'_>) -> Result<bool, StoreError> {
    if fact.event_id.is_none() && fact.key.is_older_than(fact.thread_id) {
        return Ok(false);
    }
    let origin = forks::other_thread_with(conn, fact.thread_id, fact.key)?;
    let thread_id = origin.as_deref().unwrap_or(fact.thread_id);
    let inserted = conn
        .prepare_cached(
            "INSERT INTO turn_facts (session_id, thread_id, turn_key, outcome, event_id, error_json, recorded_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (thread_id, turn_key) DO UPDATE SET session_id = excluded.session_id, event_id = excluded.event_id
             WHERE routed_at IS NULL AND turn_facts.session_id <> excluded.session_id
               AND EXISTS (SELECT 1 FROM bindings b
                           WHERE b.worker_session_id = excluded.session_id AND b.state IN ('active', 'ending'))
               AND NOT EXISTS (SELECT 1 FROM bindings b
                               WHERE b.worker_session_id = turn_facts.session_id AND b.state IN ('active', 'ending'))",
        )?
        .execute((
            fact.session_id,
            thread_id,
            fact.key.to_string(),
            fact.outcome.as_str(),
            fact.event_id,
            fact.error.map(Value::to_string),
            now_iso(),
        ))?;
    Ok(inserted == 1)
}

/// Gives a worker that is being bound what nobody was told of its thread, where it was read under a
/// name that is bound no more, or never was.
///
/// # Errors
/// Whatever SQLite answers.
pub fn take_over(conn: &Connection, worker: &Session) -> Result<usize, StoreError> {
    let taken = conn
        .prepare_cached(
            "UPDATE turn_facts SET session_id = ?1
             WHERE thread_id = ?2 AND routed_at IS NULL AND session_id <> ?1
               AND NOT EXISTS (SELECT 1 FROM bindings b
                               WHERE b.worker_session_id = turn_facts.session_id AND b.state IN ('active', 'ending'))",
        )?
        .execute((&worker.id, &worker.codex_session_id))?;
    Ok(taken)
}

/// The error of a turn whose process stopped before it ended.
pub fn crash() -> Value {
    json!({
        "codex_error_info": null,
        "kind": "crashed",
        "message": "the session's process stopped before the turn ended",
    })
}

/// Records the ends of turns that another program (agent-conveyor) put among a session's events
/// after the newest fact known here, from byte `from_offset` of the rollout on. Those that it has routed count as routed. Gives their
/// number.
///
/// # Errors
/// Whatever SQLite answers.
pub fn adopt_from_events(
    conn: &Connection,
    session_id: &str,
    thread_id: &str,
    from_offset: u64,
) -> Result<usize, StoreError> {
    let adopted = conn
        .prepare_cached(
            "INSERT INTO turn_facts (session_id, thread_id, turn_key, outcome, event_id, error_json, recorded_at, routed_at)
             SELECT session_id, ?2,
                    COALESCE(payload_json ->> '$.turn_id', 'offset:' || byte_offset),
                    CASE WHEN subtype = 'turn_aborted' THEN 'interrupted'
                         WHEN payload_json ->> '$.error' IS NOT NULL THEN 'failed'
                         ELSE 'completed' END,
                    id,
                    CASE WHEN subtype <> 'turn_aborted' AND payload_json ->> '$.error' IS NOT NULL
                         THEN payload_json -> '$.error' END,
                    ?3,
                    (SELECT MIN(created_at) FROM routed_notifications WHERE source_event_id = codex_events.id)
             FROM codex_events
             WHERE session_id = ?1 AND subtype IN ('task_complete', 'turn_complete', 'turn_aborted')
               AND byte_offset >= ?4
               AND id > COALESCE((SELECT MAX(event_id) FROM turn_facts WHERE session_id = ?1), 0)
             ORDER BY id
             ON CONFLICT (thread_id, turn_key) DO NOTHING",
        )?
        .execute((session_id, thread_id, now_iso(), from_offset as i64))?;
    Ok(adopted)
}

/// A row of `turn_facts`.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnFact {
    /// Row id; grows with time.
    pub id: i64,
    /// The thread.
    pub thread_id: String,
    /// Which turn of it.
    pub key: TurnKey,
    /// How it ended.
    pub outcome: TurnOutcome,
    /// The event that ended it.
    pub event_id: Option<i64>,
    /// Why it failed.
    pub error: Option<Value>,
}

impl TurnFact {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let outcome: String = row.get(3)?;
        let error: Option<String> = row.get(5)?;
        Ok(Self {
            id: row.get(0)?,
            thread_id: row.get(1)?,
            key: TurnKey::parse(&row.get::<_, String>(2)?),
            outcome: TurnOutcome::parse(&outcome).unwrap_or(TurnOutcome::Failed),
            event_id: row.get(4)?,
            error: error.and_then(|json| serde_json::from_str(&json).ok()),
        })
    }
}

/// The id of the newest fact of any session; 0 when there is none.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_id(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.prepare_cached("SELECT COALESCE(MAX(id), 0) FROM turn_facts")?.query_row([], |row| row.get(0))?)
}

/// The newest fact of a session.
///
/// # Errors
/// Whatever SQLite answers.
pub fn latest(conn: &Connection, session_id: &str) -> Result<Option<TurnFact>, StoreError> {
    let fact = conn
        .prepare_cached(
            "SELECT id, thread_id, turn_key, outcome, event_id, error_json
             FROM turn_facts WHERE session_id = ?1 ORDER BY id DESC LIMIT 1",
        )?
        .query_row([session_id], TurnFact::of)
        .optional()?;
    Ok(fact)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::codex_events::{self, NewEvent};
    use crate::store::testing::TestDb;

    #[test]
    fn a_turn_that_another_program_announced_is_not_announced_again() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        let mut events = Vec::new();
        for turn in ["announced", "new"] {
            let event = NewEvent {
                byte_offset: 0,
                timestamp: None,
                kind: "event_msg".into(),
                subtype: Some("task_complete".into()),
                payload: json!({ "type": "task_complete", "turn_id": turn }).to_string(),
            };
            events.push(codex_events::insert(&db.conn, &pair.worker.id, &event, "now").unwrap());
        }
        let notification = db.deliver(&pair, "done");
        db.conn
            .execute(
                "UPDATE routed_notifications SET source_event_id = ?1, created_at = 'then' WHERE id = ?2",
                (events[0], notification),
            )
            .unwrap();
        for expect in [2, 0] {
            assert_eq!(adopt_from_events(&db.conn, &pair.worker.id, "thread-1", 0).unwrap(), expect);
        }
        assert_eq!(
            db.texts(
                "SELECT turn_key || ' ' || coalesce(routed_at, 'not routed') FROM turn_facts ORDER BY id"
            ),
            ["announced then", "new not routed"]
        );
        assert_eq!(latest(&db.conn, &pair.worker.id).unwrap().unwrap().event_id, Some(events[1]));
    }
}
