//! Deliveries: each attempt to make a session see something, from the claim to the evidence.
//!
//! The states and their moves are described in `docs/deliveries.md`. Whoever moves a delivery
//! must name its fence; a claimant that lost its claim changes nothing.

pub(super) mod contract;
mod doubt;
#[cfg(test)]
mod exits;
mod list;
mod settle;

use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

pub use doubt::{AbandonNudges, DoubtDelivery, Overdue, OverdueDeliveries, Unseen};
pub(in crate::store) use list::newest_direct;
pub use list::{Delivery, ListDeliveries, Receipt, find, newest_of_task};
pub use settle::{SettleDelivery, Settled};

use super::StoreError;
use crate::domain::digest::sha256;
use crate::domain::time::now_iso;
use crate::domain::transport::TransportKind;

/// What a delivery carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A routed fact.
    Notification,
    /// A queued command.
    Command,
    /// A direct `session-nudge`.
    Nudge,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "notification",
            Self::Command => "command",
            Self::Nudge => "nudge",
        }
    }
}

/// A delivery about to be claimed.
#[derive(Debug, Clone)]
pub struct NewDelivery<'a> {
    /// What it carries out.
    pub source: Source,
    /// The routed notification, for facts and commands.
    pub notification_id: Option<i64>,
    /// The queued command.
    pub command_id: Option<&'a str>,
    /// The attempt at that command.
    pub attempt_id: Option<i64>,
    /// The session to reach.
    pub target_session_id: &'a str,
    /// Ties it to its cause.
    pub correlation_id: &'a str,
    /// What is to be seen; only its hash and size are kept.
    pub body: &'a str,
}

/// A claimed delivery: its id, and the fence and message id that prove the claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedDelivery {
    /// Row id.
    pub id: i64,
    /// Must be named to move the delivery.
    pub fence: i64,
    /// Our id for the message; Codex writes it back into the rollout.
    pub client_message_id: String,
}

/// Claims a delivery that will be pushed.
///
/// # Errors
/// Whatever SQLite answers; a second live delivery of one notification breaks a unique index.
pub fn claim(conn: &Connection, new: &NewDelivery<'_>) -> Result<ClaimedDelivery, StoreError> {
    let fence: i64 = conn
        .prepare_cached("SELECT COALESCE(MAX(fence), 0) + 1 FROM deliveries WHERE notification_id = ?1")?
        .query_row([new.notification_id], |row| row.get(0))?;
    let client_message_id = format!("conveyor-{}", uuid::Uuid::now_v7());
    insert(conn, new, fence, Some(&client_message_id), None)?;
    Ok(ClaimedDelivery { id: conn.last_insert_rowid(), fence, client_message_id })
}

/// Records that an item was put into a mailbox: that is all there is to send.
///
/// # Errors
/// Whatever SQLite answers.
pub fn put_in_mailbox(conn: &Connection, new: &NewDelivery<'_>) -> Result<(), StoreError> {
    insert(conn, new, 1, None, Some(TransportKind::Mailbox))
}

fn insert(
    conn: &Connection,
    new: &NewDelivery<'_>,
    fence: i64,
    client_message_id: Option<&str>,
    sent_by: Option<TransportKind>,
) -> Result<(), StoreError> {
    let now = now_iso();
    conn.prepare_cached(
        "INSERT INTO deliveries (notification_id, command_id, attempt_id, source, target_session_id, transport, state, fence,
             client_message_id, correlation_id, body_sha256, body_bytes, claimed_at, sent_at, task_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, COALESCE(
             (SELECT task_id FROM routed_notifications WHERE id = ?1),
             (SELECT task_id FROM commands WHERE id = ?2),
             (SELECT task_id FROM bindings WHERE worker_session_id = ?5 AND state IN ('active', 'ending')),
             (SELECT task_id FROM bindings WHERE manager_session_id = ?5 AND state IN ('active', 'ending'))))",
    )?
    .execute(rusqlite::params![
        new.notification_id,
        new.command_id,
        new.attempt_id,
        new.source.as_str(),
        new.target_session_id,
        sent_by.map(TransportKind::as_str),
        if sent_by.is_some() { "sent" } else { "claimed" },
        fence,
        client_message_id,
        new.correlation_id,
        sha256(new.body),
        i64::try_from(new.body.len()).unwrap_or(i64::MAX),
        now,
        sent_by.map(|_| &now),
    ])?;
    Ok(())
}

