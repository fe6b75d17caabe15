//! What dead claimants left: their claims ran out.
//!
//! What was seen to arrive counts as delivered, though its claimant never said so.

use rusqlite::Connection;
use serde_json::json;

use super::attempts::{self, Told};
use super::{Claim, Step, entry, pushes};
use crate::store::telemetry::Severity;
use crate::store::{StoreError, deliveries};

struct Stale {
    command_id: String,
    kind: String,
    task_id: Option<String>,
    correlation_id: String,
    attempt_id: i64,
    started: bool,
    observed: bool,
    attempts_left: bool,
}

/// Facts whose push had begun when their dispatcher died.
pub(super) const LEFT_STARTED: &str =
    "FROM routed_notifications n JOIN sessions s ON s.id = n.target_session_id
    WHERE n.state = 'pending' AND n.side_effect_started = 1 AND n.command_id IS NULL
      AND (n.claim_expires_at IS NULL OR unixepoch(n.claim_expires_at, 'subsec') < unixepoch(?1, 'subsec'))";

/// How a stale command goes on.
struct Verdict {
    attempt: &'static str,
    command: &'static str,
    event_type: &'static str,
    severity: Severity,
    /// The word in the report.
    state: &'static str,
    why: &'static str,
}

impl Stale {
    fn verdict(&self) -> Verdict {
        if self.observed {
            return Verdict {
                attempt: "succeeded",
                command: "succeeded",
                event_type: "dispatch_command_succeeded",
                severity: Severity::Info,
                state: "delivered",
                why: "the claim ran out, and the text was seen to arrive",
            };
        }
        let failed = Verdict {
            attempt: "failed",
            command: "failed",
            event_type: "dispatch_command_failed",
            severity: Severity::Error,
            state: "failed",
            why: "the claim ran out after the delivery had begun; it may have arrived and is not repeated",
        };
        match (self.started, self.attempts_left) {
            (true, _) => failed,
            (false, true) => Verdict {
                attempt: "abandoned",
                command: "pending",
                event_type: "dispatch_command_abandoned",
                severity: Severity::Warning,
                state: "requeued",
                why: "the claim ran out before the delivery began; the command waits again",
            },
            (false, false) => Verdict {
                attempt: "abandoned",
                why: "the claim ran out before the delivery began; no attempts are left",
                ..failed
            },
        }
    }
}

/// Ends the claims on commands that ran out: before its effect an attempt is abandoned and the
/// command waits again if attempts are left; after it, both have failed and nothing is repeated.
pub(super) fn recover_commands(
    conn: &Connection,
    claim: &Claim,
    limit: usize,
) -> Result<Vec<Step>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT c.id, c.type, c.task_id, COALESCE(c.correlation_id, c.id), a.id, a.side_effect_started,
                EXISTS (SELECT 1 FROM deliveries d WHERE d.attempt_id = a.id AND d.state = 'observed'), c.attempts < c.max_attempts
         FROM commands c JOIN command_attempts a ON a.command_id = c.id AND a.state = 'running'
         WHERE c.state = 'attempted' AND unixepoch(c.claim_expires_at, 'subsec') < unixepoch(?1, 'subsec')
         ORDER BY c.created_at, c.rowid LIMIT ?2",
    )?;
    let stale: Vec<Stale> = statement
        .query_map((&claim.now, limit as i64), |row| {
            Ok(Stale {
                command_id: row.get(0)?,
                kind: row.get(1)?,
                task_id: row.get(2)?,
                correlation_id: row.get(3)?,
                attempt_id: row.get(4)?,
                started: row.get(5)?,
                observed: row.get(6)?,
                attempts_left: row.get(7)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    stale.iter().map(|stale| recover(conn, claim, stale)).collect()
}

fn recover(conn: &Connection, claim: &Claim, stale: &Stale) -> Result<Step, StoreError> {
    let Verdict { attempt, command, event_type, severity, state, why } = stale.verdict();
    let error = (!stale.observed).then_some(why);
    conn.prepare_cached(
        "UPDATE command_attempts SET state = ?2, finished_at = ?3, error = ?4, side_effect_completed = ?5 WHERE id = ?1",
    )?
    .execute((stale.attempt_id, attempt, &claim.now, error, stale.observed))?;
    conn.prepare_cached(
        "UPDATE commands SET state = ?2, error = ?3, claimed_by = NULL, claimed_at = NULL, claim_expires_at = NULL, updated_at = ?4 WHERE id = ?1",
    )?
    .execute((&stale.command_id, command, (command == "failed").then_some(why), &claim.now))?;
    settle_notifications(conn, stale, why)?;
    let told = Told {
        id: &stale.command_id,
        kind: &stale.kind,
        task_id: stale.task_id.as_deref(),
        correlation_id: &stale.correlation_id,
        attempt_id: stale.attempt_id,
    };
    attempts::tell(conn, &told, event_type, severity, why)?;
    Ok(Step::Done(entry(json!({
        "attempt_id": stale.attempt_id,
        "command_id": stale.command_id,
        "command_type": stale.kind,
        "error": error,
        "side_effect_started": stale.started,
        "state": state,
    }))))
}

fn settle_notifications(conn: &Connection, stale: &Stale, why: &str) -> Result<(), StoreError> {
    let mut statement = conn
        .prepare_cached("SELECT id FROM routed_notifications WHERE command_id = ?1 AND state = 'pending'")?;
    let ids: Vec<i64> =
        statement.query_map([&stale.command_id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    ids.into_iter().try_for_each(|id| settle_notification(conn, id, stale.observed, why))
}

fn settle_notification(conn: &Connection, id: i64, observed: bool, why: &str) -> Result<(), StoreError> {
    if observed {
        return pushes::delivered(conn, id);
    }
    deliveries::abandon(conn, id)?;
    conn.prepare_cached("UPDATE routed_notifications SET state = 'failed', error = ?2 WHERE id = ?1")?
        .execute((id, why))?;
    Ok(())
}

/// Ends the claims on [`LEFT_STARTED`]: they may have arrived.
pub(super) fn settle_started_facts(
    conn: &Connection,
    claim: &Claim,
    limit: usize,
) -> Result<Vec<Step>, StoreError> {
    let sql = format!(
        "SELECT n.id, n.signal_type, n.correlation_id, s.name {LEFT_STARTED} ORDER BY n.created_at, n.id LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let started: Vec<(i64, String, String, String)> =
        statement.query_map((&claim.now, limit as i64), |row| row.try_into())?.collect::<Result<_, _>>()?;
    let why = "the claim ran out after the push had begun; it may have arrived and is not repeated";
    started
        .into_iter()
        .map(|(id, signal, correlation_id, target)| {
            let observed = deliveries::is_observed(conn, id)?;
            settle_notification(conn, id, observed, why)?;
            Ok(Step::Done(entry(json!({
                "correlation_id": correlation_id,
                "error": (!observed).then_some(why),
                "notification_id": id,
                "side_effect_started": true,
                "signal_type": signal,
                "state": if observed { "delivered" } else { "failed" },
                "target_session": target,
            }))))
        })
        .collect()
}
