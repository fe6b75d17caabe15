//! Receipts: a text that arrived in a session proves the delivery that sent it.

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;
use crate::domain::time::now_iso;

/// What an arrived user text tells about who sent it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The sender's own id of the message, as the rollout repeats it.
    pub client_message_id: Option<String>,
    /// The correlation id in the text's origin header, if it has one.
    pub correlation_id: Option<String>,
}

/// Makes the delivery that `arrival` proves `observed`; gives its id.
///
/// The message id is exact. A header proves only what was typed, or queued under an id that is not
/// ours; of several texts with one correlation id the first to arrive proves the first sent.
///
/// # Errors
/// Whatever SQLite answers.
pub fn observe(
    conn: &Connection,
    session_id: &str,
    arrival: &Arrival,
    event_id: i64,
) -> Result<Option<i64>, StoreError> {
    let Some(delivery) = proven(conn, session_id, arrival)? else { return Ok(None) };
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'observed', receipt_event_id = ?2, settled_at = ?3 WHERE id = ?1",
    )?
    .execute((delivery, event_id, now_iso()))?;
    Ok(Some(delivery))
}

fn proven(conn: &Connection, session_id: &str, arrival: &Arrival) -> Result<Option<i64>, StoreError> {
    if let Some(id) = &arrival.client_message_id {
        let exact = pending(conn, session_id, "client_message_id = ?2", id)?;
        if exact.is_some() {
            return Ok(exact);
        }
    }
    match &arrival.correlation_id {
        Some(id) => {
            pending(conn, session_id, "correlation_id = ?2 AND transport IN ('tmux', 'codex_queue')", id)
        }
        None => Ok(None),
    }
}

fn pending(
    conn: &Connection,
    session_id: &str,
    condition: &str,
    id: &str,
) -> Result<Option<i64>, StoreError> {
    let sql = format!(
        "SELECT id FROM deliveries WHERE target_session_id = ?1 AND state IN ('started', 'sent', 'unknown')
         AND {condition} ORDER BY id LIMIT 1"
    );
    Ok(conn.prepare_cached(&sql)?.query_row([session_id, id], |row| row.get(0)).optional()?)
}
