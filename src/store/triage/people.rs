//! Who is at work on what.

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use crate::domain::Role;
use crate::domain::time::parse_iso;
use crate::store::scope::ACTIVE;
use crate::store::{StoreError, row};

/// An active session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionLine {
    /// `session-<uuid>`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// The process that runs it.
    pub pid: Option<i64>,
    /// Its working directory.
    pub cwd: String,
    /// The tmux session it runs in.
    pub tmux_session: Option<String>,
    /// The pane inside it.
    pub tmux_pane_id: Option<String>,
    /// When it was first registered.
    pub registered_at: String,
    /// When it was last heard of.
    pub last_heartbeat_at: Option<String>,
    /// Seconds since then.
    pub heartbeat_age_seconds: Option<f64>,
}

/// A task that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLine {
    /// `task-<uuid>`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: String,
    /// What it is, in short.
    pub summary: Option<String>,
    /// When it was created.
    pub created_at: String,
    /// When its row last changed.
    pub updated_at: String,
}

/// Who is at work on what, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Working {
    /// The tasks, at most so many as asked for.
    pub tasks: Vec<TaskLine>,
    /// All of them.
    pub task_count: i64,
    /// All active sessions, by name.
    pub sessions: Vec<SessionLine>,
}

/// Who is at work on what. Sessions are as many as there are people and programs, so all are listed.
///
/// # Errors
/// Whatever SQLite answers.
pub fn working(conn: &Connection, now: Timestamp, limit: u32) -> Result<Working, StoreError> {
    Ok(Working {
        tasks: tasks(conn, limit)?,
        task_count: conn
            .prepare_cached(&format!("SELECT COUNT(*) FROM tasks WHERE {ACTIVE}"))?
            .query_row([], |row| row.get(0))?,
        sessions: sessions(conn, now)?,
    })
}

fn tasks(conn: &Connection, limit: u32) -> Result<Vec<TaskLine>, StoreError> {
    let of = |row: &Row<'_>| {
        Ok(TaskLine {
            id: row.get(0)?,
            name: row.get(1)?,
            state: row.get(2)?,
            summary: row.get(3)?,
            created_at: row.get(4)?,
            updated_at: row.get(5)?,
        })
    };
    let sql = format!(
        "SELECT id, name, state, summary, created_at, updated_at FROM tasks WHERE {ACTIVE}
         ORDER BY rowid DESC LIMIT ?1"
    );
    let tasks = conn.prepare_cached(&sql)?.query_map([limit], of)?.collect::<Result<_, _>>()?;
    Ok(tasks)
}

fn sessions(conn: &Connection, now: Timestamp) -> Result<Vec<SessionLine>, StoreError> {
    let of = |row: &Row<'_>| {
        let heard: Option<String> = row.get(8)?;
        Ok(SessionLine {
            id: row.get(0)?,
            name: row.get(1)?,
            role: row::word(row, 2)?,
            pid: row.get(3)?,
            cwd: row.get(4)?,
            tmux_session: row.get(5)?,
            tmux_pane_id: row.get(6)?,
            registered_at: row.get(7)?,
            heartbeat_age_seconds: heard
                .as_deref()
                .and_then(parse_iso)
                .map(|at| now.duration_since(at).as_secs_f64()),
            last_heartbeat_at: heard,
        })
    };
    let sessions = conn
        .prepare_cached(
            "SELECT id, name, role, pid, cwd, tmux_session, tmux_pane_id, registered_at, last_heartbeat_at
             FROM sessions WHERE state = 'active' ORDER BY name",
        )?
        .query_map([], of)?
        .collect::<Result<_, _>>()?;
    Ok(sessions)
}
