//! How much terminal text is kept.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::store::StoreError;

/// Texts that are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// How many.
    pub count: i64,
    /// How long they are together.
    pub bytes: i64,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retained {
    /// Bytes of the database file.
    pub database_file: i64,
    /// Captured terminals.
    pub terminal_captures: Kept,
    /// What was new in them.
    pub transcript_segments: Kept,
    /// Captured terminals of legacy workers, which are of no task.
    pub transcript_captures: Kept,
    /// Bytes of all texts.
    pub total_retained: i64,
}

/// How much is kept: of a task, or of all.
///
/// # Errors
/// Whatever SQLite answers.
pub fn retained(conn: &Connection, task_id: Option<&str>) -> Result<Retained, StoreError> {
    let terminal_captures = kept(conn, "terminal_captures", "content", task_id)?;
    let transcript_segments = kept(conn, "transcript_segments", "segment_text", task_id)?;
    let transcript_captures = match task_id {
        Some(_) => Kept::default(),
        None => kept(conn, "transcript_captures", "content", None)?,
    };
    let database_file = conn
        .prepare_cached("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")?
        .query_row([], |row| row.get(0))?;
    Ok(Retained {
        database_file,
        total_retained: terminal_captures.bytes + transcript_segments.bytes + transcript_captures.bytes,
        terminal_captures,
        transcript_segments,
        transcript_captures,
    })
}

fn kept(conn: &Connection, table: &str, text: &str, task_id: Option<&str>) -> Result<Kept, StoreError> {
    let select =
        format!("SELECT COUNT(*), COALESCE(SUM(byte_count), 0) FROM {table} WHERE {text} IS NOT NULL");
    let of = |row: &rusqlite::Row<'_>| Ok(Kept { count: row.get(0)?, bytes: row.get(1)? });
    Ok(match task_id {
        Some(id) => conn.prepare_cached(&format!("{select} AND task_id = ?1"))?.query_row([id], of)?,
        None => conn.prepare_cached(&select)?.query_row([], of)?,
    })
}
