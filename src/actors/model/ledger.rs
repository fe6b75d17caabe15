//! What the database says, as far as the rules are about it.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use crate::domain::DeliveryState;

/// The rows that deliveries and completions are made of, without times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) facts: BTreeMap<i64, Fact>,
    pub(super) notes: BTreeMap<i64, Note>,
    pub(super) deliveries: BTreeMap<i64, Delivery>,
    pub(super) leases: BTreeMap<i64, Lease>,
    pub(super) commands: BTreeMap<String, Command>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) thread_id: String,
    pub(super) key: String,
    pub(super) outcome: String,
    pub(super) routed: bool,
    event_id: Option<i64>,
}

/// A routed notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) target: String,
    pub(super) command_id: Option<String>,
    pub(super) state: String,
    /// Who took it, and when.
    pub(super) consumed: Option<String>,
    /// Its claim ran out.
    pub(super) expired: bool,
    dedupe_key: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) note: Option<i64>,
    pub(super) command_id: Option<String>,
    pub(super) target: String,
    pub(super) transport: Option<String>,
    pub(super) state: DeliveryState,
    pub(super) client_id: Option<String>,
    pub(super) correlation_id: String,
    /// The text that proves it arrived.
    pub(super) receipt: Option<String>,
    fence: i64,
}

/// A mailbox item in the hands of a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) fence: i64,
    pub(super) state: String,
    pub(super) expired: bool,
    pub(super) hand_outs: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) state: String,
    /// Its claim ran out.
    pub(super) expired: bool,
}

impl Ledger {
    pub(super) fn read(conn: &Connection) -> Self {
        Self {
            facts: rows(conn, "SELECT id, thread_id, turn_key, outcome, routed_at IS NOT NULL, event_id FROM turn_facts", |row| {
                Ok(Fact {
                    thread_id: row.get(1)?,
                    key: row.get(2)?,
                    outcome: row.get(3)?,
                    routed: row.get(4)?,
                    event_id: row.get(5)?,
                })
            }),
            notes: rows(
                conn,
                "SELECT id, target_session_id, command_id, state, consumed_at || coalesce(consumed_by_session_id, consumed_manager_cycle_id),
                     coalesce(claim_expires_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 0), dedupe_key FROM routed_notifications",
                |row| {
                    Ok(Note {
                        target: row.get(1)?,
                        command_id: row.get(2)?,
                        state: row.get(3)?,
                        consumed: row.get(4)?,
                        expired: row.get(5)?,
                        dedupe_key: row.get(6)?,
                    })
                },
            ),
            deliveries: rows(
                conn,
                "SELECT d.id, notification_id, command_id, target_session_id, transport, state, client_message_id, correlation_id,
                     coalesce(e.payload_json, receipt_json), fence FROM deliveries d LEFT JOIN codex_events e ON e.id = receipt_event_id",
                |row| {
                    Ok(Delivery {
                        note: row.get(1)?,
                        command_id: row.get(2)?,
                        target: row.get(3)?,
                        transport: row.get(4)?,
                        state: row.get::<_, String>(5)?.parse().unwrap(),
                        client_id: row.get(6)?,
                        correlation_id: row.get(7)?,
                        receipt: row.get(8)?,
                        fence: row.get(9)?,
                    })
                },
            ),
            leases: rows(
                conn,
                "SELECT notification_id, fence, state, expires_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), hand_outs FROM notification_leases",
                |row| {
                    Ok(Lease {
                        fence: row.get(1)?,
                        state: row.get(2)?,
                        expired: row.get(3)?,
                        hand_outs: row.get(4)?,
                    })
                },
            ),
            commands: rows(
                conn,
                "SELECT id, state, coalesce(claim_expires_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 0) FROM commands
                 WHERE type IN ('notify_manager', 'nudge_worker')",
                |row| Ok(Command { state: row.get(1)?, expired: row.get(2)? }),
            ),
        }
    }

    /// The notifications of a fact; there may be one.
    pub(super) fn notes_of(&self, fact_id: i64) -> Vec<(&i64, &Note)> {
        let fact = &self.facts[&fact_id];
        let source = fact.event_id.map_or_else(|| format!("fact-{fact_id}"), |id| id.to_string());
        let is_its =
            |note: &Note| note.command_id.is_none() && note.dedupe_key.rsplit(':').next() == Some(&source);
        self.notes.iter().filter(|(_, note)| is_its(note)).collect()
    }

    /// What a delivery is about: two of the same subject must not both arrive.
    pub(super) fn subject(&self, delivery_id: i64) -> String {
        let delivery = &self.deliveries[&delivery_id];
        match (&delivery.command_id, delivery.note) {
            (Some(command_id), _) => command_id.clone(),
            (None, Some(note)) => format!("notification {note}"),
            (None, None) => format!("nudge {delivery_id}"),
        }
    }

    /// The deliveries of a notification, oldest first.
    pub(super) fn deliveries_of(&self, note: i64) -> impl Iterator<Item = &Delivery> {
        self.deliveries.values().filter(move |delivery| delivery.note == Some(note))
    }

    /// Whether the claim on a delivery ran out.
    pub(super) fn is_expired(&self, delivery: &Delivery) -> bool {
        match (&delivery.command_id, delivery.note) {
            (Some(command_id), _) => self.commands[command_id].expired,
            (None, Some(note)) => self.notes[&note].expired,
            (None, None) => false,
        }
    }
}

fn rows<K: rusqlite::types::FromSql + Ord, V>(
    conn: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<V>,
) -> BTreeMap<K, V> {
    let mut statement = conn.prepare_cached(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, read(row)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}
