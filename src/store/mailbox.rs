//! Mailbox items handed out under a lease: settled by their reader, or back in the inbox when it
//! dies, or a dead letter when that happens too often.
//!
//! A lease carries a fence that grows with every hand-out. Only who names the current one settles
//! the item: a reader that was too slow, and whose item went to somebody else, changes nothing.

use jiff::{Timestamp, ToSpan};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::notifications::{self, Inbox, Notification, ReadInbox, in_inbox};
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, Query, StoreError, Topic, deliveries};
use crate::domain::Failure;
use crate::domain::ack::AckStatus;
use crate::domain::time::{iso, now_iso};

/// After so many hand-outs without an acknowledgement an item is a dead letter.
pub const MAX_HAND_OUTS: i64 = 5;

/// An item in the hands of a reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Names this hand-out: `<item>:<fence>`. The acknowledgement repeats it.
    pub token: String,
    /// When the item comes back if it is not acknowledged.
    pub expires_at: String,
    /// How many times it was handed out, this time included.
    pub hand_outs: i64,
}

/// Hands out the oldest item of a session's inbox without consuming it.
#[derive(Debug, Clone)]
pub struct LeaseNext {
    /// Whose inbox.
    pub session_id: String,
    /// How long the reader has to acknowledge it.
    pub lease_seconds: u32,
    /// Items to show at most of what is left.
    pub limit: u32,
}

impl Change for LeaseNext {
    /// The item and its lease, when there was one; and what is left.
    type Out = (Option<(Notification, Lease)>, Inbox);

    fn run(self, tx: &Connection) -> Result<Self::Out, StoreError> {
        bury(tx, &self.session_id)?;
        let sql = format!(
            "SELECT n.id FROM routed_notifications n WHERE {} ORDER BY n.created_at, n.id LIMIT 1",
            in_inbox()
        );
        let next: Option<i64> =
            tx.prepare_cached(&sql)?.query_row([&self.session_id], |row| row.get(0)).optional()?;
        let leased = match next {
            Some(id) => hand_out(tx, id, &self)?,
            None => None,
        };
        let left = ReadInbox { session_id: self.session_id, limit: self.limit }.run(tx)?;
        Ok((leased, left))
    }
}

fn hand_out(conn: &Connection, id: i64, to: &LeaseNext) -> Result<Option<(Notification, Lease)>, StoreError> {
    let now = Timestamp::now();
    let expires_at = iso(now.checked_add(i64::from(to.lease_seconds).seconds()).unwrap_or(now));
    let (fence, hand_outs): (i64, i64) = conn
        .prepare_cached(
            "INSERT INTO notification_leases (notification_id, fence, holder_session_id, leased_at, expires_at, state)
             VALUES (?1, 1, ?2, ?3, ?4, 'leased')
             ON CONFLICT (notification_id) DO UPDATE SET
                 fence = fence + 1, holder_session_id = ?2, leased_at = ?3, expires_at = ?4, hand_outs = hand_outs + 1, state = 'leased'
             RETURNING fence, hand_outs",
        )?
        .query_row((id, &to.session_id, iso(now), &expires_at), |row| row.try_into())?;
    let lease = Lease { token: format!("{id}:{fence}"), expires_at, hand_outs };
    let Some(item) = notifications::find(conn, id)? else { return Ok(None) };
    tell(
        conn,
        &item,
        "dispatch_inbox_leased",
        Severity::Info,
        &format!("handed out for the {hand_outs}. time"),
    )?;
    Ok(Some((item, lease)))
}

/// Makes dead letters of the items that were handed out too often.
fn bury(conn: &Connection, session_id: &str) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(
        "UPDATE notification_leases SET state = 'dead_letter'
         WHERE state = 'leased' AND expires_at <= ?2 AND hand_outs >= ?3
           AND notification_id IN (SELECT id FROM routed_notifications WHERE target_session_id = ?1 AND consumed_at IS NULL AND state = 'delivered')
         RETURNING notification_id",
    )?;
    let buried: Vec<i64> = statement
        .query_map((session_id, now_iso(), MAX_HAND_OUTS), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in buried {
        if let Some(item) = notifications::find(conn, id)? {
            tell(
                conn,
                &item,
                "dispatch_inbox_dead_letter",
                Severity::Error,
                "was never acknowledged and is a dead letter",
            )?;
        }
    }
    Ok(())
}

/// Settles a leased item.
#[derive(Debug, Clone)]
pub struct Acknowledge {
    /// The item.
    pub notification_id: i64,
    /// The token of the hand-out; without it, the one that holds now.
    pub token: Option<String>,
    /// What its reader says.
    pub status: AckStatus,
}

/// A settled item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The item, now consumed.
    pub item: Notification,
    /// What its reader said.
    pub status: AckStatus,
    /// When.
    pub acknowledged_at: String,
    /// How many times it had been handed out.
    pub hand_outs: i64,
}

