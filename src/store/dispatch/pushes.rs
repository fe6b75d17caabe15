//! The two records around a push: that it is about to happen, and how it went.

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::attempts::{self, Finish, Told};
use super::facts;
use super::{Entry, Push, Subject, nudges};
use crate::domain::time::now_iso;
use crate::domain::transport::TransportKind;
use crate::store::deliveries::{self, Move};
use crate::store::telemetry::Severity;
use crate::store::{Change, StoreError, Topic};

/// Records that a push is about to happen. Durable before the push is made.
#[derive(Debug)]
pub struct BeginPush {
    /// The claimed delivery.
    pub delivery_id: i64,
    /// The claim's fence.
    pub fence: i64,
    /// How it will be made.
    pub transport: TransportKind,
}

impl Change for BeginPush {
    /// Whether the claim still holds. If not, nothing may be sent.
    type Out = bool;

    fn run(self, tx: &Connection) -> Result<bool, StoreError> {
        if !deliveries::make_move(tx, self.delivery_id, self.fence, &Move::Start(self.transport))? {
            return Ok(false);
        }
        tx.prepare_cached(
            "UPDATE routed_notifications SET side_effect_started = 1
             WHERE id = (SELECT notification_id FROM deliveries WHERE id = ?1)",
        )?
        .execute([self.delivery_id])?;
        tx.prepare_cached(
            "UPDATE command_attempts SET side_effect_started = 1 WHERE id = (SELECT attempt_id FROM deliveries WHERE id = ?1)",
        )?
        .execute([self.delivery_id])?;
        Ok(true)
    }
}

/// Keeps the claim of a push that is being made, or waits for its turn, from running out.
#[derive(Debug)]
pub struct RenewClaim {
    /// The claimed delivery.
    pub delivery_id: i64,
    /// The claim's fence.
    pub fence: i64,
    /// How much longer it holds from now, in seconds.
    pub lease_seconds: i64,
}

impl Change for RenewClaim {
    /// Whether the claim still holds.
    type Out = bool;

    fn run(self, tx: &Connection) -> Result<bool, StoreError> {
        if !deliveries::is_under_way(tx, self.delivery_id, self.fence)? {
            return Ok(false);
        }
        let expires = super::expiry(Timestamp::now(), self.lease_seconds);
        for sql in [
            "UPDATE routed_notifications SET claim_expires_at = ?2
             WHERE id = (SELECT notification_id FROM deliveries WHERE id = ?1) AND claim_expires_at IS NOT NULL AND state = 'pending'",
            "UPDATE commands SET claim_expires_at = ?2
             WHERE id = (SELECT command_id FROM deliveries WHERE id = ?1) AND state = 'attempted'",
        ] {
            tx.prepare_cached(sql)?.execute((self.delivery_id, &expires))?;
        }
        Ok(true)
    }
}

/// How a push went.
#[derive(Debug, Clone, PartialEq)]
pub enum PushOutcome {
    /// The transport took it.
    Sent {
        /// What the transport said, as a JSON object.
        result: Value,
    },
    /// Nothing was sent.
    NotSent {
        /// Why not.
        error: String,
        /// What the pane showed, when it was looked at.
        pane_class: Option<String>,
        /// Whether the push had been recorded as begun.
        begun: bool,
    },
    /// It may have been sent.
    Unknown {
        /// What is known.
        error: String,
        /// What the pane showed, when it was looked at.
        pane_class: Option<String>,
    },
}

impl PushOutcome {
    /// Whether the text may be on its way.
    pub fn may_have_left(&self) -> bool {
        !matches!(self, Self::NotSent { .. })
    }
}

/// Records how a push went; gives the item's report.
#[derive(Debug)]
pub struct FinishPush {
    /// The push that was made.
    pub push: Push,
    /// How it went.
    pub outcome: PushOutcome,
}

impl Change for FinishPush {
    type Out = Entry;
    const TOUCHES: &'static [Topic] = &[Topic::Inbox, Topic::Deliveries];

    fn run(self, tx: &Connection) -> Result<Entry, StoreError> {
        let Self { push, mut outcome } = self;
        let step = match &outcome {
            PushOutcome::Sent { .. } => Move::Sent,
            PushOutcome::NotSent { error, pane_class, .. } => {
                Move::Failed { error: error.clone(), pane_class: pane_class.clone() }
            }
            PushOutcome::Unknown { error, pane_class } => {
                Move::Unknown { error: error.clone(), pane_class: pane_class.clone() }
            }
        };
        let mut report = push.entry.clone();
        if !deliveries::make_move(tx, push.delivery.id, push.delivery.fence, &step)? {
            let state = deliveries::state(tx, push.delivery.id, push.delivery.fence)?;
            if state.as_deref() != Some("observed") {
                // Somebody else settled it meanwhile; what they recorded stands.
                report.insert("state".into(), state.into());
                return Ok(report);
            }
            outcome = PushOutcome::Sent { result: json!({"seen_to_arrive": true}) };
        }
        match &push.subject {
            Subject::Command { notification_id, command_id, attempt_id } => {
                let attempt =
                    Attempt { notification_id: *notification_id, command_id, attempt_id: *attempt_id };
                finish_command(tx, &push, &attempt, &outcome, report)
            }
            Subject::Fact { notification_id } => finish_fact(tx, *notification_id, &outcome, report),
            Subject::Nudge => nudges::finish(tx, &push, &outcome, report),
        }
    }
}

