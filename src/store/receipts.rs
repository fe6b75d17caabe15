//! Receipts: a text that arrived in a session proves the delivery that sent it.

use rusqlite::{Connection, OptionalExtension, Params};
use serde_json::json;

use super::StoreError;
use super::deliveries::{self, contract};
use super::telemetry::{self, Actor, Severity, Telemetry};
use crate::domain::OriginHeader;
use crate::domain::time::now_iso;

/// What an arrived user text tells about who sent it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The sender's own id of the message, as the rollout repeats it.
    pub client_message_id: Option<String>,
    /// The text's origin header, if it has one.
    pub header: Option<OriginHeader>,
}

/// Makes the delivery that `arrival` proves `observed`; gives its id.
///
/// The message id is exact. A header proves what was typed, or queued under an id that is not ours.
///
/// # Errors
/// Whatever SQLite answers.
pub fn observe(
    conn: &Connection,
    session_id: &str,
    arrival: &Arrival,
    event_id: i64,
) -> Result<Option<i64>, StoreError> {
    let Some(Proven { id, was_unknown }) = proven(conn, session_id, arrival)? else { return Ok(None) };
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'observed', receipt_event_id = ?2, settled_at = ?3 WHERE id = ?1",
    )?
    .execute((id, event_id, now_iso()))?;
    if was_unknown {
        contract::arrived(conn, id)?;
        tell_late(conn, id)?;
    }
    Ok(Some(id))
}

/// A delivery that an arrival proves.
struct Proven {
    id: i64,
    /// It had been given up.
    was_unknown: bool,
}

/// What everybody took for lost has arrived.
fn tell_late(conn: &Connection, id: i64) -> Result<(), StoreError> {
    let Some(delivery) = deliveries::find(conn, id)? else { return Ok(()) };
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Dispatch,
            event_type: "delivery_observed_late",
            severity: Severity::Info,
            summary: &format!("delivery {id} to {} has arrived after all", delivery.target_session_name),
            task_id: delivery.task_id.as_deref(),
            run_id: None,
            correlation: json!({"correlation_id": delivery.correlation_id, "delivery_id": id}),
            attributes: json!({"signal_type": delivery.signal_type, "transport": delivery.transport}),
        },
    )?;
    Ok(())
}

fn proven(conn: &Connection, session_id: &str, arrival: &Arrival) -> Result<Option<Proven>, StoreError> {
    if let Some(id) = &arrival.client_message_id {
        let exact = pending(conn, "client_message_id = ?2", (session_id, id))?;
        if exact.is_some() {
            return Ok(exact);
        }
    }
    match &arrival.header {
        Some(header) => {
            // The number alone may be another database's.
            let condition = "id = ?2 AND correlation_id = ?3 AND transport IN ('tmux', 'codex_queue')";
            pending(conn, condition, (session_id, header.delivery, &header.correlation_id))
        }
        None => Ok(None),
    }
}

fn pending(conn: &Connection, condition: &str, values: impl Params) -> Result<Option<Proven>, StoreError> {
    let sql = format!(
        "SELECT id, state = 'unknown' FROM deliveries
         WHERE target_session_id = ?1 AND state IN ('started', 'sent', 'unknown') AND {condition}"
    );
    let proven = conn
        .prepare_cached(&sql)?
        .query_row(values, |row| Ok(Proven { id: row.get(0)?, was_unknown: row.get(1)? }));
    Ok(proven.optional()?)
}
