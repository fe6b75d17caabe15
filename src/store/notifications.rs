//! Notifications: facts and messages on their way to a session. The delivered ones that nobody has
//! consumed yet are that session's inbox.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::mailbox::{Lease, MAX_HAND_OUTS};
use super::page::{self, Newest, Page, Source};
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, Query, StoreError, Topic, deliveries, row, runs};
use crate::domain::Role;
use crate::domain::time::now_iso;

/// A row of `routed_notifications` with the names of what it refers to, as inboxes show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// That task's name.
    pub task_name: String,
    /// The binding it was routed by.
    pub binding_id: String,
    /// Ties it to the other records of the same cause.
    pub correlation_id: String,
    /// Where it comes from.
    pub source_session_id: String,
    /// That session's name.
    pub source_session_name: String,
    /// That session's role.
    pub source_session_role: Role,
    /// Whom it is for.
    pub target_session_id: String,
    /// That session's name.
    pub target_session_name: String,
    /// That session's role.
    pub target_session_role: Role,
    /// `worker_task_complete`, or the type of the command it delivers.
    pub signal_type: String,
    /// The rollout event that is its cause.
    pub source_event_id: Option<i64>,
    /// When that event happened.
    pub source_event_timestamp: Option<String>,
    /// Unique: the same cause is never routed twice.
    pub dedupe_key: String,
    /// The command it delivers.
    pub command_id: Option<String>,
    /// When it was routed.
    pub created_at: String,
    /// When it was pushed, or put into the mailbox.
    pub delivered_at: Option<String>,
    /// The observation cycle that took it.
    pub consumed_manager_cycle_id: Option<i64>,
    /// The session that took it from its inbox.
    pub consumed_by_session_id: Option<String>,
    /// That session's name.
    pub consumed_by_session_name: Option<String>,
    /// That session's role.
    pub consumed_by_session_role: Option<String>,
    /// When it was taken.
    pub consumed_at: Option<String>,
    /// `push` or `pull_required`.
    pub delivery_mode: String,
    /// `pending`, `delivered`, `failed` or `suppressed`.
    pub state: String,
    /// The dispatcher that claimed it.
    pub claimed_by: Option<String>,
    /// When.
    pub claimed_at: Option<String>,
    /// When that claim may be taken over.
    pub claim_expires_at: Option<String>,
    /// Text may have reached the target.
    pub side_effect_started: bool,
    /// All of it was sent.
    pub side_effect_completed: bool,
    /// What it says: `message` and what goes with it.
    pub payload: Value,
    /// Why it failed.
    pub error: Option<String>,
}

const SELECT: &str = "SELECT n.id, n.task_id, t.name, n.binding_id, n.correlation_id, \
        n.source_session_id, source.name, source.role, n.target_session_id, target.name, target.role, \
        n.signal_type, n.source_event_id, n.source_event_timestamp, n.dedupe_key, n.command_id, \
        n.created_at, n.delivered_at, n.consumed_manager_cycle_id, n.consumed_by_session_id, n.consumed_at, \
        n.delivery_mode, n.state, n.claimed_by, n.claimed_at, n.claim_expires_at, \
        n.side_effect_started, n.side_effect_completed, n.payload_json, n.error, consumer.name, consumer.role \
    FROM routed_notifications n JOIN tasks t ON t.id = n.task_id \
    JOIN sessions source ON source.id = n.source_session_id \
    JOIN sessions target ON target.id = n.target_session_id \
    LEFT JOIN sessions consumer ON consumer.id = n.consumed_by_session_id";

/// What makes a row `n` an item of the inbox of the session `?1`: delivered, not taken, and neither
/// in a reader's hands nor a dead letter (handed out too often, see [`super::mailbox`]).
pub(super) fn in_inbox() -> String {
    format!(
        "n.target_session_id = ?1 AND n.consumed_at IS NULL AND n.state = 'delivered'
        AND NOT EXISTS (SELECT 1 FROM notification_leases l WHERE l.notification_id = n.id
            AND (l.state = 'dead_letter' OR l.state = 'leased'
                AND (l.hand_outs >= {MAX_HAND_OUTS} OR l.expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))))"
    )
}

