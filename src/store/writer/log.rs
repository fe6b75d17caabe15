//! The database's log, written back into the database beside the writer: no commit waits for that.

use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use crate::store::open;

/// Pages that are worth writing back. SQLite would do it then, within the commit.
pub(super) const MANY_PAGES: i64 = 1000;

/// Pages of a log in which readers take long to find one. It starts anew when all of it is written back,
/// which is never so while commits go on beside that.
const LONG_PAGES: i64 = 4 * MANY_PAGES;

/// Bytes of the log that take longer to read than to write back.
pub(super) const LONG_BYTES: u64 = 256 << 10;

/// Keeps the log of one connection, the only one here that writes, short.
pub(super) struct Log {
    path: String,
    checkpoint: Option<JoinHandle<()>>,
}

impl Log {
    /// From now on commits of this connection write nothing back themselves.
    ///
    /// # Errors
    /// Whatever SQLite answers.
    pub(super) fn take_over(conn: &Connection) -> rusqlite::Result<Self> {
        conn.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(Self { path: conn.path().unwrap_or_default().to_owned(), checkpoint: None })
    }

    /// Begins to write the log back when there is enough of it.
    pub(super) fn keep_short(&mut self, conn: &Connection) {
        if self.checkpoint.as_ref().is_some_and(|checkpoint| !checkpoint.is_finished()) {
            return;
        }
        match pages(conn, "NOOP") {
            Ok((all, _)) if all >= LONG_PAGES => write_back(conn),
            Ok((all, back)) if all - back >= MANY_PAGES => self.write_back_beside(),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "failed to see how long the database's log is"),
        }
    }

    fn write_back_beside(&mut self) {
        let path = self.path.clone();
        let checkpoint =
            thread::Builder::new().name("checkpoint".into()).spawn(move || match open::present(&path) {
                Ok(conn) => write_back(&conn),
                Err(error) => tracing::warn!(%error, "failed to open the database to write its log back"),
            });
        match checkpoint {
            Ok(checkpoint) => self.checkpoint = Some(checkpoint),
            Err(error) => tracing::warn!(%error, "failed to start a thread that writes the log back"),
        }
    }

    /// Whoever opens the database next reads the whole log first, so a long one is not left behind.
    /// SQLite does this for the last connection that is closed, but the process may end before.
    pub(super) fn shorten(&mut self, conn: &Connection) {
        if let Some(checkpoint) = self.checkpoint.take() {
            // What it could not do is on record.
            let _ = checkpoint.join();
        }
        let length = std::fs::metadata(format!("{}-wal", self.path)).map_or(0, |log| log.len());
        if length > LONG_BYTES
            && let Err(error) = pages(conn, "TRUNCATE")
        {
            tracing::warn!(%error, "failed to shorten the database's log");
        }
    }
}

fn write_back(conn: &Connection) {
    if let Err(error) = pages(conn, "PASSIVE") {
        tracing::warn!(%error, "failed to write the database's log back");
    }
}

/// The pages of the log, and how many of them are written back, after a checkpoint of this mode.
fn pages(conn: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    conn.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}
