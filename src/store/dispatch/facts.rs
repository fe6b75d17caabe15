//! Facts about workers, routed to their managers.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::stale::LEFT_STARTED;
use super::unrouted::{Fact, any_unrouted, unrouted, unrouted_of};
use super::{Claim, Entry, Push, Step, Subject, entry, pushes_to};
use crate::domain::ids::new_id;
use crate::domain::time::now_iso;
use crate::domain::transport::delivery_mode;
use crate::store::deliveries::{self, NewDelivery, Source};
use crate::store::sessions::{self, Session};
use crate::store::telemetry::{self, Actor, Event, Severity, Telemetry};
use crate::store::{StoreError, tasks};

/// Pending and free to claim: never claimed, or its claimant is gone and had not begun.
const REDELIVERABLE: &str = "FROM routed_notifications n
    WHERE n.state = 'pending' AND n.side_effect_started = 0 AND n.command_id IS NULL
      AND (n.claim_expires_at IS NULL OR n.claim_expires_at < ?1)";

/// After its n-th failure a push rests 2ⁿ seconds, five minutes at most.
const RESTED: &str = "AND COALESCE((
        SELECT unixepoch(?1, 'subsec') >= MAX(unixepoch(d.settled_at, 'subsec')) + MIN(300, 1 << MIN(COUNT(*), 9))
        FROM deliveries d WHERE d.notification_id = n.id AND d.state = 'failed'), 1)";

pub(super) fn any_due(conn: &Connection, now: &str) -> Result<bool, StoreError> {
    let waiting =
        format!("SELECT EXISTS (SELECT 1 {REDELIVERABLE} {RESTED}) OR EXISTS (SELECT 1 {LEFT_STARTED})");
    Ok(any_unrouted(conn)? || conn.prepare_cached(&waiting)?.query_row([now], |row| row.get(0))?)
}

/// Makes a notification of each unrouted fact and delivers it, or claims it for a push.
pub(super) fn route(conn: &Connection, claim: &Claim, limit: usize) -> Result<Vec<Step>, StoreError> {
    unrouted(conn, limit)?.into_iter().map(|fact| route_one(conn, claim, &fact, deliver)).collect()
}

/// Makes a notification of each unrouted fact of a binding that is about to end, for no pass looks
/// there afterwards. Where there is a push to be made, the next pass makes it.
///
/// # Errors
/// Whatever SQLite answers.
pub fn route_before_end(conn: &Connection, binding_id: &str, by: &str) -> Result<(), StoreError> {
    let now = now_iso();
    let claim = Claim { dispatcher_id: by.to_owned(), now: now.clone(), expires: now };
    for fact in unrouted_of(conn, binding_id)? {
        route_one(conn, &claim, &fact, leave)?;
    }
    Ok(())
}

/// Delivers a notification, or sees to it that somebody does.
type HandOn = fn(&Connection, &Claim, &Item<'_>, Entry) -> Result<Step, StoreError>;

fn route_one(conn: &Connection, claim: &Claim, fact: &Fact, hand_on: HandOn) -> Result<Step, StoreError> {
    let worker = sessions::get(conn, &fact.worker_id)?;
    let manager = sessions::get(conn, &fact.manager_id)?;
    let task = tasks::get(conn, &fact.task_id)?;
    let mode = delivery_mode(!pushes_to(conn, &manager)?.is_empty());
    let correlation_id = new_id("dispatch");
    let dedupe_key = fact.dedupe_key();
    let report = entry(json!({
        "binding_id": fact.binding_id,
        "correlation_id": correlation_id,
        "dedupe_key": dedupe_key,
        "delivery_mode": mode,
        "dry_run": false,
        "signal_type": fact.signal,
        "source_event_id": fact.event_id,
        "target_session": manager.name,
        "task": task.name,
    }));
    fact.mark_routed(conn, &claim.now)?;

    let mut payload = entry(json!({
        "delivery_mode": mode,
        "dispatcher_id": claim.dispatcher_id,
        "message": fact.message(&worker.name, &task.name),
        "signal": fact.signal,
        "source_event_id": fact.event_id,
        "source_session": worker.name,
        "target_session": manager.name,
        "task": task.name,
    }));
    payload.extend(entry(fact.payload(conn, &worker)?));
    let payload = Value::Object(payload);
    let inserted = conn
        .prepare_cached(
            "INSERT INTO routed_notifications (task_id, binding_id, correlation_id, source_session_id, target_session_id, signal_type,
                 source_event_id, source_event_timestamp, dedupe_key, created_at, delivery_mode, state, payload_json)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'pending', ?12) ON CONFLICT (dedupe_key) DO NOTHING",
        )?
        .execute((
            &fact.task_id, &fact.binding_id, &correlation_id, &worker.id, &manager.id, fact.signal,
            fact.event_id, payload["worker_receipt"]["source_event_timestamp"].as_str(), &dedupe_key, &claim.now, mode, payload.to_string(),
        ))?;
    if inserted == 0 {
        let known: i64 = conn
            .prepare_cached("SELECT id FROM routed_notifications WHERE dedupe_key = ?1")?
            .query_row([&dedupe_key], |row| row.get(0))?;
        tell(conn, known, "dispatch_signal_suppressed", Severity::Info, "this was already announced")?;
        return Ok(Step::Done(with_state(report, "suppressed")));
    }
    let notification_id = conn.last_insert_rowid();
    tell(conn, notification_id, "dispatch_signal_detected", Severity::Info, fact.what())?;
    let item = Item {
        notification_id,
        correlation_id: &correlation_id,
        signal: fact.signal,
        from: &worker,
        target: &manager,
        payload: &payload,
    };
    hand_on(conn, claim, &item, report)
}

