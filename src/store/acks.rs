//! Acknowledgements: what a worker or a manager said it understood, revision by revision.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::events::{self, Event};
use super::page::{self, Newest, Page, Source};
use super::{Change, Query, StoreError, bindings, manager_config, row, tasks};
use crate::domain::Role;
use crate::domain::time::now_iso;

/// A row of `task_acknowledgements`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ack {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// The binding under which it was given.
    pub binding_id: Option<String>,
    /// Who gave it.
    pub role: Role,
    /// What was said.
    pub payload: Value,
    /// Counts up from 1 for each task and role.
    pub revision: i64,
    /// The revision of the manager's config that it was about.
    pub manager_config_revision: Option<i64>,
    /// When it was given.
    pub created_at: String,
    /// Ties it to its cause.
    pub correlation_id: Option<String>,
}

const COLUMNS: &str = "id, task_id, binding_id, role, payload_json, revision, manager_config_revision, \
    created_at, correlation_id";

impl Ack {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            binding_id: row.get(2)?,
            role: row::word(row, 3)?,
            payload: row::json(row, 4)?,
            revision: row.get(5)?,
            manager_config_revision: row.get(6)?,
            created_at: row.get(7)?,
            correlation_id: row.get(8)?,
        })
    }
}

/// The latest acknowledgement of one side.
///
/// # Errors
/// Whatever SQLite answers.
pub fn latest(conn: &Connection, task_id: &str, role: Role) -> Result<Option<Ack>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM task_acknowledgements WHERE task_id = ?1 AND role = ?2
         ORDER BY revision DESC, id DESC LIMIT 1"
    );
    Ok(conn.prepare_cached(&sql)?.query_row((task_id, role.as_str()), Ack::of).optional()?)
}

/// The newest acknowledgements of a task, of both sides.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_of_task(conn: &Connection, task_id: &str, page: &Page) -> Result<Newest<Ack>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM task_acknowledgements");
    let source = Source {
        select: &select,
        of_task: "task_id = ?1",
        at: "created_at",
        order: "id",
        written_at_once: None,
    };
    page::newest(conn, &source, task_id, page, Ack::of)
}

/// The latest acknowledgement of one side of a task named by a person.
#[derive(Debug)]
pub struct LatestAck {
    /// The task, by id or name.
    pub task: String,
    /// Whose.
    pub role: Role,
}

impl Query for LatestAck {
    type Out = Option<Ack>;

    fn run(self, conn: &Connection) -> Result<Option<Ack>, StoreError> {
        latest(conn, &tasks::get(conn, &self.task)?.id, self.role)
    }
}

/// Records what one side says it understood, and its audit event. It holds for the binding and the
/// revision of the contract of this moment.
#[derive(Debug)]
pub struct RecordAck {
    /// The task, by id or name.
    pub task: String,
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub payload: Map<String, Value>,
    /// Ties it to its cause.
    pub correlation_id: Option<String>,
}

impl Change for RecordAck {
    type Out = Ack;

    fn run(self, tx: &Connection) -> Result<Ack, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        let binding_id = bindings::live_of_task(tx, &task.id)?.map(|binding| binding.id);
        let config_revision = manager_config::find(tx, &task.id)?.map(|config| config.revision);
        let revision = latest(tx, &task.id, self.role)?.map_or(1, |ack| ack.revision + 1);
        let payload_keys: Vec<String> = self.payload.keys().cloned().collect();
        let ack: Ack = tx
            .prepare_cached(&format!(
                "INSERT INTO task_acknowledgements (task_id, binding_id, role, payload_json, revision,
                     manager_config_revision, created_at, correlation_id)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING {COLUMNS}"
            ))?
            .query_row(
                (
                    &task.id,
                    &binding_id,
                    self.role.as_str(),
                    Value::Object(self.payload).to_string(),
                    revision,
                    config_revision,
                    now_iso(),
                    &self.correlation_id,
                ),
                Ack::of,
            )?;
        events::record(
            tx,
            &Event {
                actor: "workerctl",
                event_type: &format!("{}_ack_recorded", self.role),
                task_id: Some(&task.id),
                correlation_id: self.correlation_id.as_deref(),
                payload: json!({
                    "ack_id": ack.id, "binding_id": binding_id, "payload_keys": payload_keys, "role": self.role,
                }),
                ..Event::default()
            },
        )?;
        Ok(ack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::manager_config::{ConfigChange, Configure};
    use crate::store::testing::TestDb;

    fn ack(role: Role) -> RecordAck {
        let payload = json!({"ready_to_start": true, "goal_restatement": "Ship it"});
        let payload = payload.as_object().unwrap().clone();
        RecordAck { task: "one".into(), role, payload, correlation_id: Some("c".into()) }
    }

    #[test]
    fn each_side_counts_its_own_revisions_and_the_latest_counts() {
        let mut db = TestDb::new();
        db.task("one");
        let latest = |db: &TestDb, role| db.read(LatestAck { task: "one".into(), role });
        assert_eq!(latest(&db, Role::Worker), None);
        let revisions: Vec<i64> = [Role::Worker, Role::Manager, Role::Worker]
            .map(|role| db.write(ack(role)).unwrap().revision)
            .into();
        assert_eq!(revisions, [1, 1, 2]);
        assert_eq!(latest(&db, Role::Worker).unwrap().id, 3);
        assert_eq!(latest(&db, Role::Manager).unwrap().id, 2);
    }

    #[test]
    fn an_ack_holds_for_the_binding_and_contract_of_its_moment() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        let first = db.write(ack(Role::Worker)).unwrap();
        assert_eq!((first.binding_id, first.manager_config_revision), (Some(pair.binding.id), None));
        db.write(Configure { task: "one".into(), change: ConfigChange::default() }).unwrap();
        db.conn.execute("UPDATE bindings SET state = 'ended'", []).unwrap();
        let second = db.write(ack(Role::Worker)).unwrap();
        assert_eq!((second.binding_id, second.manager_config_revision), (None, Some(1)));
        assert_eq!(
            db.jsons(
                "SELECT payload_json FROM events WHERE type = 'worker_ack_recorded' AND correlation_id = 'c'"
            )[1],
            json!({
                "ack_id": 2, "binding_id": null, "payload_keys": ["goal_restatement", "ready_to_start"], "role": "worker",
            })
        );
    }
}
