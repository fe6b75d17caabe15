//! Handoffs: where a worker says it stands.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::events::{self, Event};
use super::page::{self, Newest, Page, Source};
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, StoreError, bindings, row, tasks};
use crate::domain::Failure;
use crate::domain::time::now_iso;

/// A row of `worker_handoffs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handoff {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// The worker that wrote it.
    pub worker_session_id: Option<String>,
    /// Where the work stands.
    pub summary: String,
    /// What is to be done next, in order.
    pub next_steps: Vec<String>,
    /// What else was said.
    pub payload: Value,
    /// When it was written.
    pub created_at: String,
}

const COLUMNS: &str = "id, task_id, worker_session_id, summary, next_steps_json, payload_json, created_at";

impl Handoff {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            worker_session_id: row.get(2)?,
            summary: row.get(3)?,
            next_steps: row::json(row, 4)?,
            payload: row::json(row, 5)?,
            created_at: row.get(6)?,
        })
    }
}

/// The latest handoff of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn latest(conn: &Connection, task_id: &str) -> Result<Option<Handoff>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM worker_handoffs WHERE task_id = ?1 ORDER BY id DESC LIMIT 1");
    Ok(conn.prepare_cached(&sql)?.query_row([task_id], Handoff::of).optional()?)
}

/// The newest handoffs of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_of_task(conn: &Connection, task_id: &str, page: &Page) -> Result<Newest<Handoff>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM worker_handoffs");
    let source = Source {
        select: &select,
        of_task: "task_id = ?1",
        at: "created_at",
        order: "id",
        written_at_once: None,
    };
    page::newest(conn, &source, task_id, page, Handoff::of)
}

/// Records where a task's worker stands, with its audit event and telemetry.
#[derive(Debug)]
pub struct RecordHandoff {
    /// The task, by id or name.
    pub task: String,
    /// Where the work stands.
    pub summary: String,
    /// What is to be done next, in order.
    pub next_steps: Vec<String>,
    /// What else there is to say.
    pub payload: Map<String, Value>,
}

impl Change for RecordHandoff {
    type Out = Handoff;

    fn run(self, tx: &Connection) -> Result<Handoff, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        if self.summary.trim().is_empty() {
            return Err(Failure::usage("no handoff was recorded: its summary is empty")
                .hint("say what was done and what comes next with --summary TEXT")
                .into());
        }
        let worker = bindings::live_of_task(tx, &task.id)?.map(|binding| binding.worker_session_id);
        let handoff: Handoff = tx
            .prepare_cached(&format!(
                "INSERT INTO worker_handoffs (task_id, worker_session_id, summary, next_steps_json, payload_json, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING {COLUMNS}"
            ))?
            .query_row(
                (
                    &task.id,
                    &worker,
                    &self.summary,
                    json!(self.next_steps).to_string(),
                    Value::Object(self.payload).to_string(),
                    now_iso(),
                ),
                Handoff::of,
            )?;
        tell(tx, &handoff)?;
        Ok(handoff)
    }
}

fn tell(conn: &Connection, handoff: &Handoff) -> Result<(), StoreError> {
    let facts = json!({
        "handoff_id": handoff.id,
        "next_step_count": handoff.next_steps.len(),
        "worker_session_id": handoff.worker_session_id,
    });
    let mut payload = facts.clone();
    payload["summary"] = json!(handoff.summary);
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "worker_handoff_recorded",
            task_id: Some(&handoff.task_id),
            payload,
            ..Event::default()
        },
    )?;
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Worker,
            event_type: "worker_handoff_recorded",
            severity: Severity::Info,
            summary: "worker handoff recorded",
            task_id: Some(&handoff.task_id),
            run_id: None,
            correlation: json!({ "handoff_id": handoff.id, "worker_session_id": handoff.worker_session_id }),
            attributes: facts,
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    fn record(task: &str, summary: &str) -> RecordHandoff {
        let next_steps = vec!["tests".into(), "docs".into()];
        RecordHandoff { task: task.into(), summary: summary.into(), next_steps, payload: Map::new() }
    }

    #[test]
    fn the_latest_handoff_counts_and_names_the_bound_worker() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        let alone = db.task("alone");
        db.write(record("one", "halfway")).unwrap();
        let second = db.write(record("one", "nearly")).unwrap();
        assert_eq!(second.worker_session_id.as_deref(), Some(&*pair.worker.id));
        assert_eq!(second.next_steps, ["tests", "docs"]);
        assert_eq!(latest(&db.conn, &pair.task.id).unwrap(), Some(second));
        assert_eq!(latest(&db.conn, &alone.id).unwrap(), None);
        assert_eq!(db.write(record("alone", "s")).unwrap().worker_session_id, None);
    }

    #[test]
    fn a_handoff_is_on_record_and_one_that_says_nothing_is_none() {
        let mut db = TestDb::new();
        db.task("one");
        db.write(record("one", "halfway")).unwrap();
        assert!(db.refusal(record("one", " ")).message.contains("empty"));
        assert!(db.refusal(record("nope", "s")).message.contains("nope"));
        let told = "SELECT type FROM events WHERE type = 'worker_handoff_recorded'
                    UNION ALL SELECT event_type FROM telemetry_events";
        assert_eq!(db.texts(told), ["worker_handoff_recorded", "worker_handoff_recorded"]);
    }
}