impl Change for Acknowledge {
    type Out = Acknowledged;
    const TOUCHES: &'static [Topic] = &[Topic::Inbox, Topic::Deliveries];

    fn run(self, tx: &Connection) -> Result<Acknowledged, StoreError> {
        let held = self.held(tx)?;
        let now = now_iso();
        tx.prepare_cached(
            "UPDATE notification_leases SET state = 'acknowledged', ack_status = ?2, ack_at = ?3 WHERE notification_id = ?1",
        )?
        .execute((self.notification_id, self.status.as_str(), &now))?;
        tx.prepare_cached(
            "UPDATE routed_notifications SET consumed_at = ?2, consumed_by_session_id = ?3 WHERE id = ?1",
        )?
        .execute((self.notification_id, &now, &held.holder))?;
        let receipt = json!({"acknowledged_as": self.status, "at": now, "by": held.holder});
        deliveries::taken_from_mailbox(tx, self.notification_id, &receipt)?;
        let Some(item) = notifications::find(tx, self.notification_id)? else {
            return Err(
                Failure::not_found(format!("inbox item {} does not exist", self.notification_id)).into()
            );
        };
        let severity = if self.status == AckStatus::Blocked { Severity::Warning } else { Severity::Info };
        tell(
            tx,
            &item,
            "dispatch_inbox_acknowledged",
            severity,
            &format!("was acknowledged as {}", self.status),
        )?;
        Ok(Acknowledged { item, status: self.status, acknowledged_at: now, hand_outs: held.hand_outs })
    }
}

/// The hand-out that an acknowledgement is for.
struct Held {
    holder: Option<String>,
    hand_outs: i64,
}

impl Acknowledge {
    /// Refuses an item that is not handed out, and a hand-out that is not the current one.
    fn held(&self, conn: &Connection) -> Result<Held, StoreError> {
        let id = self.notification_id;
        let row: Option<(i64, Option<String>, i64, String, bool)> = conn
            .prepare_cached(
                "SELECT l.fence, l.holder_session_id, l.hand_outs, l.state, n.consumed_at IS NOT NULL
                 FROM notification_leases l JOIN routed_notifications n ON n.id = l.notification_id WHERE n.id = ?1",
            )?
            .query_row([id], |row| row.try_into())
            .optional()?;
        let Some((fence, holder, hand_outs, state, is_consumed)) = row else {
            if notifications::find(conn, id)?.is_none() {
                return Err(Failure::not_found(format!("inbox item {id} does not exist"))
                    .hint("ids stand in `conveyor manager-inbox TASK`, `conveyor worker-inbox TASK`")
                    .into());
            }
            return Err(Failure::refused(format!("inbox item {id} was not handed out under a lease"))
                .hint("hand it out first: `conveyor worker-inbox TASK --consume-next --lease-seconds 60`")
                .into());
        };
        if state == "acknowledged" {
            return Err(Failure::refused(format!("inbox item {id} is acknowledged already"))
                .hint("there is nothing left to do about it")
                .into());
        }
        let current = format!("{id}:{fence}");
        let is_void = self.token.as_ref().is_some_and(|token| *token != current);
        if is_void || is_consumed {
            let what = if is_consumed { "taken by somebody" } else { "handed out again" };
            return Err(Failure::refused(format!("inbox item {id} was {what} since; this lease is void"))
                .hint("whoever has it now settles it; what you did with it may be done twice, so say so")
                .into());
        }
        Ok(Held { holder, hand_outs })
    }
}

/// The dead letters of a session, or of all sessions, the newest first.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    /// Whose; none for everybody's.
    pub session_id: Option<String>,
    /// At most this many.
    pub limit: u32,
}

impl Query for DeadLetters {
    type Out = Vec<Notification>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        let mut statement = conn.prepare_cached(
            "SELECT l.notification_id FROM notification_leases l JOIN routed_notifications n ON n.id = l.notification_id
             WHERE (l.state = 'dead_letter' OR (l.state = 'leased' AND l.expires_at <= ?2 AND l.hand_outs >= ?3))
               AND n.consumed_at IS NULL AND (?1 IS NULL OR n.target_session_id = ?1)
             ORDER BY l.notification_id DESC LIMIT ?4",
        )?;
        let ids: Vec<i64> = statement
            .query_map((&self.session_id, now_iso(), MAX_HAND_OUTS, self.limit), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut letters = Vec::with_capacity(ids.len());
        for id in ids {
            letters.extend(notifications::find(conn, id)?);
        }
        Ok(letters)
    }
}

