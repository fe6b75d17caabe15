//! Sessions: registered workers and managers.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::session_links::{self, Link};
use super::{Change, Query, StoreError, Topic, row};
use crate::domain::transport::Reachable;
use crate::domain::{Failure, Recipe, Role};

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
            role: row::word(row, 2)?,
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
        .hint("see what is registered: `conveyor sessions --state all`")
        .into())
}

/// Marks a session gone.
///
/// # Errors
/// Whatever SQLite answers.
pub fn set_gone(conn: &Connection, id: &str) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE sessions SET state = 'gone' WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Marks the session with this id gone.
#[derive(Debug)]
pub struct MarkGone(pub String);

impl Change for MarkGone {
    type Out = ();
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        set_gone(tx, &self.0)
    }
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

/// One session by name or id, if it is known.
#[derive(Debug)]
pub struct FindSession(pub String);

impl Query for FindSession {
    type Out = Option<Session>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        find(conn, &self.0)
    }
}

/// Which sessions a list shows.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Only this side.
    pub role: Option<Role>,
    /// Only `active` or `gone` ones.
    pub state: Option<String>,
    /// Also those without a pid, which agent-conveyor's own upgrade left behind.
    pub without_pid: bool,
    /// Only those with one of these names; all when empty.
    pub names: Vec<String>,
}

/// A session with what is known about its processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedSession {
    /// The session.
    pub session: Session,
    /// Its link, when one was recorded.
    pub link: Option<Link>,
}

impl LinkedSession {
    /// The ways to reach it, as far as the database tells.
    pub fn reachable(&self) -> Reachable {
        let has_thread = self.session.codex_session_id.is_some();
        let link = self.link.as_ref();
        let recipe = link.map(|link| link.recipe);
        Reachable {
            app_server: has_thread && link.is_some_and(|link| link.app_server_socket.is_some()),
            // A Codex with app-servers or thread locks has the queue too; of others it is not known.
            codex_queue: has_thread && matches!(recipe, Some(Recipe::PrivateServer | Recipe::Embedded)),
            tmux: self.session.tmux_session.is_some(),
            only: link.map(|link| link.transports.clone()).unwrap_or_default(),
        }
    }
}

/// A session with its link, by name or id.
#[derive(Debug)]
pub struct GetLinkedSession(pub String);

impl Query for GetLinkedSession {
    type Out = LinkedSession;

    fn run(self, conn: &Connection) -> Result<LinkedSession, StoreError> {
        get_linked(conn, &self.0)
    }
}

/// A session with its link.
///
/// # Errors
/// Whatever SQLite answers.
pub fn linked(conn: &Connection, session: Session) -> Result<LinkedSession, StoreError> {
    let link = session_links::find(conn, &session.id)?;
    Ok(LinkedSession { session, link })
}

/// As [`get`], with the link.
///
/// # Errors
/// `NotFound` when there is no such session.
pub fn get_linked(conn: &Connection, reference: &str) -> Result<LinkedSession, StoreError> {
    linked(conn, get(conn, reference)?)
}

/// The active session that runs a Codex thread.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find_by_thread(conn: &Connection, thread_id: &str) -> Result<Option<Session>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sessions WHERE codex_session_id = ?1 AND state = 'active' ORDER BY rowid DESC LIMIT 1"
    );
    Ok(conn.prepare_cached(&sql)?.query_row([thread_id], Session::of).optional()?)
}

/// The sessions that pass the filter, in the order of their first registration.
///
/// # Errors
/// Whatever SQLite answers.
pub fn list(conn: &Connection, filter: &SessionFilter) -> Result<Vec<LinkedSession>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sessions
         WHERE (?1 IS NULL OR role = ?1) AND (?2 IS NULL OR state = ?2) AND (?3 OR pid IS NOT NULL)
         ORDER BY rowid"
    );
    let sessions = conn
        .prepare_cached(&sql)?
        .query_map((filter.role.map(Role::as_str), &filter.state, filter.without_pid), Session::of)?
        .collect::<Result<Vec<_>, _>>()?;
    let named = |session: &Session| filter.names.is_empty() || filter.names.contains(&session.name);
    let mut listed = Vec::new();
    for session in sessions.into_iter().filter(named) {
        listed.push(linked(conn, session)?);
    }
    Ok(listed)
}

/// The sessions that pass a filter.
#[derive(Debug)]
pub struct ListSessions(pub SessionFilter);

impl Query for ListSessions {
    type Out = Vec<LinkedSession>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        list(conn, &self.0)
    }
}
