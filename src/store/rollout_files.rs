//! Which file a session's events were read from: their long payloads are still there.

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;

/// The file that a session's lines come from.
pub(super) struct Source<'a> {
    pub(super) session_id: &'a str,
    pub(super) path: &'a str,
}

impl Source<'_> {
    /// The event with this id, and those after it, were read from this file.
    pub(super) fn begins_at(&self, conn: &Connection, event_id: i64) -> Result<(), StoreError> {
        if path_of(conn, self.session_id, event_id)?.as_deref() != Some(self.path) {
            conn.prepare_cached(
                "INSERT INTO rollout_files (session_id, first_event_id, path) VALUES (?1, ?2, ?3)",
            )?
            .execute((self.session_id, event_id, self.path))?;
        }
        Ok(())
    }
}

/// The file that an event of a session was read from. `None` for what another program has read.
pub(super) fn path_of(
    conn: &Connection,
    session_id: &str,
    event_id: i64,
) -> Result<Option<String>, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT path FROM rollout_files WHERE session_id = ?1 AND first_event_id <= ?2
             ORDER BY first_event_id DESC LIMIT 1",
        )?
        .query_row((session_id, event_id), |row| row.get(0))
        .optional()?)
}
