//! What is imported from the files of workers: each thing once, all of it or nothing.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

use super::workers::{RecordScreen, insert_screen, insert_status};
use super::{Change, Query, StoreError};
use crate::domain::Failure;
use crate::domain::ids::{new_id, new_token};
use crate::domain::legacy::WorkerStatus;
use crate::domain::time::now_iso;

/// One thing that a file says.
#[derive(Debug)]
pub struct Item {
    /// By which it is known again: of what kind, whose, where in the file, and the digest of its text.
    pub key: String,
    /// The worker's name.
    pub worker: String,
    /// The file.
    pub source: String,
    /// The digest of its text.
    pub sha256: String,
    /// What it says.
    pub content: Content,
}

/// What can be imported.
#[derive(Debug)]
pub enum Content {
    /// That there is a worker.
    Worker(ImportedWorker),
    /// What it says of itself.
    Status(WorkerStatus),
    /// What its terminal showed.
    Screen(Box<RecordScreen>),
    /// What was done to it.
    Event {
        /// What.
        event_type: String,
        /// When.
        created_at: String,
        /// What else is known.
        payload: Value,
    },
}

/// A worker, as its configuration has it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns of the contract")]
pub struct ImportedWorker {
    pub id: Option<String>,
    pub tmux_session: String,
    pub tmux_pane_id: Option<String>,
    pub identity_token: Option<String>,
    pub cwd: String,
    pub state: Option<String>,
    pub created_at: Option<String>,
}

/// Those of the items that are not imported yet, by their keys. Refuses what could not be imported.
#[derive(Debug)]
pub struct NotYetImported(pub Vec<Item>);

impl Query for NotYetImported {
    type Out = HashSet<String>;

    fn run(self, conn: &Connection) -> Result<HashSet<String>, StoreError> {
        let mut missing = HashSet::new();
        for item in self.0 {
            if is_imported(conn, &item.key)? {
                continue;
            }
            if let Content::Worker(worker) = &item.content {
                refuse_conflicts(conn, &item, worker)?;
            }
            missing.insert(item.key);
        }
        Ok(missing)
    }
}

/// Imports what is not imported yet; gives the keys of that.
#[derive(Debug)]
pub struct Import(pub Vec<Item>);

impl Change for Import {
    type Out = HashSet<String>;

    fn run(self, tx: &Connection) -> Result<HashSet<String>, StoreError> {
        let mut imported = HashSet::new();
        for item in self.0 {
            if is_imported(tx, &item.key)? {
                continue;
            }
            tx.prepare_cached(
                "INSERT INTO data_migrations (name, source_path, source_hash, applied_at) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((&item.key, &item.source, &item.sha256, now_iso()))?;
            imported.insert(item.key.clone());
            import(tx, item)?;
        }
        Ok(imported)
    }
}

fn is_imported(conn: &Connection, key: &str) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached("SELECT 1 FROM data_migrations WHERE name = ?1")?.exists([key])?)
}

fn import(tx: &Connection, item: Item) -> Result<(), StoreError> {
    if let Content::Worker(worker) = &item.content {
        refuse_conflicts(tx, &item, worker)?;
        return upsert(tx, &item.worker, worker);
    }
    let worker_id: String = tx
        .prepare_cached("SELECT id FROM workers WHERE name = ?1")?
        .query_row([&item.worker], |row| row.get(0))?;
    match item.content {
        Content::Worker(_) => Ok(()),
        Content::Status(status) => insert_status(tx, &worker_id, &status),
        Content::Screen(screen) => insert_screen(tx, &worker_id, &screen),
        Content::Event { event_type, created_at, payload } => {
            tx.prepare_cached(
                "INSERT INTO events (created_at, actor, worker_id, type, payload_json) VALUES (?1, 'compat', ?2, ?3, ?4)",
            )?
            .execute((created_at, worker_id, event_type, payload.to_string()))?;
            Ok(())
        }
    }
}