impl Notification {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            task_name: row.get(2)?,
            binding_id: row.get(3)?,
            correlation_id: row.get(4)?,
            source_session_id: row.get(5)?,
            source_session_name: row.get(6)?,
            source_session_role: row::word(row, 7)?,
            target_session_id: row.get(8)?,
            target_session_name: row.get(9)?,
            target_session_role: row::word(row, 10)?,
            signal_type: row.get(11)?,
            source_event_id: row.get(12)?,
            source_event_timestamp: row.get(13)?,
            dedupe_key: row.get(14)?,
            command_id: row.get(15)?,
            created_at: row.get(16)?,
            delivered_at: row.get(17)?,
            consumed_manager_cycle_id: row.get(18)?,
            consumed_by_session_id: row.get(19)?,
            consumed_by_session_name: row.get(30)?,
            consumed_by_session_role: row.get(31)?,
            consumed_at: row.get(20)?,
            delivery_mode: row.get(21)?,
            state: row.get(22)?,
            claimed_by: row.get(23)?,
            claimed_at: row.get(24)?,
            claim_expires_at: row.get(25)?,
            side_effect_started: row.get(26)?,
            side_effect_completed: row.get(27)?,
            payload: row::json(row, 28)?,
            error: row.get(29)?,
        })
    }
}

/// The notification with this id.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find(conn: &Connection, id: i64) -> Result<Option<Notification>, StoreError> {
    let sql = format!("{SELECT} WHERE n.id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([id], Notification::of).optional()?)
}

/// The newest notifications of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_of_task(
    conn: &Connection,
    task_id: &str,
    page: &Page,
) -> Result<Newest<Notification>, StoreError> {
    let source = Source {
        select: SELECT,
        of_task: "n.task_id = ?1",
        at: "n.created_at",
        order: "n.id",
        written_at_once: Some("routed_notifications n"),
    };
    page::newest(conn, &source, task_id, page, Notification::of)
}

/// The oldest items of a session's inbox.
///
/// # Errors
/// Whatever SQLite answers.
pub fn inbox(conn: &Connection, session_id: &str, limit: u32) -> Result<Vec<Notification>, StoreError> {
    let sql = format!("{SELECT} WHERE {} ORDER BY n.created_at, n.id LIMIT ?2", in_inbox());
    let items = conn
        .prepare_cached(&sql)?
        .query_map((session_id, limit), Notification::of)?
        .collect::<Result<_, _>>()?;
    Ok(items)
}

/// How many items a session's inbox holds.
///
/// # Errors
/// Whatever SQLite answers.
pub fn inbox_size(conn: &Connection, session_id: &str) -> Result<i64, StoreError> {
    let sql = format!("SELECT count(*) FROM routed_notifications n WHERE {}", in_inbox());
    Ok(conn.prepare_cached(&sql)?.query_row([session_id], |row| row.get(0))?)
}

/// Marks everything in a manager's inbox as taken by one of its observation cycles; gives how many
/// items that were.
///
/// # Errors
/// Whatever SQLite answers.
pub fn consume_in_cycle(
    conn: &Connection,
    manager_session_id: &str,
    cycle_id: i64,
) -> Result<usize, StoreError> {
    // A manager may look before the push that woke it is recorded as delivered.
    let sql = format!(
        "UPDATE routed_notifications AS n SET consumed_at = ?2, consumed_manager_cycle_id = ?3
         WHERE ({}) OR (n.target_session_id = ?1 AND n.consumed_at IS NULL AND n.state = 'pending'
             AND n.side_effect_started = 1)
         RETURNING id",
        in_inbox()
    );
    let taken: Vec<i64> = conn
        .prepare_cached(&sql)?
        .query_map((manager_session_id, now_iso(), cycle_id), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &taken {
        deliveries::taken_from_mailbox(conn, *id, &json!({ "manager_cycle_id": cycle_id }))?;
    }
    Ok(taken.len())
}

/// What an inbox holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inbox {
    /// The item that was taken, when one was asked for and there was one.
    pub consumed: Option<Notification>,
    /// The item that was handed out under a lease.
    pub leased: Option<(Notification, Lease)>,
    /// The oldest of what is left.
    pub items: Vec<Notification>,
    /// How many are left in all.
    pub pending: i64,
}

/// Looks into a session's inbox.
#[derive(Debug, Clone)]
pub struct ReadInbox {
    /// Whose.
    pub session_id: String,
    /// Items to show at most.
    pub limit: u32,
}

impl Query for ReadInbox {
    type Out = Inbox;

    fn run(self, conn: &Connection) -> Result<Inbox, StoreError> {
        Ok(Inbox {
            consumed: None,
            leased: None,
            items: inbox(conn, &self.session_id, self.limit)?,
            pending: inbox_size(conn, &self.session_id)?,
        })
    }
}

/// Takes the oldest item of a session's inbox. Of any number of takers exactly one gets it.
#[derive(Debug, Clone)]
pub struct ConsumeNext {
    /// Whose.
    pub session_id: String,
    /// Items to show at most of what is left.
    pub limit: u32,
    /// How often the taker has looked, this time included.
    pub poll_count: u32,
    /// Whether the taker waits.
    pub waiting: bool,
}

impl Change for ConsumeNext {
    type Out = Inbox;
    const TOUCHES: &'static [Topic] = &[Topic::Inbox];

