//! What is kept about telemetry beside its events: the full-text index, and counts by day.
//!
//! The events of a transaction are entered together at its end. FTS5 writes what it holds in memory
//! before each statement that may have to be undone alone, so indexing each event with its row would
//! make a segment of the index for every event; and most events of a transaction are counted alike.

use rusqlite::Connection;

/// The place of the newest event.
///
/// # Errors
/// Whatever SQLite answers.
pub(in crate::store) fn newest(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT COALESCE(MAX(rowid), 0) FROM telemetry_events")?
        .query_row([], |row| row.get(0))
}

/// Enters the events after that place.
///
/// # Errors
/// Whatever SQLite answers.
pub(in crate::store) fn enter_after(conn: &Connection, place: i64) -> rusqlite::Result<()> {
    let newest = newest(conn)?;
    if newest == place {
        return Ok(());
    }
    index_after(conn, place)?;
    count_up_to(conn, newest)
}

fn index_after(conn: &Connection, place: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO telemetry_events_fts (event_id, task_id, run_id, actor, event_type, summary, attributes)
         SELECT id, task_id, run_id, actor, event_type, summary, attributes_json
         FROM telemetry_events WHERE rowid > ?1 ORDER BY rowid",
    )?
    .execute([place])?;
    Ok(())
}

/// Counts what was not counted, by whichever program it was written.
fn count_up_to(conn: &Connection, place: i64) -> rusqlite::Result<()> {
    let mut kinds = conn.prepare_cached(
        "SELECT day, actor, event_type, severity, SUM(events), SUM(new_events), SUM(skipped_lines), task_id
         FROM telemetry_uncounted GROUP BY day, actor, event_type, severity, task_id",
    )?;
    let add = "ON CONFLICT DO UPDATE SET
        events = events + excluded.events,
        new_events = new_events + excluded.new_events,
        skipped_lines = skipped_lines + excluded.skipped_lines";
    let columns = "day, actor, event_type, severity, events, new_events, skipped_lines";
    let mut days = conn.prepare_cached(&format!(
        "INSERT INTO telemetry_days ({columns}, task_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) {add}"
    ))?;
    let mut totals = conn.prepare_cached(&format!(
        "INSERT INTO telemetry_totals ({columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) {add}"
    ))?;
    type Kind = (String, String, String, String, i64, i64, i64, String);
    let kinds: Vec<Kind> = kinds.query_map([], |row| row.try_into())?.collect::<Result<_, _>>()?;
    for kind in kinds {
        totals.execute((&kind.0, &kind.1, &kind.2, &kind.3, kind.4, kind.5, kind.6))?;
        days.execute(kind)?;
    }
    conn.prepare_cached("UPDATE telemetry_counted SET place = ?1")?.execute([place])?;
    Ok(())
}
