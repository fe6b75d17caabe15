//! Deliveries as people look at them.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::DeliveryState;
use crate::domain::transport::TransportKind;
use crate::store::page::{self, Newest, Page, Source};
use crate::store::scope::Filter;
use crate::store::{Query, StoreError, row, sessions, tasks};

/// A row of `deliveries` with the names of what it refers to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Row id; grows with time.
    pub id: i64,
    /// What it carries out: `notification`, `command` or `nudge`.
    pub source: String,
    /// What is delivered, e.g. `worker_task_complete` or `nudge`.
    pub signal_type: String,
    /// How far it got.
    pub state: DeliveryState,
    /// The way it took; none before one was chosen.
    pub transport: Option<TransportKind>,
    /// The task it belongs to.
    pub task_id: Option<String>,
    /// That task's name.
    pub task_name: Option<String>,
    /// The session to reach.
    pub target_session_id: String,
    /// That session's name.
    pub target_session_name: String,
    /// The routed notification, for facts and commands.
    pub notification_id: Option<i64>,
    /// The queued command.
    pub command_id: Option<String>,
    /// The attempt at that command.
    pub attempt_id: Option<i64>,
    /// Ties it to its cause.
    pub correlation_id: Option<String>,
    /// The id under which a transport that carries one sent it.
    pub client_message_id: Option<String>,
    /// The size of the text. The text itself is not kept here.
    pub body_bytes: Option<i64>,
    /// The hash of the text.
    pub body_sha256: Option<String>,
    /// When somebody took it on.
    pub claimed_at: String,
    /// When the effect was about to happen.
    pub started_at: Option<String>,
    /// When the transport had taken it.
    pub sent_at: Option<String>,
    /// When it was observed or had failed.
    pub settled_at: Option<String>,
    /// The evidence that it arrived.
    pub receipt: Option<Receipt>,
    /// Why it failed, or what is known where it is not known whether it arrived.
    pub error: Option<String>,
    /// What the target's pane showed then.
    pub pane_class: Option<String>,
    /// Since when the target's process is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_exited_at: Option<String>,
    /// Since when the target sits idle while something waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_idle_since: Option<String>,
}

/// The evidence that a delivery arrived.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The rollout event in which the text arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<i64>,
    /// When that event was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_timestamp: Option<String>,
    /// Other evidence: who took it from the mailbox, or who settled it and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

const SELECT: &str = "SELECT d.id, d.source, COALESCE(n.signal_type, c.type, d.source), d.state, d.transport,
        t.id, t.name, d.target_session_id, s.name, d.notification_id, d.command_id, d.attempt_id,
        d.correlation_id, d.client_message_id, d.body_bytes, d.body_sha256,
        d.claimed_at, d.started_at, d.sent_at, d.settled_at,
        d.receipt_event_id, e.timestamp, d.receipt_json, d.error, d.pane_class,
        (SELECT MAX(x.recorded_at) FROM session_facts x
         WHERE x.session_id = d.target_session_id AND x.kind = 'exited' AND x.cleared_at IS NULL),
        (SELECT MAX(i.detail_json ->> '$.idle_since') FROM session_facts i
         WHERE i.session_id = d.target_session_id AND i.kind = 'idle_with_mail' AND i.cleared_at IS NULL)
    FROM deliveries d JOIN sessions s ON s.id = d.target_session_id
    LEFT JOIN routed_notifications n ON n.id = d.notification_id
    LEFT JOIN commands c ON c.id = d.command_id
    LEFT JOIN codex_events e ON e.id = d.receipt_event_id
    LEFT JOIN tasks t ON t.id = d.task_id";

impl Delivery {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let transport: Option<String> = row.get(4)?;
        let receipt = Receipt {
            event_id: row.get(20)?,
            event_timestamp: row.get(21)?,
            details: row::optional_json(row, 22)?,
        };
        Ok(Self {
            id: row.get(0)?,
            source: row.get(1)?,
            signal_type: row.get(2)?,
            state: row::word(row, 3)?,
            transport: transport.as_deref().and_then(TransportKind::parse),
            task_id: row.get(5)?,
            task_name: row.get(6)?,
            target_session_id: row.get(7)?,
            target_session_name: row.get(8)?,
            notification_id: row.get(9)?,
            command_id: row.get(10)?,
            attempt_id: row.get(11)?,
            correlation_id: row.get(12)?,
            client_message_id: row.get(13)?,
            body_bytes: row.get(14)?,
            body_sha256: row.get(15)?,
            claimed_at: row.get(16)?,
            started_at: row.get(17)?,
            sent_at: row.get(18)?,
            settled_at: row.get(19)?,
            receipt: (receipt != Receipt::default()).then_some(receipt),
            error: row.get(23)?,
            pane_class: row.get(24)?,
            target_exited_at: row.get(25)?,
            target_idle_since: row.get(26)?,
        })
    }
}

