//! Workers as the first agent-conveyor knew them: their rows, their statuses and their screens.

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::json;

use super::events::{self, Event};
use super::{Change, Query, StoreError, row};
use crate::domain::Failure;
use crate::domain::ids::{new_id, new_token};
use crate::domain::legacy::WorkerStatus;
use crate::domain::time::now_iso;

/// A worker, as its files describe it.
#[derive(Debug, Clone)]
pub struct KnownWorker {
    /// Its name, unique.
    pub name: String,
    /// The id that its files give it.
    pub id: Option<String>,
    /// Its tmux session, unique.
    pub tmux_session: String,
    /// The token that its files give it.
    pub identity_token: Option<String>,
    /// Where it works.
    pub cwd: String,
}

/// The id of a worker's row, which is made when there is none.
pub(super) fn row_of(conn: &Connection, worker: &KnownWorker) -> Result<String, StoreError> {
    let find = "SELECT id FROM workers WHERE name = ?1";
    let known: Option<String> =
        conn.prepare_cached(find)?.query_row([&worker.name], |row| row.get(0)).optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    let id = worker.id.clone().unwrap_or_else(|| new_id("worker"));
    // Files may be copied, and with them what was to be unique.
    conn.prepare_cached(
        "INSERT INTO workers (id, name, tmux_session, identity_token, cwd, state, created_at, updated_at)
         VALUES (?1, ?2, ?3, CASE WHEN ?4 IS NULL OR EXISTS (SELECT 1 FROM workers WHERE identity_token = ?4) THEN ?5 ELSE ?4 END,
             ?6, 'active', ?7, ?7)",
    )?
    .execute((
        &id,
        &worker.name,
        &worker.tmux_session,
        &worker.identity_token,
        new_token("workerctl"),
        &worker.cwd,
        now_iso(),
    ))?;
    Ok(id)
}

/// Refuses a tmux session that is another worker's.
pub(super) fn refuse_taken_terminal(
    conn: &Connection,
    name: &str,
    tmux_session: &str,
) -> Result<(), StoreError> {
    let find = "SELECT name FROM workers WHERE tmux_session = ?1 AND name <> ?2";
    let taken: Option<String> =
        conn.prepare_cached(find)?.query_row([tmux_session, name], |row| row.get(0)).optional()?;
    match taken {
        None => Ok(()),
        Some(other) => {
            Err(Failure::refused(format!("tmux session {tmux_session} is the terminal of worker {other}"))
                .hint("choose another name")
                .into())
        }
    }
}

pub(super) fn insert_status(
    conn: &Connection,
    worker_id: &str,
    status: &WorkerStatus,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO statuses (worker_id, state, current_task, next_action, blocker, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        worker_id,
        status.state.as_str(),
        &status.current_task,
        &status.next_action,
        &status.blocker,
        status.last_update.clone().unwrap_or_else(now_iso),
    ))?;
    Ok(())
}

/// Records what a worker says of itself.
#[derive(Debug)]
pub struct RecordStatus {
    /// Who.
    pub worker: KnownWorker,
    /// What.
    pub status: WorkerStatus,
}

impl Change for RecordStatus {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        let worker_id = row_of(tx, &self.worker)?;
        insert_status(tx, &worker_id, &self.status)?;
        let WorkerStatus { state, current_task, next_action, blocker, .. } = self.status;
        let said = json!({
            "blocker": blocker, "current_task": current_task, "next_action": next_action, "state": state,
        });
        let event =
            Event { actor: "workerctl", event_type: "status_updated", payload: said, ..Event::default() };
        events::record_of_worker(tx, &worker_id, &event)?;
        Ok(())
    }
}

/// The newest status on record of the worker with this name.
#[derive(Debug)]
pub struct LatestStatus(pub String);