fn upsert(tx: &Connection, name: &str, worker: &ImportedWorker) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO workers (id, name, tmux_session, tmux_pane_id, identity_token, cwd, state, created_at, updated_at)
         VALUES (coalesce(?1, ?9), ?2, ?3, ?4, coalesce(?5, ?10), ?6, coalesce(?7, 'candidate'), coalesce(?8, ?11), ?11)
         ON CONFLICT (name) DO UPDATE SET tmux_session = ?3, tmux_pane_id = coalesce(?4, tmux_pane_id),
             identity_token = coalesce(?5, identity_token), cwd = ?6, state = coalesce(?7, state), updated_at = ?11",
    )?
    .execute((
        &worker.id,
        name,
        &worker.tmux_session,
        &worker.tmux_pane_id,
        &worker.identity_token,
        &worker.cwd,
        &worker.state,
        &worker.created_at,
        new_id("worker"),
        new_token("workerctl"),
        now_iso(),
    ))?;
    Ok(())
}

/// What two workers cannot share.
fn refuse_conflicts(conn: &Connection, item: &Item, worker: &ImportedWorker) -> Result<(), StoreError> {
    let unique = [
        ("tmux session", "tmux_session", Some(&worker.tmux_session)),
        ("identity token", "identity_token", worker.identity_token.as_ref()),
        ("worker id", "id", worker.id.as_ref()),
    ];
    for (what, column, value) in unique {
        let Some(value) = value else { continue };
        let sql = format!("SELECT name FROM workers WHERE {column} = ?1 AND name <> ?2");
        let other: Option<String> =
            conn.prepare_cached(&sql)?.query_row([value, &item.worker], |row| row.get(0)).optional()?;
        if let Some(other) = other {
            let problem = format!("{}: {what} {value:?} is that of worker {other}", item.source);
            return Err(Failure::refused(format!("nothing was imported: {problem}"))
                .hint(
                    "two workers cannot share it: correct the file, or import the others with --worker NAME",
                )
                .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;
    use serde_json::json;

    fn worker(name: &str, token: &str, state: Option<&str>) -> Item {
        let content = Content::Worker(ImportedWorker {
            id: None,
            tmux_session: format!("codex-{name}"),
            tmux_pane_id: None,
            identity_token: Some(token.into()),
            cwd: "/repo".into(),
            state: state.map(str::to_owned),
            created_at: Some("2025-01-01T00:00:00Z".into()),
        });
        item(name, &format!("worker {name} {token} {state:?}"), content)
    }

    fn item(name: &str, key: &str, content: Content) -> Item {
        Item {
            key: key.into(),
            worker: name.into(),
            source: format!("/{name}/f"),
            sha256: "x".into(),
            content,
        }
    }

    fn event(name: &str, key: &str) -> Item {
        let (event_type, created_at) = ("compat_nudge".into(), "2025-01-01T00:00:00Z".into());
        item(name, key, Content::Event { event_type, created_at, payload: json!({}) })
    }

    #[test]
    fn each_thing_is_imported_once() {
        let mut db = TestDb::new();
        let items = || vec![worker("a", "t-a", Some("active")), event("a", "1"), event("a", "2")];
        assert_eq!(db.read(NotYetImported(items())).len(), 3);
        assert_eq!(db.write(Import(items())).unwrap().len(), 3);
        assert_eq!(db.write(Import(items())).unwrap().len(), 0);
        assert_eq!(db.read(NotYetImported(items())).len(), 0);
        assert_eq!(db.number("SELECT count(*) FROM events WHERE created_at = '2025-01-01T00:00:00Z'"), 2);
        // A configuration that says no more of its state changes none.
        db.write(Import(vec![worker("a", "t-a", None)])).unwrap();
        assert_eq!(db.texts("SELECT state FROM workers"), ["active"]);
    }

    #[test]
    fn what_cannot_be_imported_keeps_everything_out() {
        let mut db = TestDb::new();
        let items = || vec![worker("a", "same", None), event("a", "1"), worker("b", "same", None)];
        let refused = db.write(Import(items())).unwrap_err().to_string();
        assert!(refused.contains("/b/f: identity token \"same\" is that of worker a"), "{refused}");
        for table in ["workers", "events", "data_migrations"] {
            assert_eq!(db.number(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
        }
    }
}