/// A notification to be delivered to its manager.
struct Item<'a> {
    notification_id: i64,
    correlation_id: &'a str,
    signal: &'a str,
    from: &'a Session,
    target: &'a Session,
    payload: &'a Value,
}

impl Item<'_> {
    fn text(&self) -> &str {
        self.payload["message"].as_str().unwrap_or_default()
    }

    fn delivery(&self) -> NewDelivery<'_> {
        NewDelivery {
            source: Source::Notification,
            notification_id: Some(self.notification_id),
            command_id: None,
            attempt_id: None,
            target_session_id: &self.target.id,
            correlation_id: self.correlation_id,
            body: self.text(),
        }
    }

    fn claim(&self, conn: &Connection, claim: &Claim) -> Result<(), StoreError> {
        conn.prepare_cached("UPDATE routed_notifications SET claimed_by = ?2, claimed_at = ?3, claim_expires_at = ?4, error = NULL WHERE id = ?1")?
            .execute((self.notification_id, &claim.dispatcher_id, &claim.now, &claim.expires))?;
        Ok(())
    }

    fn put_in_mailbox(&self, conn: &Connection, claim: &Claim, report: Entry) -> Result<Step, StoreError> {
        conn.prepare_cached("UPDATE routed_notifications SET state = 'delivered', delivered_at = ?2, delivery_mode = 'pull_required' WHERE id = ?1")?
            .execute((self.notification_id, &claim.now))?;
        deliveries::put_in_mailbox(conn, &self.delivery())?;
        let what = "the item waits in the mailbox";
        tell(conn, self.notification_id, "dispatch_signal_pull_required", Severity::Info, what)?;
        Ok(Step::Done(with_state(report, "pull_required")))
    }
}

/// Puts it in the mailbox of who is not sent to, or is gone; else it stays to be claimed.
fn leave(conn: &Connection, claim: &Claim, item: &Item<'_>, report: Entry) -> Result<Step, StoreError> {
    if !pushes_to(conn, item.target)?.is_empty() {
        return Ok(Step::Done(with_state(report, "pending")));
    }
    item.claim(conn, claim)?;
    item.put_in_mailbox(conn, claim, report)
}

fn deliver(conn: &Connection, claim: &Claim, item: &Item<'_>, mut report: Entry) -> Result<Step, StoreError> {
    report.insert("notification_id".into(), item.notification_id.into());
    item.claim(conn, claim)?;
    if pushes_to(conn, item.target)?.is_empty() {
        return item.put_in_mailbox(conn, claim, report);
    }
    let delivery = deliveries::claim(conn, &item.delivery())?;
    Ok(Step::Push(Box::new(Push {
        delivery,
        subject: Subject::Fact { notification_id: item.notification_id },
        target_session_id: item.target.id.clone(),
        signal: item.signal.to_owned(),
        from: item.from.name.clone(),
        correlation_id: item.correlation_id.to_owned(),
        text: item.text().to_owned(),
        entry: report,
    })))
}

