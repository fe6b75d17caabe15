//! The full-text index of telemetry.
//!
//! The events of a transaction are indexed together at its end. FTS5 writes what it holds in memory
//! before each statement that may have to be undone alone, so indexing each event with its row would
//! make a segment of the index for every event.

use rusqlite::Connection;

/// The place of the newest event.
///
/// # Errors
/// Whatever SQLite answers.
pub(in crate::store) fn newest(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT COALESCE(MAX(rowid), 0) FROM telemetry_events")?
        .query_row([], |row| row.get(0))
}

/// Indexes the events after that place.
///
/// # Errors
/// Whatever SQLite answers.
pub(in crate::store) fn index_after(conn: &Connection, place: i64) -> rusqlite::Result<()> {
    if newest(conn)? == place {
        return Ok(());
    }
    conn.prepare_cached(
        "INSERT INTO telemetry_events_fts (event_id, task_id, run_id, actor, event_type, summary, attributes)
         SELECT id, task_id, run_id, actor, event_type, summary, attributes_json
         FROM telemetry_events WHERE rowid > ?1 ORDER BY rowid",
    )?
    .execute([place])?;
    Ok(())
}