fn finish_fact(
    conn: &Connection,
    notification_id: i64,
    outcome: &PushOutcome,
    mut report: Entry,
) -> Result<Entry, StoreError> {
    let tell = |event_type, severity, what| facts::tell(conn, notification_id, event_type, severity, what);
    match outcome {
        PushOutcome::Sent { .. } => {
            delivered(conn, notification_id)?;
            report.insert("state".into(), outcome.word().into());
            tell("dispatch_signal_routed", Severity::Info, "pushed to the session")?;
        }
        // Nothing was sent, so it is tried again: a manager must not miss it.
        PushOutcome::NotSent { error, .. } => {
            conn.prepare_cached(
                "UPDATE routed_notifications SET side_effect_started = 0, claimed_by = NULL, claimed_at = NULL, claim_expires_at = NULL, error = ?2 WHERE id = ?1",
            )?
            .execute((notification_id, error))?;
            report.extend(super::entry(json!({"state": "failed", "error": error, "will_retry": true})));
            tell("dispatch_signal_failed", Severity::Warning, error)?;
        }
        PushOutcome::Unknown { error, .. } => {
            conn.prepare_cached(
                "UPDATE routed_notifications SET state = 'failed', error = ?2 WHERE id = ?1",
            )?
            .execute((notification_id, error))?;
            report.extend(super::entry(json!({"state": outcome.word(), "error": error})));
            tell("dispatch_signal_failed", Severity::Error, error)?;
        }
    }
    Ok(report)
}

/// An attempt at a command, and the notification it delivers.
struct Attempt<'a> {
    notification_id: i64,
    command_id: &'a str,
    attempt_id: i64,
}

fn finish_command(
    conn: &Connection,
    push: &Push,
    attempt: &Attempt<'_>,
    outcome: &PushOutcome,
    mut report: Entry,
) -> Result<Entry, StoreError> {
    let &Attempt { notification_id, command_id, attempt_id } = attempt;
    let task_id: String = conn
        .prepare_cached("SELECT task_id FROM routed_notifications WHERE id = ?1")?
        .query_row([notification_id], |row| row.get(0))?;
    let told = Told {
        id: command_id,
        kind: &push.signal,
        task_id: Some(&task_id),
        correlation_id: &push.correlation_id,
        attempt_id,
    };
    report.insert("state".into(), outcome.word().into());
    match outcome {
        PushOutcome::Sent { result } => {
            delivered(conn, notification_id)?;
            report.extend(super::entry(
                json!({"side_effect_started": true, "side_effect_completed": true, "send_result": result}),
            ));
            let finish =
                Finish { state: "succeeded", result: Some(&report), error: None, effect: (true, true) };
            if attempts::finish(conn, command_id, attempt_id, &finish)? {
                attempts::tell(
                    conn,
                    &told,
                    "dispatch_signal_routed",
                    Severity::Info,
                    "pushed to the session",
                )?;
                attempts::tell(conn, &told, "dispatch_command_succeeded", Severity::Info, "delivered")?;
            }
        }
        PushOutcome::NotSent { error, .. } | PushOutcome::Unknown { error, .. } => {
            let begun = !matches!(outcome, PushOutcome::NotSent { begun: false, .. });
            conn.prepare_cached(
                "UPDATE routed_notifications SET state = 'failed', error = ?2 WHERE id = ?1",
            )?
            .execute((notification_id, error))?;
            report.extend(super::entry(json!({"side_effect_started": begun, "error": error})));
            let finish =
                Finish { state: "failed", result: Some(&report), error: Some(error), effect: (begun, false) };
            attempts::finish(conn, command_id, attempt_id, &finish)?;
            attempts::tell(conn, &told, "dispatch_command_failed", Severity::Error, error)?;
        }
    }
    Ok(report)
}

pub(super) fn delivered(conn: &Connection, notification_id: i64) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE routed_notifications SET state = 'delivered', delivered_at = ?2, delivery_mode = 'push', side_effect_completed = 1, error = NULL
         WHERE id = ?1 AND state = 'pending'",
    )?
    .execute((notification_id, now_iso()))?;
    Ok(())
}

impl PushOutcome {
    /// The contract's word for the item's state.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "delivered",
            Self::NotSent { .. } => "failed",
            Self::Unknown { .. } => "unknown",
        }
    }
}