/// Claims again the notifications whose push failed before anything was sent.
pub(super) fn redeliver(
    conn: &Connection,
    claim: &Claim,
    back_off: bool,
    limit: usize,
) -> Result<Vec<Step>, StoreError> {
    let rested = if back_off { RESTED } else { "" };
    let sql = format!("SELECT n.id {REDELIVERABLE} {rested} ORDER BY n.created_at, n.id LIMIT ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let pending: Vec<i64> =
        statement.query_map((&claim.now, limit as i64), |row| row.get(0))?.collect::<Result<_, _>>()?;
    let again = |notification_id| {
        deliveries::abandon(conn, notification_id)?;
        redeliver_one(conn, claim, notification_id)
    };
    pending.into_iter().map(again).collect()
}

fn redeliver_one(conn: &Connection, claim: &Claim, notification_id: i64) -> Result<Step, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT binding_id, correlation_id, dedupe_key, signal_type, source_event_id, source_session_id, target_session_id, task_id, payload_json
         FROM routed_notifications WHERE id = ?1",
    )?;
    type Stored = (String, String, String, String, Option<i64>, String, String, String, String);
    let (binding_id, correlation_id, dedupe_key, signal, event_id, source_id, target_id, task_id, payload): Stored =
        statement.query_row([notification_id], |row| row.try_into())?;
    let (worker, manager) = (sessions::get(conn, &source_id)?, sessions::get(conn, &target_id)?);
    let payload: Value = serde_json::from_str(&payload).unwrap_or_default();
    let report = entry(json!({
        "binding_id": binding_id,
        "correlation_id": correlation_id,
        "dedupe_key": dedupe_key,
        "delivery_mode": delivery_mode(!pushes_to(conn, &manager)?.is_empty()),
        "dry_run": false,
        "recovered": true,
        "signal_type": signal,
        "source_event_id": event_id,
        "target_session": manager.name,
        "task": tasks::get(conn, &task_id)?.name,
    }));
    let item = Item {
        notification_id,
        correlation_id: &correlation_id,
        signal: &signal,
        from: &worker,
        target: &manager,
        payload: &payload,
    };
    let what = "an undelivered item is tried again";
    tell(conn, notification_id, "dispatch_signal_recovered", Severity::Info, what)?;
    deliver(conn, claim, &item, report)
}

fn with_state(mut report: Entry, state: &str) -> Entry {
    report.insert("state".into(), state.into());
    report
}

/// Tells telemetry about a notification.
pub(super) fn tell(
    conn: &Connection,
    notification_id: i64,
    event_type: &str,
    severity: Severity,
    what: &str,
) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT n.task_id, n.binding_id, n.correlation_id, n.signal_type, n.source_event_id, n.delivery_mode,
                COALESCE(n.claimed_by, json_extract(n.payload_json, '$.dispatcher_id')),
                n.target_session_id, target.name, source.name
         FROM routed_notifications n JOIN sessions target ON target.id = n.target_session_id
         JOIN sessions source ON source.id = n.source_session_id WHERE n.id = ?1",
    )?;
    type Row = (String, String, String, String, Option<i64>, String, Option<String>, String, String, String);
    let (task_id, binding_id, correlation_id, signal, event_id, mode, dispatcher_id, target_id, target, from): Row =
        statement.query_row([notification_id], |row| row.try_into())?;
    let told = Told {
        notification_id,
        task_id: &task_id,
        binding_id: &binding_id,
        correlation_id: &correlation_id,
        signal: &signal,
        event_id,
        mode: &mode,
        dispatcher_id: dispatcher_id.as_deref(),
        target_id: &target_id,
        target: &target,
        from: &from,
    };
    telemetry::emit_all(conn, &[told.event(event_type, severity, what)])
}

/// The notification that telemetry is about.
pub(super) struct Told<'a> {
    pub(super) notification_id: i64,
    pub(super) task_id: &'a str,
    pub(super) binding_id: &'a str,
    pub(super) correlation_id: &'a str,
    pub(super) signal: &'a str,
    pub(super) event_id: Option<i64>,
    pub(super) mode: &'a str,
    pub(super) dispatcher_id: Option<&'a str>,
    pub(super) target_id: &'a str,
    pub(super) target: &'a str,
    pub(super) from: &'a str,
}

impl Told<'_> {
    pub(super) fn event(&self, event_type: &str, severity: Severity, what: &str) -> Event {
        let event = Telemetry {
            actor: Actor::Dispatch,
            event_type,
            severity,
            summary: &format!("{} for {}: {what}", self.signal, self.target),
            task_id: Some(self.task_id),
            run_id: None,
            correlation: json!({
                "binding_id": self.binding_id,
                "correlation_id": self.correlation_id,
                "dispatcher_id": self.dispatcher_id,
                "routed_notification_id": self.notification_id,
                "signal_type": self.signal,
                "source_event_id": self.event_id,
                "target_session_id": self.target_id,
            }),
            attributes: json!({
                "delivery_mode": self.mode,
                "signal_type": self.signal,
                "source_session": self.from,
                "target_session": self.target,
            }),
        };
        event.happens()
    }
}