/// The delivery with this id.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find(conn: &Connection, id: i64) -> Result<Option<Delivery>, StoreError> {
    let sql = format!("{SELECT} WHERE d.id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([id], Delivery::of).optional()?)
}

/// The newest deliveries that belong to a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_of_task(conn: &Connection, task_id: &str, page: &Page) -> Result<Newest<Delivery>, StoreError> {
    let source = Source {
        select: SELECT,
        of_task: "d.task_id = ?1",
        at: "d.claimed_at",
        order: "d.id",
        written_at_once: Some("deliveries d"),
    };
    page::newest(conn, &source, task_id, page, Delivery::of)
}

/// The newest direct nudges of the sessions of a binding, `?1`, at a time that `during` is the
/// condition for, as far as they are not among those of its task.
///
/// # Errors
/// Whatever SQLite answers.
pub(in crate::store) fn newest_direct(
    conn: &Connection,
    binding_id: &str,
    during: &str,
    page: &Page,
) -> Result<Newest<Delivery>, StoreError> {
    let of_binding = format!(
        "d.notification_id IS NULL AND d.command_id IS NULL AND d.target_session_id IN (
             SELECT worker_session_id FROM bindings WHERE id = ?1
             UNION ALL SELECT manager_session_id FROM bindings WHERE id = ?1)
         AND d.task_id IS NOT (SELECT task_id FROM bindings WHERE id = ?1) AND {during}"
    );
    let source = Source {
        select: SELECT,
        of_task: &of_binding,
        at: "d.claimed_at",
        order: "d.id",
        written_at_once: None,
    };
    page::newest(conn, &source, binding_id, page, Delivery::of)
}

/// The newest deliveries that fit, newest first.
#[derive(Debug, Clone, Default)]
pub struct ListDeliveries {
    /// Only those of this task, by name or id.
    pub task: Option<String>,
    /// Only those to this session, by name or id.
    pub session: Option<String>,
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// So many at most.
    pub limit: u32,
}

impl Query for ListDeliveries {
    type Out = Vec<Delivery>;

    /// # Errors
    /// `NotFound` for an unknown task or session.
    fn run(self, conn: &Connection) -> Result<Vec<Delivery>, StoreError> {
        let task_id = self.task.map(|task| tasks::get(conn, &task)).transpose()?.map(|task| task.id);
        let session_id =
            self.session.map(|session| sessions::get(conn, &session)).transpose()?.map(|session| session.id);
        // The states of a session's deliveries are each in their order, all of them together are not.
        let states = match (&session_id, self.state) {
            (Some(_), None) => DeliveryState::ALL.iter().copied().map(Some).collect(),
            (_, state) => vec![state],
        };
        let mut newest = Vec::new();
        for state in states {
            let filter = filter(task_id.as_deref(), session_id.as_deref(), state);
            newest.extend(list(conn, &filter, self.limit)?);
        }
        newest.sort_by_key(|delivery| std::cmp::Reverse(delivery.id));
        newest.truncate(self.limit as usize);
        Ok(newest)
    }
}

/// The unary plus leaves the index to the condition that fewer rows fit: most deliveries of a task have
/// arrived, most of those that have not are of other tasks.
fn filter(task_id: Option<&str>, session_id: Option<&str>, state: Option<DeliveryState>) -> Filter {
    let is_common = matches!(state, None | Some(DeliveryState::Sent | DeliveryState::Observed));
    let by_task = task_id.is_some() && session_id.is_none() && is_common;
    let mut filter = Filter::default();
    if let Some(task_id) = task_id {
        filter.add(if by_task { "d.task_id = ?" } else { "+d.task_id = ?" }, task_id.to_owned());
    }
    if let Some(session_id) = session_id {
        filter.add("d.target_session_id = ?", session_id.to_owned());
    }
    if let Some(state) = state {
        filter.add(if by_task { "+d.state = ?" } else { "d.state = ?" }, state.as_str().to_owned());
    }
    filter
}

fn list(conn: &Connection, filter: &Filter, limit: u32) -> Result<Vec<Delivery>, StoreError> {
    let sql = format!("{SELECT} WHERE {} ORDER BY d.id DESC LIMIT {limit}", filter.sql());
    let deliveries =
        conn.prepare_cached(&sql)?.query_map(filter.values(), Delivery::of)?.collect::<Result<_, _>>()?;
    Ok(deliveries)
}
