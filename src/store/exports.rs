//! Exports: that the records of a task were written to files.

use std::path::PathBuf;

use rusqlite::Connection;
use serde_json::json;

use super::events::{self, Event};
use super::scope::Scope;
use super::{Change, StoreError};

const EVENT_TYPE: &str = "task_exported";

/// Records that a task was exported.
#[derive(Debug)]
pub struct RecordExport {
    /// The task's id.
    pub task_id: String,
    /// The directory.
    pub directory: PathBuf,
    /// The archive, when one was written.
    pub archive: Option<PathBuf>,
    /// Texts of terminals are in it.
    pub with_texts: bool,
}

impl Change for RecordExport {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        let payload = json!({
            "archive": self.archive,
            "directory": self.directory,
            "with_texts": self.with_texts,
        });
        let event = Event {
            actor: "workerctl",
            event_type: EVENT_TYPE,
            task_id: Some(&self.task_id),
            payload,
            ..Event::default()
        };
        events::record(tx, &event)?;
        Ok(())
    }
}

/// How many exports there were.
///
/// # Errors
/// Whatever SQLite answers.
pub fn count(conn: &Connection, scope: &Scope) -> Result<i64, StoreError> {
    let filter = scope.filter("task_id", Some("created_at")).and("type = 'task_exported'");
    let sql = format!("SELECT COUNT(*) FROM events WHERE {}", filter.sql());
    Ok(conn.prepare_cached(&sql)?.query_row(filter.values(), |row| row.get(0))?)
}
