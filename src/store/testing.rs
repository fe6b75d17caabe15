//! A real database in a directory of its own, with rows in it, for the tests of the stores.

use rusqlite::Connection;
use tempfile::TempDir;

use super::bindings::{self, BoundTask};
use super::sessions::{self, Session};
use super::tasks::{CreateTask, Task};
use super::{Change, Query, StoreError, open};
use crate::domain::ids::new_id;
use crate::domain::time::now_iso;
use crate::domain::{Failure, Role};

/// A database that is deleted with its directory.
pub(super) struct TestDb {
    pub(super) conn: Connection,
    _dir: TempDir,
}

impl TestDb {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let conn = open::writer(&dir.path().join("workerctl.db")).unwrap();
        Self { conn, _dir: dir }
    }

    /// Runs a change as the writer does: an error undoes all of it.
    pub(super) fn write<C: Change>(&mut self, change: C) -> Result<C::Out, StoreError> {
        let tx = self.conn.transaction().unwrap();
        let out = change.run(&tx)?;
        tx.commit().unwrap();
        Ok(out)
    }

    /// The refusal of a change that must be refused.
    pub(super) fn refusal<C: Change<Out: std::fmt::Debug>>(&mut self, change: C) -> Failure {
        match self.write(change).unwrap_err() {
            StoreError::Refused(failure) => failure,
            other => panic!("not a refusal: {other}"),
        }
    }

    pub(super) fn read<Q: Query>(&self, query: Q) -> Q::Out {
        query.run(&self.conn).unwrap()
    }

    pub(super) fn task(&mut self, name: &str) -> Task {
        self.write(CreateTask { name: name.into(), goal: "Ship it".into(), summary: None }).unwrap()
    }

    pub(super) fn session(&self, name: &str, role: Role) -> Session {
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
    pub(super) fn pair(&mut self, task: &str) -> BoundTask {
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

    /// The rows of a query with one text column.
    pub(super) fn texts(&self, sql: &str) -> Vec<String> {
        let mut statement = self.conn.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// The number that a query of one row and one column gives.
    pub(super) fn number(&self, sql: &str) -> i64 {
        self.conn.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// The rows of a query with one JSON column.
    pub(super) fn jsons(&self, sql: &str) -> Vec<serde_json::Value> {
        self.texts(sql).iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }
}
