//! Sessions: registered workers and managers.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::{Query, StoreError};
use crate::domain::{Failure, Role};

/// A row of `sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `session-<uuid>`.
    pub id: String,
    /// Unique; chosen by a person.
    pub name: String,
    /// Whether it works or supervises.
    pub role: Role,
    /// `session-token-<uuid>`; kept when the name is registered again.
    pub identity_token: String,
    /// The tmux session it runs in.
    pub tmux_session: Option<String>,
    /// The pane inside it.
    pub tmux_pane_id: Option<String>,
    /// Its rollout file.
    pub codex_session_path: Option<String>,
    /// Its Codex thread.
    pub codex_session_id: Option<String>,
    /// The process that runs it.
    pub pid: Option<i64>,
    /// Its working directory.
    pub cwd: String,
    /// When it was first registered.
    pub registered_at: String,
    /// When it was last heard of.
    pub last_heartbeat_at: Option<String>,
    /// `active` or `gone`.
    pub state: String,
    /// Bytes of the rollout already read; none before the first read.
    pub last_ingest_offset: Option<i64>,
}

pub(super) const COLUMNS: &str = "id, name, role, identity_token, tmux_session, tmux_pane_id, codex_session_path, \
    codex_session_id, pid, cwd, registered_at, last_heartbeat_at, state, last_ingest_offset";

impl Session {
    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            role: row.get::<_, String>(2)?.parse().unwrap_or(Role::Worker),
            identity_token: row.get(3)?,
            tmux_session: row.get(4)?,
            tmux_pane_id: row.get(5)?,
            codex_session_path: row.get(6)?,
            codex_session_id: row.get(7)?,
            pid: row.get(8)?,
            cwd: row.get(9)?,
            registered_at: row.get(10)?,
            last_heartbeat_at: row.get(11)?,
            state: row.get(12)?,
            last_ingest_offset: row.get(13)?,
        })
    }

    /// Whether it may be sent to, bound and ingested.
    pub fn is_active(&self) -> bool {
        self.state == "active"
    }
}

/// The session with this name or id.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find(conn: &Connection, reference: &str) -> Result<Option<Session>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM sessions WHERE name = ?1 OR id = ?1 LIMIT 1");
    Ok(conn.prepare_cached(&sql)?.query_row([reference], Session::of).optional()?)
}

/// As [`find`], refusing an unknown name with the nearest known one.
///
/// # Errors
/// `NotFound` when there is no such session.
pub fn get(conn: &Connection, reference: &str) -> Result<Session, StoreError> {
    if let Some(session) = find(conn, reference)? {
        return Ok(session);
    }
    let names: Vec<String> = conn
        .prepare_cached("SELECT name FROM sessions WHERE state = 'active'")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Err(Failure::unknown_name("session", reference, &names)
        .hint("see what is registered: `conveyor sessions`")
        .into())
}

/// One session by name or id.
#[derive(Debug)]
pub struct GetSession(pub String);

impl Query for GetSession {
    type Out = Session;

    fn run(self, conn: &Connection) -> Result<Session, StoreError> {
        get(conn, &self.0)
    }
}
