//! Deliveries that should have been seen to arrive by now.

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use serde_json::json;

use super::{Move, find, make_move};
use crate::domain::time::iso;
use crate::domain::transport::TransportKind;
use crate::store::telemetry::{self, Actor, Severity, Telemetry};
use crate::store::{Change, Query, StoreError, Topic};

/// A delivery that was sent a while ago, and that the target's rollout has not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// Row id.
    pub id: i64,
    /// Must be named to move it.
    pub fence: i64,
    /// The session it was sent to.
    pub target_session_id: String,
    /// That session's name.
    pub target_session_name: String,
    /// How it was sent.
    pub transport: TransportKind,
    /// Ties it to its cause.
    pub correlation_id: Option<String>,
}

impl Unseen {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let transport: String = row.get(4)?;
        Ok(Self {
            id: row.get(0)?,
            fence: row.get(1)?,
            target_session_id: row.get(2)?,
            target_session_name: row.get(3)?,
            transport: TransportKind::parse(&transport).unwrap_or(TransportKind::Tmux),
            correlation_id: row.get(5)?,
        })
    }
}

/// What is overdue at an instant.
///
/// Of the pushed deliveries those to bound sessions, whose rollouts are read. A session that is in
/// a turn takes a text in when it comes to it, or after it, so the clock of a text runs from the end
/// of the last turn.
#[derive(Debug, Clone, Copy)]
pub struct OverdueDeliveries {
    /// What was sent, or claimed, before this instant.
    pub before: Timestamp,
}

/// See [`OverdueDeliveries`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Sent, and not seen to arrive.
    pub unseen: Vec<Unseen>,
    /// There are direct nudges that nobody finished, see [`AbandonNudges`].
    pub abandoned_nudges: bool,
}

impl Query for OverdueDeliveries {
    type Out = Overdue;

    fn run(self, conn: &Connection) -> Result<Overdue, StoreError> {
        let before = iso(self.before);
        let unseen = conn
            .prepare_cached(
                "SELECT d.id, d.fence, d.target_session_id, s.name, d.transport, d.correlation_id
                 FROM deliveries d INDEXED BY deliveries_unseen
                 JOIN sessions s ON s.id = d.target_session_id
                 WHERE d.state = 'sent' AND d.transport <> 'mailbox' AND d.sent_at < ?1
                   AND s.state = 'active' AND s.codex_session_path IS NOT NULL
                   AND EXISTS (SELECT 1 FROM bindings b WHERE b.state IN ('active', 'ending')
                               AND s.id IN (b.worker_session_id, b.manager_session_id))
                   AND NOT EXISTS (SELECT 1 FROM rollout_cursors r
                                   WHERE r.session_id = s.id AND r.open_turn_key IS NOT NULL)
                   AND COALESCE((SELECT f.recorded_at FROM turn_facts f WHERE f.session_id = s.id
                                 ORDER BY f.id DESC LIMIT 1) < ?1, 1)
                 ORDER BY d.sent_at LIMIT 64",
            )?
            .query_map([&before], Unseen::of)?
            .collect::<Result<_, _>>()?;
        let abandoned_nudges = conn
            .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM deliveries WHERE {ABANDONED})"))?
            .query_row([&before], |row| row.get(0))?;
        Ok(Overdue { unseen, abandoned_nudges })
    }
}

/// A direct nudge has no notification with a claim that runs out.
const ABANDONED: &str = "state IN ('claimed', 'started') AND notification_id IS NULL AND claimed_at < ?1";

/// Records that nobody knows whether a sent delivery arrived.
#[derive(Debug, Clone)]
pub struct DoubtDelivery {
    /// The delivery.
    pub unseen: Unseen,
    /// What was tried, and what is seen of the target.
    pub error: String,
    /// What the target's pane shows.
    pub pane_class: Option<String>,
}

impl Change for DoubtDelivery {
    /// Whether it was still in doubt.
    type Out = bool;
    const TOUCHES: &'static [Topic] = &[Topic::Deliveries];

    fn run(self, tx: &Connection) -> Result<bool, StoreError> {
        let Self { unseen, error, pane_class } = self;
        let step = Move::Unknown { error: error.clone(), pane_class: pane_class.clone() };
        if !make_move(tx, unseen.id, unseen.fence, &step)? {
            return Ok(false);
        }
        telemetry::emit(
            tx,
            &Telemetry {
                actor: Actor::Dispatch,
                event_type: "delivery_doubted",
                severity: Severity::Warning,
                summary: &format!("delivery {} to {}: {error}", unseen.id, unseen.target_session_name),
                task_id: find(tx, unseen.id)?.and_then(|delivery| delivery.task_id).as_deref(),
                run_id: None,
                correlation: json!({
                    "correlation_id": unseen.correlation_id,
                    "delivery_id": unseen.id,
                    "target_session_id": unseen.target_session_id,
                }),
                attributes: json!({"pane_class": pane_class, "transport": unseen.transport}),
            },
        )?;
        Ok(true)
    }
}

/// Gives up direct nudges whose process died while it made them: nothing else notices. Gives how
/// many.
#[derive(Debug, Clone, Copy)]
pub struct AbandonNudges {
    /// Those that were claimed before this instant.
    pub claimed_before: Timestamp,
}

impl Change for AbandonNudges {
    type Out = usize;
    const TOUCHES: &'static [Topic] = &[Topic::Deliveries];

    fn run(self, tx: &Connection) -> Result<usize, StoreError> {
        let sql = format!(
            "UPDATE deliveries SET
                 error = CASE state WHEN 'claimed' THEN 'whoever was to send it is gone; nothing was sent'
                                    ELSE 'whoever was sending it is gone; it may have arrived' END,
                 settled_at = CASE state WHEN 'claimed' THEN ?2 END,
                 state = CASE state WHEN 'claimed' THEN 'failed' ELSE 'unknown' END
             WHERE {ABANDONED}"
        );
        let (before, now) = (iso(self.claimed_before), iso(Timestamp::now()));
        Ok(tx.prepare_cached(&sql)?.execute((before, now))?)
    }
}
