//! Whether conditions are met.

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use super::{Floor, Met, Target, WaitPlan};
use crate::domain::session_fact::SessionFactKind;
use crate::domain::{Condition, DeliveryState};
use crate::store::deliveries::{self, Delivery};
use crate::store::notifications::{self, in_inbox};
use crate::store::sessions::Session;
use crate::store::{Query, StoreError, codex_events, session_facts};

/// Looks whether each target of a plan has any of its conditions met.
#[derive(Debug, Clone)]
pub struct CheckConditions(pub WaitPlan);

impl Query for CheckConditions {
    /// In the order of the targets; and the newest rollout event that was read, from which the next
    /// wait can go on.
    type Out = (Vec<Option<Met>>, i64);

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        let met =
            self.0.targets.iter().map(|target| target.met(conn, &self.0.floor)).collect::<Result<_, _>>()?;
        Ok((met, codex_events::newest_id(conn)?))
    }
}

impl Target {
    fn met(&self, conn: &Connection, floor: &Floor) -> Result<Option<Met>, StoreError> {
        for (condition, session) in &self.looks {
            if let Some(object) = object(conn, *condition, session, floor)? {
                let (session, task) = (session.name.clone(), self.task.clone());
                return Ok(Some(Met { condition: *condition, session, task, object }));
            }
        }
        Ok(None)
    }
}

fn object(
    conn: &Connection,
    condition: Condition,
    session: &Session,
    floor: &Floor,
) -> Result<Option<Value>, StoreError> {
    match condition {
        Condition::TurnEnd => turn_end(conn, session, floor),
        Condition::Inbox => inbox(conn, session, floor),
        Condition::Delivery => delivery(conn, session, floor),
        Condition::Exit => fact(conn, session, SessionFactKind::Exited, floor),
        Condition::Approval => fact(conn, session, SessionFactKind::Waiting, floor),
    }
}

/// The oldest turn that ended since. One without an end line counts by the time it became known.
fn turn_end(conn: &Connection, session: &Session, floor: &Floor) -> Result<Option<Value>, StoreError> {
    let turn = conn
        .prepare_cached(
            "SELECT thread_id, turn_key, outcome, error_json, event_id, recorded_at FROM turn_facts
             WHERE session_id = ?1 AND (?2 IS NULL OR id > ?2)
               AND (?3 IS NULL OR event_id > ?3 OR event_id IS NULL AND recorded_at > ?4)
             ORDER BY id LIMIT 1",
        )?
        .query_row((&session.id, floor.turn_fact, floor.event, &floor.at), |row| {
            let error: Option<String> = row.get(3)?;
            Ok(json!({
                "thread_id": row.get::<_, String>(0)?,
                "turn_id": row.get::<_, String>(1)?,
                "outcome": row.get::<_, String>(2)?,
                "error": error.and_then(|json| serde_json::from_str::<Value>(&json).ok()),
                "event_id": row.get::<_, Option<i64>>(4)?,
                "recorded_at": row.get::<_, String>(5)?,
            }))
        });
    Ok(turn.optional()?)
}

fn inbox(conn: &Connection, session: &Session, floor: &Floor) -> Result<Option<Value>, StoreError> {
    let sql = format!(
        "SELECT n.id, n.signal_type, n.correlation_id, n.delivered_at FROM routed_notifications n
         WHERE {} AND (?2 IS NULL OR n.delivered_at > ?2) ORDER BY n.created_at, n.id LIMIT 1",
        in_inbox()
    );
    let oldest: Option<(i64, String, String, Option<String>)> =
        conn.prepare_cached(&sql)?.query_row((&session.id, &floor.at), |row| row.try_into()).optional()?;
    let Some((id, signal_type, correlation_id, delivered_at)) = oldest else { return Ok(None) };
    Ok(Some(json!({
        "correlation_id": correlation_id,
        "delivered_at": delivered_at,
        "notification_id": id,
        "pending": notifications::inbox_size(conn, &session.id)?,
        "signal_type": signal_type,
    })))
}

fn delivery(conn: &Connection, session: &Session, floor: &Floor) -> Result<Option<Value>, StoreError> {
    // One look at the end of the index for each state, however many deliveries there are.
    let mut statement =
        conn.prepare_cached("SELECT MAX(id) FROM deliveries WHERE target_session_id = ?1 AND state = ?2")?;
    let mut newest: Option<i64> = None;
    for state in DeliveryState::ALL {
        newest = newest.max(statement.query_row((&session.id, state.as_str()), |row| row.get(0))?);
    }
    let newest = newest.map(|id| deliveries::find(conn, id)).transpose()?.flatten();
    let counts = |delivery: &Delivery| {
        let is_decided = delivery.state.is_final() || delivery.state == DeliveryState::Unknown;
        is_decided && floor.at.as_ref().is_none_or(|at| delivery.claimed_at > *at)
    };
    Ok(newest.filter(counts).map(|delivery| json!(delivery)))
}

fn fact(
    conn: &Connection,
    session: &Session,
    kind: SessionFactKind,
    floor: &Floor,
) -> Result<Option<Value>, StoreError> {
    let is_new = |recorded_at: &String| floor.at.as_ref().is_none_or(|at| recorded_at > at);
    let mut open = session_facts::open(conn, &session.id)?.into_iter();
    Ok(open.find(|fact| fact.kind == kind && is_new(&fact.recorded_at)).map(|fact| json!(fact)))
}
