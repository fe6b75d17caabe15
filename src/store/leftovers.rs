//! Starts of sessions that are under way: on record before anything runs, so that what a killed one
//! left behind is known.

use rusqlite::{Connection, Row};

use super::{Change, Query, StoreError};

/// A start, and what it may have begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Its id; no two starts have the same.
    pub id: String,
    /// The process that makes it.
    pub pid: i64,
    /// Since when.
    pub begun_at: String,
    /// Where its app-server is to listen; nobody else's does.
    pub app_server_socket: Option<String>,
    /// The socket of the tmux server, and the session to be made there.
    pub terminal: Option<(String, String)>,
}

impl Launch {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let terminal: (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
        Ok(Self {
            id: row.get(0)?,
            pid: row.get(1)?,
            begun_at: row.get(2)?,
            app_server_socket: row.get(3)?,
            terminal: terminal.0.zip(terminal.1),
        })
    }
}

/// Records that a session is about to be started. Durable before anything runs.
#[derive(Debug)]
pub struct BeginLaunch(pub Launch);

impl Change for BeginLaunch {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        let Launch { id, pid, begun_at, app_server_socket, terminal } = self.0;
        let (tmux_socket, tmux_session) = terminal.unzip();
        tx.prepare_cached(
            "INSERT INTO launches (id, pid, begun_at, app_server_socket, tmux_socket, tmux_session)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((id, pid, begun_at, app_server_socket, tmux_socket, tmux_session))?;
        Ok(())
    }
}

/// Forgets a start: nothing is left of it that nobody knows.
#[derive(Debug)]
pub struct EndLaunch(pub String);

impl Change for EndLaunch {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        end(tx, &self.0)
    }
}

pub(super) fn end(conn: &Connection, launch_id: &str) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM launches WHERE id = ?1")?.execute([launch_id])?;
    Ok(())
}

/// Every start that is under way, or was when its process was killed.
#[derive(Debug)]
pub struct Launches;

impl Query for Launches {
    type Out = Vec<Launch>;

    fn run(self, conn: &Connection) -> Result<Vec<Launch>, StoreError> {
        let mut statement = conn.prepare_cached(
            "SELECT id, pid, begun_at, app_server_socket, tmux_socket, tmux_session FROM launches",
        )?;
        Ok(statement.query_map([], Launch::read)?.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    #[test]
    fn a_start_is_known_from_its_beginning_to_its_end() {
        let mut db = TestDb::new();
        let launch = |id: &str, terminal: bool| Launch {
            id: id.into(),
            pid: 7,
            begun_at: "2026-01-02T03:04:05.000Z".into(),
            app_server_socket: (!terminal).then(|| "/s".into()),
            terminal: terminal.then(|| ("/tmux".into(), "codex-w".into())),
        };
        let (one, other) = (launch("launch-1", true), launch("launch-2", false));
        db.write(BeginLaunch(one.clone())).unwrap();
        db.write(BeginLaunch(other.clone())).unwrap();
        assert_eq!(db.read(Launches), [one, other.clone()]);
        db.write(EndLaunch("launch-1".into())).unwrap();
        assert_eq!(db.read(Launches), [other]);
    }
}