    fn run(self, tx: &Connection) -> Result<Inbox, StoreError> {
        let sql = format!(
            "UPDATE routed_notifications SET consumed_at = ?2, consumed_by_session_id = ?1
             WHERE id = (SELECT n.id FROM routed_notifications n WHERE {} ORDER BY n.created_at, n.id LIMIT 1)
             RETURNING id",
            in_inbox()
        );
        let taken: Option<i64> =
            tx.prepare_cached(&sql)?.query_row((&self.session_id, now_iso()), |row| row.get(0)).optional()?;
        let consumed = taken.map(|id| find(tx, id)).transpose()?.flatten();
        if let Some(item) = &consumed {
            let receipt = json!({ "consumed_by_session_id": item.consumed_by_session_id });
            deliveries::taken_from_mailbox(tx, item.id, &receipt)?;
            tell_consumed(tx, item, &self)?;
        }
        let left = ReadInbox { session_id: self.session_id, limit: self.limit }.run(tx)?;
        Ok(Inbox { consumed, ..left })
    }
}

fn tell_consumed(conn: &Connection, item: &Notification, by: &ConsumeNext) -> Result<(), StoreError> {
    // A payload may name a run that is not there; telemetry must not.
    let run = match item.payload["ralph_loop"]["run_id"].as_str() {
        Some(run_id) => runs::find(conn, &item.task_id, run_id)?,
        None => None,
    };
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Dispatch,
            event_type: "dispatch_inbox_consumed",
            severity: Severity::Info,
            summary: &format!("{} consumed {} from its inbox", item.target_session_name, item.signal_type),
            task_id: Some(&item.task_id),
            run_id: run.as_ref().map(|run| &*run.id),
            correlation: json!({
                "correlation_id": item.correlation_id,
                "notification_id": item.id,
                "signal_type": item.signal_type,
                "target_session_id": item.target_session_id,
            }),
            attributes: json!({
                "consumed_by_session_id": item.consumed_by_session_id,
                "delivery_mode": item.delivery_mode,
                "poll_count": by.poll_count,
                "source_session_name": item.source_session_name,
                "target_session_name": item.target_session_name,
                "target_session_role": item.target_session_role,
                "wait_enabled": by.waiting,
            }),
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::bindings::BoundTask;
    use crate::store::testing::TestDb;

    /// A delivered message with other values in some columns.
    fn deliver(db: &TestDb, pair: &BoundTask, message: &str, created_at: &str, state: &str) {
        let id = db.deliver(pair, message);
        db.conn
            .execute(
                "UPDATE routed_notifications SET created_at = ?2, state = ?3 WHERE id = ?1",
                (id, created_at, state),
            )
            .unwrap();
    }

    fn messages(items: &[Notification]) -> Vec<&str> {
        items.iter().map(|item| item.payload["message"].as_str().unwrap()).collect()
    }

    fn take(session_id: &str) -> ConsumeNext {
        ConsumeNext { session_id: session_id.into(), limit: 10, poll_count: 3, waiting: true }
    }

    #[test]
    fn an_inbox_holds_what_was_delivered_and_not_taken_oldest_first() {
        let mut db = TestDb::new();
        let (pair, other) = (db.pair("one"), db.pair("two"));
        for (message, created_at, state) in [
            ("late", "2026-01-03", "delivered"),
            ("early", "2026-01-01", "delivered"),
            ("same instant", "2026-01-01", "delivered"),
            ("pending", "2026-01-01", "pending"),
            ("failed", "2026-01-01", "failed"),
        ] {
            deliver(&db, &pair, message, created_at, state);
        }
        db.deliver(&other, "of another");

        let read = |limit| db.read(ReadInbox { session_id: pair.worker.id.clone(), limit });
        assert_eq!(messages(&read(10).items), ["early", "same instant", "late"]);
        assert_eq!((messages(&read(2).items), read(2).pending), (vec!["early", "same instant"], 3));
        let item = &read(1).items[0];
        assert_eq!((&*item.source_session_name, item.source_session_role), ("one-m", Role::Manager));
        assert_eq!((&*item.target_session_name, item.target_session_role), ("one-w", Role::Worker));
        assert_eq!(item.task_name, "one");
        assert_eq!(db.read(ReadInbox { session_id: pair.manager.id, limit: 10 }), Inbox::default());
    }

    #[test]
    fn taking_moves_the_oldest_item_out_and_tells_telemetry() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        db.deliver(&pair, "first");
        db.deliver(&pair, "second");

        let taken = db.write(take(&pair.worker.id)).unwrap();
        let consumed = taken.consumed.unwrap();
        assert_eq!(messages(std::slice::from_ref(&consumed)), ["first"]);
        assert_eq!(consumed.consumed_by_session_id.as_deref(), Some(&*pair.worker.id));
        assert!(consumed.consumed_at.is_some());
        assert_eq!((messages(&taken.items), taken.pending), (vec!["second"], 1));
        assert_eq!(
            db.jsons(
                "SELECT attributes_json FROM telemetry_events WHERE event_type = 'dispatch_inbox_consumed'"
            ),
            [json!({
                "consumed_by_session_id": pair.worker.id, "delivery_mode": "pull_required", "poll_count": 3,
                "source_session_name": "one-m", "target_session_name": "one-w", "target_session_role": "worker",
                "wait_enabled": true,
            })]
        );
        assert!(db.write(take(&pair.worker.id)).unwrap().consumed.is_some());
        assert_eq!(db.write(take(&pair.worker.id)).unwrap(), Inbox::default());
        assert_eq!(db.texts("SELECT id FROM telemetry_events").len(), 2, "nothing taken, nothing told");
    }

    #[test]
    fn an_item_of_a_loop_is_told_as_part_of_its_run() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        db.conn
            .execute(
                "INSERT INTO runs (id, task_id, name, status, started_at, metadata_json)
                 VALUES ('run-1', ?1, 'loop', 'finished', 'now', '{}')",
                [&pair.task.id],
            )
            .unwrap();
        for run in ["run-1", "run-gone"] {
            let id = db.deliver(&pair, run);
            let payload = json!({ "message": run, "ralph_loop": { "run_id": run } }).to_string();
            db.conn
                .execute("UPDATE routed_notifications SET payload_json = ?1 WHERE id = ?2", (payload, id))
                .unwrap();
            db.write(take(&pair.worker.id)).unwrap();
        }
        assert_eq!(
            db.texts("SELECT coalesce(run_id, '-') FROM telemetry_events ORDER BY rowid"),
            ["run-1", "-"]
        );
    }

    #[test]
    fn taking_an_item_is_the_evidence_of_its_delivery() {
        for by_cycle in [true, false] {
            let mut db = TestDb::new();
            let pair = db.pair("one");
            let id = db.deliver(&pair, "first");
            db.conn
                .execute(
                    "INSERT INTO deliveries (notification_id, source, target_session_id, transport, state, fence, claimed_at, sent_at)
                     VALUES (?1, 'notification', ?2, 'mailbox', 'sent', 1, 'now', 'now')",
                    (id, &pair.worker.id),
                )
                .unwrap();
            let receipt = if by_cycle {
                db.conn.execute("INSERT INTO manager_cycles (id, task_id, started_at, state) VALUES (7, ?1, 'now', 'started')", [&pair.task.id]).unwrap();
                consume_in_cycle(&db.conn, &pair.worker.id, 7).unwrap();
                json!({ "manager_cycle_id": 7 })
            } else {
                db.write(take(&pair.worker.id)).unwrap();
                json!({ "consumed_by_session_id": pair.worker.id })
            };
            assert_eq!(db.texts("SELECT state FROM deliveries"), ["observed"]);
            assert_eq!(db.jsons("SELECT receipt_json FROM deliveries"), [receipt]);
        }
    }

    #[test]
    fn a_cycle_takes_the_push_that_woke_its_manager_before_that_is_recorded() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        let (begun, waiting) = (db.deliver(&pair, "begun"), db.deliver(&pair, "waiting"));
        let push =
            "UPDATE routed_notifications SET state = 'pending', side_effect_started = ?2 WHERE id = ?1";
        db.conn.execute(push, (begun, true)).unwrap();
        db.conn.execute(push, (waiting, false)).unwrap();
        db.conn
            .execute(
                "INSERT INTO manager_cycles (id, task_id, started_at, state) VALUES (1, ?1, 'now', 'started')",
                [&pair.task.id],
            )
            .unwrap();
        assert_eq!(consume_in_cycle(&db.conn, &pair.worker.id, 1).unwrap(), 1);
        let taken = "SELECT id FROM routed_notifications WHERE consumed_at IS NOT NULL";
        assert_eq!(db.number(taken), begun);
    }

    #[test]
    fn a_cycle_takes_everything_at_once() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        db.deliver(&pair, "first");
        db.deliver(&pair, "second");
        db.conn
            .execute(
                "INSERT INTO manager_cycles (task_id, started_at, state) VALUES (?1, 'now', 'started')",
                [&pair.task.id],
            )
            .unwrap();
        assert_eq!(consume_in_cycle(&db.conn, &pair.worker.id, 1).unwrap(), 2);
        assert_eq!(db.read(ReadInbox { session_id: pair.worker.id.clone(), limit: 10 }), Inbox::default());
        assert_eq!(consume_in_cycle(&db.conn, &pair.worker.id, 1).unwrap(), 0);
    }
}
