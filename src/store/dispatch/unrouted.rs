//! Facts about bound workers that nobody was told of: how their turns ended, and what became known
//! about them beside their turns. One shape for both.

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Value, json};

use crate::domain::TurnOutcome;
use crate::domain::redaction::redact_wait;
use crate::domain::session_fact::SessionFactKind;
use crate::domain::signal::{session_message, turn_message, turn_signal};
use crate::store::sessions::Session;
use crate::store::{StoreError, row};

/// A fact about a bound worker that nobody was told of.
pub(super) struct Fact {
    id: i64,
    news: News,
    /// The rollout event it came from.
    pub(super) event_id: Option<i64>,
    /// How it reaches the manager.
    pub(super) signal: &'static str,
    pub(super) binding_id: String,
    pub(super) task_id: String,
    pub(super) worker_id: String,
    pub(super) manager_id: String,
}

enum News {
    TurnEnded(TurnOutcome),
    BecameKnown { kind: SessionFactKind, recorded_at: String, detail: Value },
}

/// Where facts of one kind are. Each query is driven by the live bindings, of which there are few,
/// not by the facts, of which there are many.
struct Table {
    columns: &'static str,
    name: &'static str,
    condition: &'static str,
    read: fn(&Row<'_>) -> rusqlite::Result<(News, &'static str)>,
}

const TABLES: [Table; 2] = [
    Table {
        columns: "f.event_id, f.outcome, NULL, NULL",
        name: "turn_facts",
        condition: "",
        read: turn_ended,
    },
    Table {
        columns: "NULL, f.kind, f.recorded_at, f.detail_json",
        name: "session_facts",
        // What is not so any more is nobody's concern.
        condition: "AND f.cleared_at IS NULL AND f.kind IN ('exited', 'waiting', 'unreadable')",
        read: became_known,
    },
];

fn turn_ended(row: &Row<'_>) -> rusqlite::Result<(News, &'static str)> {
    let outcome: String = row.get(6)?;
    let outcome = TurnOutcome::parse(&outcome).unwrap_or(TurnOutcome::Failed);
    Ok((News::TurnEnded(outcome), turn_signal(outcome)))
}

fn became_known(row: &Row<'_>) -> rusqlite::Result<(News, &'static str)> {
    let kind: SessionFactKind = row::word(row, 6)?;
    let signal = kind.signal().unwrap_or(kind.as_str());
    Ok((News::BecameKnown { kind, recorded_at: row.get(7)?, detail: row::json(row, 8)? }, signal))
}

impl Table {
    fn unrouted(&self) -> String {
        let Self { columns, name, condition, .. } = self;
        format!(
            "SELECT f.id, b.id, b.task_id, b.worker_session_id, b.manager_session_id, {columns}
             FROM bindings b INDEXED BY one_active_binding_per_worker_session
             CROSS JOIN {name} f INDEXED BY {name}_unrouted
             WHERE b.state IN ('active', 'ending') AND b.manager_session_id IS NOT NULL
               AND f.session_id = b.worker_session_id AND f.routed_at IS NULL {condition}"
        )
    }

    fn fact(&self, row: &Row<'_>) -> rusqlite::Result<Fact> {
        let (news, signal) = (self.read)(row)?;
        Ok(Fact {
            id: row.get(0)?,
            binding_id: row.get(1)?,
            task_id: row.get(2)?,
            worker_id: row.get(3)?,
            manager_id: row.get(4)?,
            event_id: row.get(5)?,
            news,
            signal,
        })
    }
}

/// The oldest facts that nobody was told of, those about turns first.
pub(super) fn unrouted(conn: &Connection, limit: usize) -> Result<Vec<Fact>, StoreError> {
    let mut facts = Vec::new();
    for table in &TABLES {
        let left = limit - facts.len();
        let mut statement = conn.prepare_cached(&format!("{} ORDER BY f.id LIMIT ?1", table.unrouted()))?;
        for fact in statement.query_map([left as i64], |row| table.fact(row))? {
            facts.push(fact?);
        }
    }
    Ok(facts)
}