/// The moves of a pushed delivery after its claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Move {
    /// The effect is about to happen, by this transport.
    Start(TransportKind),
    /// The transport took it. The evidence may come with it or later.
    Sent,
    /// Nothing was sent.
    Failed {
        /// Why not.
        error: String,
        /// What the pane showed, when it was looked at.
        pane_class: Option<String>,
    },
    /// It may have been sent.
    Unknown {
        /// What is known.
        error: String,
        /// What the pane showed, when it was looked at.
        pane_class: Option<String>,
    },
}

/// Makes a move. `false` when the claim was lost or the delivery is past it, and nothing changed.
///
/// # Errors
/// Whatever SQLite answers.
pub fn make_move(conn: &Connection, id: i64, fence: i64, step: &Move) -> Result<bool, StoreError> {
    let now = now_iso();
    let changed = match step {
        Move::Start(transport) => conn
            .prepare_cached(
                "UPDATE deliveries SET state = 'started', transport = ?3, started_at = ?4
                 WHERE id = ?1 AND fence = ?2 AND state = 'claimed'",
            )?
            .execute((id, fence, transport.as_str(), now))?,
        // The evidence may have been faster than the transport's answer.
        Move::Sent => conn
            .prepare_cached(
                "UPDATE deliveries SET state = CASE state WHEN 'started' THEN 'sent' ELSE state END, sent_at = ?3
                 WHERE id = ?1 AND fence = ?2 AND state IN ('started', 'observed') AND sent_at IS NULL",
            )?
            .execute((id, fence, now))?,
        Move::Failed { error, pane_class } => conn
            .prepare_cached(
                "UPDATE deliveries SET state = 'failed', error = ?3, pane_class = ?4, settled_at = ?5
                 WHERE id = ?1 AND fence = ?2 AND state IN ('claimed', 'started')",
            )?
            .execute((id, fence, error, pane_class, now))?,
        Move::Unknown { error, pane_class } => conn
            .prepare_cached(
                "UPDATE deliveries SET state = 'unknown', error = ?3, pane_class = ?4
                 WHERE id = ?1 AND fence = ?2 AND state IN ('started', 'sent')",
            )?
            .execute((id, fence, error, pane_class))?,
    };
    Ok(changed == 1)
}

/// The state of a delivery, or none when there is no such row.
///
/// # Errors
/// Whatever SQLite answers.
pub fn state(conn: &Connection, id: i64, fence: i64) -> Result<Option<String>, StoreError> {
    let state = conn
        .prepare_cached("SELECT state FROM deliveries WHERE id = ?1 AND fence = ?2")?
        .query_row((id, fence), |row| row.get(0));
    Ok(state.optional()?)
}

/// Whether a claimed delivery is still to be made, or being made.
///
/// # Errors
/// Whatever SQLite answers.
pub fn is_under_way(conn: &Connection, id: i64, fence: i64) -> Result<bool, StoreError> {
    let state = state(conn, id, fence)?;
    Ok(state.is_some_and(|state| state == "claimed" || state == "started"))
}

/// Whether a notification was seen to arrive.
///
/// # Errors
/// Whatever SQLite answers.
pub fn is_observed(conn: &Connection, notification_id: i64) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM deliveries WHERE notification_id = ?1 AND state = 'observed')",
        )?
        .query_row([notification_id], |row| row.get(0))?)
}

/// Gives up what a dead claimant left of a notification's delivery: `failed` when it had not
/// started, `unknown` when it had. What was seen to arrive stays so.
///
/// # Errors
/// Whatever SQLite answers.
pub fn abandon(conn: &Connection, notification_id: i64) -> Result<(), StoreError> {
    let now = now_iso();
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'failed', error = 'the claim ran out before anything was sent', settled_at = ?2
         WHERE notification_id = ?1 AND state = 'claimed'",
    )?
    .execute((notification_id, &now))?;
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'unknown', error = 'the claim ran out after the push had begun'
         WHERE notification_id = ?1 AND state = 'started'",
    )?
    .execute([notification_id])?;
    Ok(())
}

/// Settles a mailbox delivery: its reader took the item, which is the evidence.
///
/// # Errors
/// Whatever SQLite answers.
pub fn taken_from_mailbox(
    conn: &Connection,
    notification_id: i64,
    receipt: &Value,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'observed', receipt_json = ?2, settled_at = ?3
         WHERE notification_id = ?1 AND transport = 'mailbox' AND state = 'sent'",
    )?
    .execute((notification_id, receipt.to_string(), now_iso()))?;
    Ok(())
}

#[cfg(test)]
mod tests;