impl Query for LatestStatus {
    type Out = Option<WorkerStatus>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        let of = |row: &Row<'_>| {
            Ok(WorkerStatus {
                state: row::word(row, 0)?,
                current_task: row.get(1)?,
                next_action: row.get(2)?,
                blocker: row.get(3)?,
                last_update: row.get(4)?,
            })
        };
        Ok(conn
            .prepare_cached(
                "SELECT s.state, s.current_task, s.next_action, s.blocker, s.created_at
                 FROM statuses s JOIN workers w ON w.id = s.worker_id WHERE w.name = ?1 ORDER BY s.id DESC LIMIT 1",
            )?
            .query_row([self.0], of)
            .optional()?)
    }
}

/// Records what a worker's terminal showed: the text only when it has changed.
#[derive(Debug)]
pub struct RecordScreen {
    /// Whose.
    pub worker: KnownWorker,
    /// The text, when it is not what was shown the last time.
    pub changed: Option<String>,
    /// The digest of the text.
    pub sha256: String,
    /// When it was read.
    pub captured_at: String,
    /// Since when it is like that.
    pub changed_at: String,
    /// How much of the past was read.
    pub history_lines: u32,
    /// The size of the text.
    pub byte_count: usize,
    /// Its lines.
    pub line_count: usize,
}

impl Change for RecordScreen {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        let worker_id = row_of(tx, &self.worker)?;
        insert_screen(tx, &worker_id, &self)
    }
}

pub(super) fn insert_screen(
    conn: &Connection,
    worker_id: &str,
    screen: &RecordScreen,
) -> Result<(), StoreError> {
    let kind = if screen.changed.is_some() { "changed" } else { "metadata_only" };
    conn.prepare_cached(
        "INSERT INTO transcript_captures (worker_id, sha256, content, captured_at, changed_at, history_lines,
             byte_count, line_count, capture_kind, retention_class)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'hot')",
    )?
    .execute((
        worker_id,
        &screen.sha256,
        &screen.changed,
        &screen.captured_at,
        &screen.changed_at,
        screen.history_lines,
        screen.byte_count as i64,
        screen.line_count as i64,
        kind,
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::legacy::WorkerState;
    use crate::store::testing::TestDb;

    fn worker(name: &str) -> KnownWorker {
        KnownWorker {
            name: name.into(),
            id: None,
            tmux_session: format!("codex-{name}"),
            identity_token: Some("workerctl-fixed".into()),
            cwd: "/repo".into(),
        }
    }

    fn says(name: &str, state: WorkerState) -> RecordStatus {
        RecordStatus { worker: worker(name), status: WorkerStatus { state, ..WorkerStatus::unknown() } }
    }

    #[test]
    fn a_worker_gets_one_row_and_its_newest_status_counts() {
        let mut db = TestDb::new();
        assert_eq!(db.read(LatestStatus("w".into())), None);
        db.write(says("w", WorkerState::Editing)).unwrap();
        db.write(says("w", WorkerState::Blocked)).unwrap();
        assert_eq!(db.read(LatestStatus("w".into())).unwrap().state, WorkerState::Blocked);
        db.write(says("copied", WorkerState::Done)).unwrap();
        assert_eq!(db.texts("SELECT name FROM workers ORDER BY name"), ["copied", "w"]);
        assert_eq!(db.texts("SELECT identity_token FROM workers WHERE name = 'w'"), ["workerctl-fixed"]);
        let of_worker = "SELECT e.type FROM events e JOIN workers w ON w.id = e.worker_id WHERE w.name = 'w'";
        assert_eq!(db.texts(of_worker), ["status_updated", "status_updated"]);
    }

    #[test]
    fn a_screen_is_kept_once() {
        let mut db = TestDb::new();
        let mut shows = |text: Option<&str>| {
            db.write(RecordScreen {
                worker: worker("w"),
                changed: text.map(Into::into),
                sha256: "x".into(),
                captured_at: now_iso(),
                changed_at: now_iso(),
                history_lines: 200,
                byte_count: 1,
                line_count: 1,
            })
            .unwrap();
        };
        shows(Some("a"));
        shows(None);
        let kept = db.texts(
            "SELECT capture_kind || ' ' || coalesce(content, '-') FROM transcript_captures ORDER BY id",
        );
        assert_eq!(kept, ["changed a", "metadata_only -"]);
    }
}