/// Those of one binding, in the same order.
pub(super) fn unrouted_of(conn: &Connection, binding_id: &str) -> Result<Vec<Fact>, StoreError> {
    let mut facts = Vec::new();
    for table in &TABLES {
        let mut statement =
            conn.prepare_cached(&format!("{} AND b.id = ?1 ORDER BY f.id", table.unrouted()))?;
        for fact in statement.query_map([binding_id], |row| table.fact(row))? {
            facts.push(fact?);
        }
    }
    Ok(facts)
}

pub(super) fn any_unrouted(conn: &Connection) -> Result<bool, StoreError> {
    for table in &TABLES {
        let sql = format!("SELECT EXISTS ({})", table.unrouted());
        if conn.prepare_cached(&sql)?.query_row([], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Fact {
    /// One notification a fact: the event it came from, or, where there is none, the fact.
    pub(super) fn dedupe_key(&self) -> String {
        let source = match (self.event_id, &self.news) {
            (Some(event_id), _) => event_id.to_string(),
            (None, News::TurnEnded(_)) => format!("fact-{}", self.id),
            (None, News::BecameKnown { .. }) => format!("session-fact-{}", self.id),
        };
        format!("{}:{}:{}:{source}", self.binding_id, self.signal, self.worker_id)
    }

    pub(super) fn mark_routed(&self, conn: &Connection, now: &str) -> Result<(), StoreError> {
        let sql = match self.news {
            News::TurnEnded(_) => "UPDATE turn_facts SET routed_at = ?2 WHERE id = ?1",
            News::BecameKnown { .. } => "UPDATE session_facts SET routed_at = ?2 WHERE id = ?1",
        };
        conn.prepare_cached(sql)?.execute((self.id, now))?;
        Ok(())
    }

    /// What happened, in a few words for the record.
    pub(super) fn what(&self) -> &'static str {
        match &self.news {
            News::TurnEnded(_) => "a worker's turn ended",
            News::BecameKnown { kind: SessionFactKind::Waiting, .. } => "a worker waits for somebody",
            News::BecameKnown { kind: SessionFactKind::Unreadable, .. } => {
                "a worker's rollout cannot be read"
            }
            News::BecameKnown { .. } => "a worker's process is gone",
        }
    }

    /// What a manager is told. Nothing the worker wrote: a manager reads that when it looks.
    pub(super) fn message(&self, worker: &str, task: &str) -> String {
        match &self.news {
            News::TurnEnded(outcome) => turn_message(*outcome, worker, task),
            News::BecameKnown { kind, .. } => session_message(*kind, worker, task),
        }
    }

    /// What the notification's payload says about this kind of fact.
    pub(super) fn payload(&self, conn: &Connection, worker: &Session) -> Result<Value, StoreError> {
        Ok(match &self.news {
            News::TurnEnded(outcome) => {
                let receipt = self.worker_receipt(conn, *outcome, worker)?;
                json!({"outcome": outcome, "worker_receipt": receipt})
            }
            News::BecameKnown { kind, recorded_at, detail } => {
                json!({"session_fact": {"detail": redact_wait(detail.clone()), "kind": kind, "recorded_at": recorded_at}})
            }
        })
    }

    /// The facts of the turn's end.
    fn worker_receipt(
        &self,
        conn: &Connection,
        outcome: TurnOutcome,
        worker: &Session,
    ) -> Result<Value, StoreError> {
        let event: Option<(String, String)> = conn
            .prepare_cached("SELECT timestamp, payload_json FROM codex_events WHERE id = ?1")?
            .query_row([self.event_id], |row| row.try_into())
            .optional()?;
        let (timestamp, payload) = event.unzip();
        let end: Value = payload.and_then(|payload| serde_json::from_str(&payload).ok()).unwrap_or_default();
        Ok(json!({
            "completed_at": end["completed_at"],
            "duration_ms": end["duration_ms"],
            "error": end["error"],
            "last_agent_message": end["last_agent_message"],
            "outcome": outcome,
            "source_event_id": self.event_id,
            "source_event_timestamp": timestamp,
            "source_session": worker.name,
            "time_to_first_token_ms": end["time_to_first_token_ms"],
            "turn_id": end["turn_id"],
        }))
    }
}