fn tell(
    conn: &Connection,
    item: &Notification,
    event_type: &str,
    severity: Severity,
    what: &str,
) -> Result<(), StoreError> {
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Dispatch,
            event_type,
            severity,
            summary: &format!("{} for {} {what}", item.signal_type, item.target_session_name),
            task_id: Some(&item.task_id),
            run_id: None,
            correlation: json!({
                "correlation_id": item.correlation_id,
                "notification_id": item.id,
                "target_session_id": item.target_session_id,
            }),
            attributes: json!({"signal_type": item.signal_type, "target_session_name": item.target_session_name}),
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::notifications::ConsumeNext;
    use crate::store::testing::TestDb;

    fn lease(session_id: &str) -> LeaseNext {
        LeaseNext { session_id: session_id.into(), lease_seconds: 60, limit: 10 }
    }

    fn ack(id: i64, token: Option<&str>) -> Acknowledge {
        Acknowledge { notification_id: id, token: token.map(str::to_owned), status: AckStatus::Received }
    }

    fn expire(db: &TestDb) {
        db.conn
            .execute("UPDATE notification_leases SET expires_at = '2000-01-01T00:00:00.000Z'", [])
            .unwrap();
    }

    #[test]
    fn a_leased_item_is_nobody_elses_until_it_is_settled() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        let id = db.deliver(&pair, "only");
        let (leased, left) = db.write(lease(&pair.worker.id)).unwrap();
        let (item, held) = leased.unwrap();
        assert_eq!((item.id, held.hand_outs, left.pending), (id, 1, 0));
        assert!(item.consumed_at.is_none());
        assert!(db.write(lease(&pair.worker.id)).unwrap().0.is_none());
        let take =
            ConsumeNext { session_id: pair.worker.id.clone(), limit: 1, poll_count: 1, waiting: false };
        assert!(db.write(take).unwrap().consumed.is_none());

        let settled = db.write(ack(id, Some(&held.token))).unwrap();
        assert_eq!(settled.item.consumed_by_session_id.as_deref(), Some(&*pair.worker.id));
        assert!(db.refusal(ack(id, None)).message.contains("already"));
        expire(&db);
        assert!(db.write(lease(&pair.worker.id)).unwrap().0.is_none(), "a settled item never comes back");
    }

    #[test]
    fn an_item_comes_back_with_its_count_and_its_slow_reader_is_fenced_off() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        let id = db.deliver(&pair, "only");
        let first = db.write(lease(&pair.worker.id)).unwrap().0.unwrap().1;
        expire(&db);
        let second = db.write(lease(&pair.worker.id)).unwrap().0.unwrap().1;
        assert_eq!(second.hand_outs, 2);
        assert!(db.refusal(ack(id, Some(&first.token))).message.contains("void"));
        db.write(ack(id, Some(&second.token))).unwrap();
    }

    #[test]
    fn a_late_acknowledgement_counts_while_nobody_else_has_the_item() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        let id = db.deliver(&pair, "only");
        let held = db.write(lease(&pair.worker.id)).unwrap().0.unwrap().1;
        expire(&db);
        db.write(ack(id, Some(&held.token))).unwrap();
    }

    #[test]
    fn a_reader_whose_item_was_taken_meanwhile_settles_nothing() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        let id = db.deliver(&pair, "only");
        let held = db.write(lease(&pair.worker.id)).unwrap().0.unwrap().1;
        expire(&db);
        let take =
            ConsumeNext { session_id: pair.worker.id.clone(), limit: 1, poll_count: 1, waiting: false };
        assert_eq!(db.write(take).unwrap().consumed.unwrap().id, id);
        for token in [Some(&*held.token), None] {
            assert!(db.refusal(ack(id, token)).message.contains("taken by somebody"));
        }
    }

    #[test]
    fn past_the_limit_an_item_is_a_dead_letter() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        let id = db.deliver(&pair, "poison");
        for _ in 0..MAX_HAND_OUTS {
            assert!(db.write(lease(&pair.worker.id)).unwrap().0.is_some());
            expire(&db);
        }
        let letters = DeadLetters { session_id: Some(pair.worker.id.clone()), limit: 10 };
        assert_eq!(db.read(letters.clone()).len(), 1, "before anybody looked again");
        assert!(db.write(lease(&pair.worker.id)).unwrap().0.is_none());
        assert_eq!(db.read(letters)[0].id, id);
        assert_eq!(db.read(DeadLetters { session_id: None, limit: 10 }).len(), 1);
        assert_eq!(
            db.number(
                "SELECT count(*) FROM telemetry_events WHERE event_type = 'dispatch_inbox_dead_letter'"
            ),
            1
        );
        db.write(ack(id, None)).unwrap();
        assert_eq!(db.read(DeadLetters { session_id: None, limit: 10 }).len(), 0, "a person may settle it");
    }

    #[test]
    fn what_was_not_handed_out_cannot_be_settled() {
        let mut db = TestDb::new();
        let pair = db.pair("one");
        let id = db.deliver(&pair, "only");
        assert!(db.refusal(ack(id, None)).hints[0].contains("--lease-seconds"));
        assert_eq!(db.refusal(ack(99, None)).message, "inbox item 99 does not exist");
    }
}
