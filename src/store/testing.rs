//! A real database in a directory of its own, with rows in it, for the tests of the stores.

mod long_history;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};
use serde_json::json;
use tempfile::TempDir;

pub(crate) use long_history::LongHistory;

use super::bindings::{self, BoundTask};
use super::commands::{Command, Enqueue, QueueOptions};
use super::sessions::{self, Session};
use super::tasks::{CreateTask, Task};
use super::telemetry::Telemetry;
use super::turn_facts::{self, NewFact};
use super::{Change, Query, StoreError, open, telemetry};
use crate::domain::command::QueuedCommand;
use crate::domain::ids::new_id;
use crate::domain::loop_templates::{LoopTemplate, Templates};
use crate::domain::time::now_iso;
use crate::domain::{Failure, Role, TurnKey, TurnOutcome};

/// A database that is deleted with its directory.
pub(crate) struct TestDb {
    pub(crate) conn: Connection,
    path: PathBuf,
    _dir: TempDir,
}

/// Opens a database as the writer does, creating it when needed.
pub(crate) fn connect(path: &Path) -> Connection {
    open::writer(path).unwrap()
}

/// A loop template of the program.
pub(crate) fn builtin_template(name: &str) -> LoopTemplate {
    Templates::builtin().find(name).unwrap().template
}

impl TestDb {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("workerctl.db");
        let conn = connect(&path);
        Self { conn, path, _dir: dir }
    }

    /// The file, for others to open as well.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A second connection, as another process has one.
    pub(super) fn connect(&self) -> Connection {
        connect(&self.path)
    }

    /// Runs a change as the writer does: an error undoes all of it.
    pub(crate) fn write<C: Change>(&mut self, change: C) -> Result<C::Out, StoreError> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let told = telemetry::newest(&tx).unwrap();
        let out = change.run(&tx)?;
        telemetry::enter_after(&tx, told).unwrap();
        tx.commit().unwrap();
        Ok(out)
    }

    /// The refusal of a change that must be refused.
    pub(crate) fn refusal<C: Change<Out: std::fmt::Debug>>(&mut self, change: C) -> Failure {
        match self.write(change).unwrap_err() {
            StoreError::Refused(failure) => failure,
            other => panic!("not a refusal: {other}"),
        }
    }

    /// Tells telemetry of one event.
    pub(super) fn tell(&self, event: &Telemetry<'_>) {
        let told = telemetry::newest(&self.conn).unwrap();
        telemetry::emit(&self.conn, event).unwrap();
        telemetry::enter_after(&self.conn, told).unwrap();
    }

    pub(crate) fn read<Q: Query>(&self, query: Q) -> Q::Out {
        query.run(&self.conn).unwrap()
    }

    pub(crate) fn task(&mut self, name: &str) -> Task {
        self.write(CreateTask { name: name.into(), goal: "Ship it".into(), summary: None }).unwrap()
    }

    pub(crate) fn session(&self, name: &str, role: Role) -> Session {
        self.conn
            .execute(
                "INSERT INTO sessions (id, name, role, identity_token, cwd, registered_at, state)
                 VALUES (?1, ?2, ?3, ?4, '/repo', ?5, 'active')",
                (new_id("session"), name, role.as_str(), new_id("session-token"), now_iso()),
            )
            .unwrap();
        sessions::get(&self.conn, name).unwrap()
    }

    /// A task with a worker `NAME-w` and a manager `NAME-m` bound to it.
    pub(crate) fn pair(&mut self, task: &str) -> BoundTask {
        let task = self.task(task);
        let worker = self.session(&format!("{}-w", task.name), Role::Worker);
        let manager = self.session(&format!("{}-m", task.name), Role::Manager);
        self.conn
            .execute(
                "INSERT INTO bindings (id, task_id, worker_session_id, manager_session_id, state, created_at)
                 VALUES (?1, ?2, ?3, ?4, 'active', ?5)",
                (new_id("binding"), &task.id, &worker.id, &manager.id, now_iso()),
            )
            .unwrap();
        bindings::bound_task(&self.conn, &task.id).unwrap()
    }

    /// A message from the manager to the worker, in the worker's inbox.
    pub(crate) fn deliver(&self, pair: &BoundTask, message: &str) -> i64 {
        self.conn
            .execute(
                "INSERT INTO routed_notifications (task_id, binding_id, correlation_id, source_session_id,
                     target_session_id, signal_type, dedupe_key, created_at, delivered_at, state, payload_json,
                     delivery_mode)
                 VALUES (?1, ?2, 'c', ?3, ?4, 'nudge_worker', ?5, ?6, ?6, 'delivered', ?7, 'pull_required')",
                (
                    &pair.task.id,
                    &pair.binding.id,
                    &pair.manager.id,
                    &pair.worker.id,
                    new_id("dedupe"),
                    now_iso(),
                    json!({ "message": message }).to_string(),
                ),
            )
            .unwrap();
        self.conn.last_insert_rowid()
    }

    /// A turn of the pair's worker ended.
    pub(crate) fn fact(&self, pair: &BoundTask, turn: &str, outcome: TurnOutcome) {
        let fact = NewFact {
            session_id: &pair.worker.id,
            thread_id: "thread-1",
            key: &TurnKey::Id(turn.into()),
            outcome,
            event_id: None,
            error: None,
        };
        turn_facts::record(&self.conn, &fact).unwrap();
    }

    /// Queues a message.
    pub(crate) fn enqueue(&mut self, command: QueuedCommand, task: &str, message: &str) -> Command {
        let enqueue = Enqueue {
            command,
            task: task.into(),
            message: message.into(),
            iteration: None,
            options: QueueOptions::default(),
        };
        self.write(enqueue).unwrap().command
    }

    /// The states of every row that dispatching moves, oldest first:
    /// `commands / attempts / notifications / deliveries`.
    pub(crate) fn ledger(&self) -> String {
        ["commands", "command_attempts", "routed_notifications", "deliveries"]
            .map(|table| self.texts(&format!("SELECT state FROM {table} ORDER BY rowid")).join(" "))
            .join(" / ")
    }

    /// The rows of a query with one text column.
    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        let mut statement = self.conn.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// The number that a query of one row and one column gives.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.conn.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// The rows of a query with one JSON column.
    pub(crate) fn jsons(&self, sql: &str) -> Vec<serde_json::Value> {
        self.texts(sql).iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }
}
