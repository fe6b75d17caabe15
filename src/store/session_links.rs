//! Session links: how a session was found, and where its processes are.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Query, StoreError, row};
use crate::domain::{Recipe, time::now_iso, transport::TransportKind};

/// What is known about a session beyond the contract's columns. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// How it was found.
    pub recipe: Recipe,
    /// The socket of the tmux server it runs in; none means the default server.
    pub tmux_socket: Option<String>,
    /// Its `CODEX_HOME`.
    pub codex_home: Option<String>,
    /// Version of the Codex that runs it.
    pub codex_version: Option<String>,
    /// That Codex's program, when it was started here.
    pub codex_program: Option<String>,
    /// The socket of its app-server.
    pub app_server_socket: Option<String>,
    /// The process of its app-server, when it is one we started.
    pub app_server_pid: Option<i64>,
    /// The process of its terminal interface.
    pub tui_pid: Option<i64>,
    /// When the process started whose pid counts for its life: a number alone may have been given
    /// to another process since.
    pub pid_started_at: Option<String>,
    /// conveyor's MCP server is attached to its thread.
    pub mcp: bool,
    /// The only transports to use; all that are there when empty.
    pub transports: Vec<TransportKind>,
    /// What its thread was started with, as Codex's `thread/start` takes it.
    pub thread_start: Option<Value>,
}

impl Link {
    /// A link of which only the recipe is known.
    pub fn new(recipe: Recipe) -> Self {
        Self {
            recipe,
            tmux_socket: None,
            codex_home: None,
            codex_version: None,
            codex_program: None,
            app_server_socket: None,
            app_server_pid: None,
            tui_pid: None,
            pid_started_at: None,
            mcp: false,
            transports: Vec::new(),
            thread_start: None,
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            recipe: row::word(row, 0)?,
            tmux_socket: row.get(1)?,
            codex_home: row.get(2)?,
            codex_version: row.get(3)?,
            app_server_socket: row.get(4)?,
            app_server_pid: row.get(5)?,
            tui_pid: row.get(6)?,
            pid_started_at: row.get(7)?,
            mcp: row.get(8)?,
            transports: row
                .get::<_, Option<String>>(9)?
                .map(|list| TransportKind::parse_list(&list))
                .unwrap_or_default(),
            thread_start: row::optional_json(row, 10)?,
            codex_program: row.get(11)?,
        })
    }
}

/// The link of a session, if one was recorded.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find(conn: &Connection, session_id: &str) -> Result<Option<Link>, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT recipe, tmux_socket, codex_home, codex_version, app_server_socket, app_server_pid,
                    tui_pid, pid_started_at, mcp, transports, thread_start_json, codex_program
             FROM session_links WHERE session_id = ?1",
        )?
        .query_row([session_id], Link::read)
        .optional()?)
}

/// Records the link of a session, in place of an older one.
///
/// # Errors
/// Whatever SQLite answers.
pub fn put(conn: &Connection, session_id: &str, link: &Link) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO session_links
            (session_id, recipe, tmux_socket, codex_home, codex_version, app_server_socket, app_server_pid,
             tui_pid, pid_started_at, mcp, transports, thread_start_json, updated_at, codex_program)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute((
        session_id,
        link.recipe.as_str(),
        &link.tmux_socket,
        &link.codex_home,
        &link.codex_version,
        &link.app_server_socket,
        link.app_server_pid,
        link.tui_pid,
        &link.pid_started_at,
        link.mcp,
        (!link.transports.is_empty()).then(|| TransportKind::format_list(&link.transports)),
        link.thread_start.as_ref().map(Value::to_string),
        now_iso(),
        &link.codex_program,
    ))?;
    Ok(())
}

/// The link of one session, by the session's id.
#[derive(Debug)]
pub struct GetLink(pub String);

impl Query for GetLink {
    type Out = Option<Link>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        find(conn, &self.0)
    }
}
