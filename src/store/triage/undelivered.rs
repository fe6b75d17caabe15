//! What needs a person: deliveries of which nobody knows whether they arrived, and messages that
//! nobody acknowledged.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use crate::domain::time::now_iso;
use crate::store::StoreError;
use crate::store::mailbox::MAX_HAND_OUTS;
use crate::store::scope::{Filter, Scope};

/// A count, and the newest rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part<T> {
    /// All.
    pub count: i64,
    /// The newest, newest first.
    pub recent: Vec<T>,
}

/// A delivery of which nobody knows whether it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownDelivery {
    /// Its row id, what `deliveries settle` takes.
    pub id: i64,
    /// The task it belongs to.
    pub task_id: Option<String>,
    /// That task's name.
    pub task_name: Option<String>,
    /// What was to be told.
    pub signal_type: String,
    /// To whom.
    pub target_session_name: String,
    /// How it was sent.
    pub transport: Option<String>,
    /// When somebody took it on.
    pub claimed_at: String,
    /// What is known.
    pub error: Option<String>,
}

/// A message that was handed out too often and never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its row id, what `inbox-ack` takes.
    pub id: i64,
    /// The task it belongs to.
    pub task_id: String,
    /// That task's name.
    pub task_name: String,
    /// What was to be told.
    pub signal_type: String,
    /// To whom.
    pub target_session_name: String,
    /// When it was routed.
    pub created_at: String,
    /// How often it was handed out.
    pub hand_outs: i64,
}

/// What needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// Deliveries of which nobody knows whether they arrived.
    pub unknown_deliveries: Part<UnknownDelivery>,
    /// Messages that nobody acknowledged.
    pub dead_letters: Part<DeadLetter>,
}

/// What needs a person, whenever it began to.
///
/// # Errors
/// Whatever SQLite answers.
pub fn undelivered(conn: &Connection, scope: &Scope, limit: u32) -> Result<Undelivered, StoreError> {
    Ok(Undelivered {
        unknown_deliveries: unknown(conn, scope, limit)?,
        dead_letters: dead(conn, scope, limit)?,
    })
}

fn unknown(conn: &Connection, scope: &Scope, limit: u32) -> Result<Part<UnknownDelivery>, StoreError> {
    let filter = scope.filter("+d.task_id", None).and("d.state = 'unknown'");
    let columns = "d.id, t.id, t.name, COALESCE(n.signal_type, c.type, d.source), s.name, d.transport,
        d.claimed_at, d.error";
    let from = "FROM deliveries d JOIN sessions s ON s.id = d.target_session_id
        LEFT JOIN routed_notifications n ON n.id = d.notification_id
        LEFT JOIN commands c ON c.id = d.command_id
        LEFT JOIN tasks t ON t.id = d.task_id";
    part(conn, columns, from, &filter, "d.id", limit, |row| {
        Ok(UnknownDelivery {
            id: row.get(0)?,
            task_id: row.get(1)?,
            task_name: row.get(2)?,
            signal_type: row.get(3)?,
            target_session_name: row.get(4)?,
            transport: row.get(5)?,
            claimed_at: row.get(6)?,
            error: row.get(7)?,
        })
    })
}

fn dead(conn: &Connection, scope: &Scope, limit: u32) -> Result<Part<DeadLetter>, StoreError> {
    let mut filter = scope.filter("+n.task_id", None);
    // Whoever reads the inbox next makes a dead letter of the latter.
    filter.add(
        &format!(
            "(l.state = 'dead_letter' OR l.state = 'leased' AND l.hand_outs >= {MAX_HAND_OUTS} AND l.expires_at <= ?)"
        ),
        now_iso(),
    );
    filter.also("n.consumed_at IS NULL");
    let columns = "n.id, n.task_id, t.name, n.signal_type, s.name, n.created_at, l.hand_outs";
    let from = "FROM notification_leases l JOIN routed_notifications n ON n.id = l.notification_id
        JOIN sessions s ON s.id = n.target_session_id JOIN tasks t ON t.id = n.task_id";
    part(conn, columns, from, &filter, "l.notification_id", limit, |row| {
        Ok(DeadLetter {
            id: row.get(0)?,
            task_id: row.get(1)?,
            task_name: row.get(2)?,
            signal_type: row.get(3)?,
            target_session_name: row.get(4)?,
            created_at: row.get(5)?,
            hand_outs: row.get(6)?,
        })
    })
}

fn part<T>(
    conn: &Connection,
    columns: &str,
    from: &str,
    filter: &Filter,
    order: &str,
    limit: u32,
    of: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Part<T>, StoreError> {
    let condition = filter.sql();
    let count = conn
        .prepare_cached(&format!("SELECT COUNT(*) {from} WHERE {condition}"))?
        .query_row(filter.values(), |row| row.get(0))?;
    let sql = format!("SELECT {columns} {from} WHERE {condition} ORDER BY {order} DESC LIMIT {limit}");
    let recent = conn.prepare_cached(&sql)?.query_map(filter.values(), of)?.collect::<Result<_, _>>()?;
    Ok(Part { count, recent })
}
