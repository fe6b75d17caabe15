//! Queued commands: claimed, checked, and delivered or handed out for a push.

use rusqlite::{Connection, Row};
use serde_json::{Value, json};

use super::facts;
use super::loops::NEEDS_A_LOOK;
use super::{Claim, Entry, Push, Step, Subject, entry, loops, pushes_to};
use crate::domain::Failure;
use crate::domain::command::QueuedCommand;
use crate::domain::role::Role;
use crate::domain::shell::quoted;
use crate::domain::transport::delivery_mode;
use crate::store::bindings::{self, BoundTask};
use crate::store::deliveries::{self, NewDelivery, Source};
use crate::store::sessions::Session;
use crate::store::telemetry::{self, Actor, Severity, Telemetry};
use crate::store::{StoreError, manager_config};

/// A claimed command and the attempt at it.
pub(super) struct Claimed {
    pub(super) id: String,
    pub(super) kind: QueuedCommand,
    pub(super) task_id: Option<String>,
    pub(super) correlation_id: String,
    pub(super) required_permission: Option<String>,
    pub(super) payload: Value,
    pub(super) attempt_id: i64,
}

/// Due, with attempts left. `?1` is a JSON list of command types.
const DUE: &str = "state = 'pending' AND type IN (SELECT value FROM json_each(?1))
    AND (available_at IS NULL OR available_at <= ?2) AND attempts < max_attempts";

/// However many wait, the index has the oldest first.
const OLDEST_FIRST: &str = "FROM commands INDEXED BY commands_pending";

/// However many wait, the index has those of one type.
const OF_ONE_TYPE: &str = "FROM commands INDEXED BY commands_claimable";

/// At most this many requests wait for a look at the same time.
const MOST_LOOKS: usize = 64;

pub(super) fn any_due(conn: &Connection, now: &str) -> Result<bool, StoreError> {
    let due: bool = conn
        .prepare_cached(&format!(
            "SELECT EXISTS (SELECT 1 {OLDEST_FIRST} WHERE {DUE} AND NOT {NEEDS_A_LOOK})"
        ))?
        .query_row((json!(QueuedCommand::ALL).to_string(), now), |row| row.get(0))?;
    let stale = "SELECT EXISTS (SELECT 1 FROM commands WHERE state = 'attempted' AND claim_expires_at < ?1)";
    Ok(due || conn.prepare_cached(stale)?.query_row([now], |row| row.get(0))?)
}

/// What waits, the oldest first.
pub(super) fn due(
    conn: &Connection,
    kinds: &[QueuedCommand],
    now: &str,
    limit: usize,
) -> Result<Vec<(String, QueuedCommand)>, StoreError> {
    listed(conn, &format!("{OLDEST_FIRST} WHERE {DUE}"), kinds, now, limit)
}

fn listed(
    conn: &Connection,
    from: &str,
    kinds: &[QueuedCommand],
    now: &str,
    limit: usize,
) -> Result<Vec<(String, QueuedCommand)>, StoreError> {
    let sql = format!("SELECT id, type {from} ORDER BY created_at, rowid LIMIT ?3");
    let rows: Vec<(String, String)> = conn
        .prepare_cached(&sql)?
        .query_map((json!(kinds).to_string(), now, limit as i64), |row| row.try_into())?
        .collect::<Result<_, _>>()?;
    Ok(rows.into_iter().filter_map(|(id, kind)| Some((id, kind.parse().ok()?))).collect())
}

/// The requests that [`execute`] leaves, the oldest first.
pub(super) fn waiting_for_a_look(conn: &Connection, now: &str) -> Result<Vec<String>, StoreError> {
    let from = format!("{OF_ONE_TYPE} WHERE {DUE} AND {NEEDS_A_LOOK}");
    let waiting = listed(conn, &from, &[QueuedCommand::ContinueIteration], now, MOST_LOOKS)?;
    Ok(waiting.into_iter().map(|(id, _)| id).collect())
}

/// Carries out what waits and needs no look at a work tree.
pub(super) fn execute(
    conn: &Connection,
    claim: &Claim,
    kinds: &[QueuedCommand],
    limit: usize,
) -> Result<Vec<Step>, StoreError> {
    let from = format!("{OLDEST_FIRST} WHERE {DUE} AND NOT {NEEDS_A_LOOK}");
    let due = listed(conn, &from, kinds, &claim.now, limit)?;
    due.into_iter().map(|(id, kind)| claim_and_execute(conn, claim, kind, &id)).collect()
}

/// Carries out the request with this id, if it waits still.
pub(super) fn execute_seen(conn: &Connection, claim: &Claim, id: &str) -> Result<Option<Step>, StoreError> {
    let kind = QueuedCommand::ContinueIteration;
    let waits: bool = conn
        .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM commands WHERE id = ?3 AND {DUE})"))?
        .query_row((json!([kind]).to_string(), &claim.now, id), |row| row.get(0))?;
    waits.then(|| claim_and_execute(conn, claim, kind, id)).transpose()
}

fn claim_and_execute(
    conn: &Connection,
    claim: &Claim,
    kind: QueuedCommand,
    id: &str,
) -> Result<Step, StoreError> {
    let command = claim_one(conn, claim, kind, id)?;
    execute_one(conn, claim, &command)
}

fn claim_one(conn: &Connection, claim: &Claim, kind: QueuedCommand, id: &str) -> Result<Claimed, StoreError> {
    let mut statement = conn.prepare_cached(
        "UPDATE commands SET state = 'attempted', attempts = attempts + 1, claimed_by = ?2, claimed_at = ?3, claim_expires_at = ?4, updated_at = ?3
         WHERE id = ?1 RETURNING task_id, COALESCE(correlation_id, id), required_permission, payload_json",
    )?;
    let of = |row: &Row<'_>| {
        Ok(Claimed {
            id: id.to_owned(),
            kind,
            task_id: row.get(0)?,
            correlation_id: row.get(1)?,
            required_permission: row.get(2)?,
            payload: serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or_default(),
            attempt_id: 0,
        })
    };
    let mut command = statement.query_row((id, &claim.dispatcher_id, &claim.now, &claim.expires), of)?;
    conn.prepare_cached("INSERT INTO command_attempts (command_id, correlation_id, dispatcher_id, started_at, state) VALUES (?1, ?2, ?3, ?4, 'running')")?
        .execute((id, &command.correlation_id, &claim.dispatcher_id, &claim.now))?;
    command.attempt_id = conn.last_insert_rowid();
    command.tell(conn, "dispatch_command_claimed", Severity::Info, "claimed")?;
    Ok(command)
}

fn execute_one(conn: &Connection, claim: &Claim, command: &Claimed) -> Result<Step, StoreError> {
    let checked = check(conn, command)?;
    let (bound, permission) = match checked {
        Ok(checked) => checked,
        Err(refusal) => return fail(conn, claim, command, &refusal),
    };
    let (source, target) = match command.kind.target() {
        Role::Manager => (&bound.worker, &bound.manager),
        Role::Worker => (&bound.manager, &bound.worker),
    };
    let mode = delivery_mode(!pushes_to(conn, target)?.is_empty());
    let mut report = entry(json!({
        "attempt_id": command.attempt_id,
        "command_id": command.id,
        "command_type": command.kind,
        "correlation_id": command.correlation_id,
        "delivery_mode": mode,
        "dispatcher_id": claim.dispatcher_id,
        "dry_run": false,
        "side_effect_completed": false,
        "side_effect_started": false,
        "target_session": target.name,
    }));
    let mut payload = entry(json!({
        "command_id": command.id,
        "command_type": command.kind,
        "delivery_mode": mode,
        "dispatcher_id": claim.dispatcher_id,
        "message": command.message(),
        "permission_check": permission,
        "source_session": source.name,
        "target_session": target.name,
        "task_id": bound.task.id,
    }));
    if command.kind == QueuedCommand::ContinueIteration {
        let gate = match loops::gate(conn, &bound.task.id, &command.payload)? {
            Ok(gate) => gate,
            Err(refusal) => return fail(conn, claim, command, &refusal),
        };
        report.extend(gate.report());
        if let Some(reason) = &gate.blocked {
            return block(conn, command, report, reason);
        }
        payload.extend(gate.payload());
    }
    report.insert("permission_check".into(), permission);
    command.tell(conn, "dispatch_command_attempted", Severity::Info, "about to be delivered")?;
    deliver(
        conn,
        claim,
        command,
        &Route { bound: &bound, source, target, mode },
        Value::Object(payload),
        report,
    )
}

/// The two ends of a command's way.
struct Route<'a> {
    bound: &'a BoundTask,
    source: &'a Session,
    target: &'a Session,
    mode: &'a str,
}

fn deliver(
    conn: &Connection,
    claim: &Claim,
    command: &Claimed,
    route: &Route<'_>,
    payload: Value,
    mut report: Entry,
) -> Result<Step, StoreError> {
    let signal = command.kind.as_str();
    let pull = route.mode == delivery_mode(false);
    conn.prepare_cached(
        "INSERT INTO routed_notifications (task_id, binding_id, correlation_id, source_session_id, target_session_id, signal_type,
             dedupe_key, command_id, created_at, delivered_at, delivery_mode, state, payload_json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(rusqlite::params![
        route.bound.task.id,
        route.bound.binding.id,
        command.correlation_id,
        route.source.id,
        route.target.id,
        signal,
        format!("{}:{signal}:{}", route.bound.binding.id, dedupe_suffix(conn, command)?),
        command.id,
        claim.now,
        pull.then_some(&claim.now),
        route.mode,
        if pull { "delivered" } else { "pending" },
        payload.to_string(),
    ])?;
    let notification_id = conn.last_insert_rowid();
    report.insert("notification_id".into(), notification_id.into());
    let text = command.message();
    let delivery = NewDelivery {
        source: Source::Command,
        notification_id: Some(notification_id),
        command_id: Some(&command.id),
        attempt_id: Some(command.attempt_id),
        target_session_id: &route.target.id,
        correlation_id: &command.correlation_id,
        body: &text,
    };
    if pull {
        deliveries::put_in_mailbox(conn, &delivery)?;
        let what = "the item waits in the mailbox";
        facts::tell(conn, notification_id, "dispatch_signal_pull_required", Severity::Info, what)?;
        report.insert("state".into(), "pull_required".into());
        finish(
            conn,
            &command.id,
            command.attempt_id,
            &Finish { state: "succeeded", result: Some(&report), error: None, effect: (false, false) },
        )?;
        command.tell(conn, "dispatch_command_succeeded", Severity::Info, "delivered to the mailbox")?;
        return Ok(Step::Done(report));
    }
    let delivery = deliveries::claim(conn, &delivery)?;
    Ok(Step::Push(Box::new(Push {
        delivery,
        subject: Subject::Command {
            notification_id,
            command_id: command.id.clone(),
            attempt_id: command.attempt_id,
        },
        target_session_id: route.target.id.clone(),
        signal: signal.to_owned(),
        from: route.source.name.clone(),
        correlation_id: command.correlation_id.clone(),
        text,
        entry: report,
    })))
}

/// The command's id; with the attempt's when an earlier attempt already left a notification.
fn dedupe_suffix(conn: &Connection, command: &Claimed) -> Result<String, StoreError> {
    let again: bool = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM command_attempts WHERE command_id = ?1 AND id < ?2)")?
        .query_row((&command.id, command.attempt_id), |row| row.get(0))?;
    Ok(if again { format!("{}:{}", command.id, command.attempt_id) } else { command.id.clone() })
}

type Checked = Result<(BoundTask, Value), Failure>;

/// What must hold before any effect: a binding, a message, the permission.
fn check(conn: &Connection, command: &Claimed) -> Result<Checked, StoreError> {
    let Some(task_id) = &command.task_id else {
        return Ok(Err(Failure::refused(format!("command {} belongs to no task", command.id))));
    };
    let bound = match bindings::bound_task(conn, task_id) {
        Ok(bound) => bound,
        Err(StoreError::Refused(refusal)) => return Ok(Err(refusal)),
        Err(error) => return Err(error),
    };
    if command.message().is_empty() {
        return Ok(Err(Failure::refused(format!("command {} has no message in its payload", command.id))));
    }
    let Some(permission) = &command.required_permission else {
        return Ok(Ok((bound, Value::Null)));
    };
    let check = manager_config::permission_check(conn, task_id, permission)?;
    let severity = if check.allowed { Severity::Info } else { Severity::Warning };
    command.tell(conn, "dispatch_command_permission_checked", severity, permission)?;
    if !check.allowed {
        return Ok(Err(Failure::refused(format!("task {} does not permit {permission}", bound.task.name))
            .hint(format!("conveyor manager-config {} --permit {permission}", quoted(&bound.task.name)))));
    }
    Ok(Ok((
        bound,
        json!({"allowed": true, "configured": check.configured, "required_permission": permission}),
    )))
}

fn fail(conn: &Connection, claim: &Claim, command: &Claimed, refusal: &Failure) -> Result<Step, StoreError> {
    let report = entry(json!({
        "attempt_id": command.attempt_id,
        "command_id": command.id,
        "command_type": command.kind,
        "correlation_id": command.correlation_id,
        "dispatcher_id": claim.dispatcher_id,
        "error": refusal.message,
        "error_type": refusal.kind,
        "hints": refusal.hints,
        "notification_id": null,
        "required_permission": command.required_permission,
        "side_effect_completed": false,
        "side_effect_started": false,
        "state": "failed",
    }));
    let finish_as = Finish {
        state: "failed",
        result: Some(&report),
        error: Some(&refusal.message),
        effect: (false, false),
    };
    finish(conn, &command.id, command.attempt_id, &finish_as)?;
    command.tell(conn, "dispatch_command_failed", Severity::Error, &refusal.message)?;
    Ok(Step::Done(report))
}

fn block(conn: &Connection, command: &Claimed, mut report: Entry, reason: &str) -> Result<Step, StoreError> {
    report.extend(entry(json!({
        "delivered": false,
        "manager_decision_id": command.payload["manager_decision_id"],
        "notification_id": null,
        "state": "blocked",
        "target_worker_notified": false,
    })));
    let finish_as =
        Finish { state: "blocked", result: Some(&report), error: Some(reason), effect: (false, false) };
    finish(conn, &command.id, command.attempt_id, &finish_as)?;
    command.tell(conn, "dispatch_command_blocked", Severity::Warning, reason)?;
    Ok(Step::Done(report))
}

/// How an attempt ended.
pub(super) struct Finish<'a> {
    pub(super) state: &'a str,
    pub(super) result: Option<&'a Entry>,
    pub(super) error: Option<&'a str>,
    /// Whether the effect was started and completed.
    pub(super) effect: (bool, bool),
}

/// Ends a running attempt and its command; `false` when the attempt was ended already.
pub(super) fn finish(
    conn: &Connection,
    command_id: &str,
    attempt_id: i64,
    how: &Finish<'_>,
) -> Result<bool, StoreError> {
    let now = crate::domain::time::now_iso();
    let result = how.result.map(|result| Value::Object(result.clone()).to_string());
    let ended = conn
        .prepare_cached(
            "UPDATE command_attempts SET state = ?2, finished_at = ?3, result_json = ?4, error = ?5, side_effect_started = ?6, side_effect_completed = ?7
             WHERE id = ?1 AND state = 'running'",
        )?
        .execute((attempt_id, how.state, &now, &result, how.error, how.effect.0, how.effect.1))?;
    if ended == 0 {
        return Ok(false);
    }
    conn.prepare_cached("UPDATE commands SET state = ?2, updated_at = ?3, result_json = ?4, error = ?5 WHERE id = ?1 AND state = 'attempted'")?
        .execute((command_id, how.state, &now, &result, how.error))?;
    Ok(true)
}

impl Claimed {
    /// `payload.message`, or the older `payload.text`.
    fn message(&self) -> String {
        let text = |key: &str| self.payload[key].as_str().filter(|text| !text.trim().is_empty());
        text("message").or_else(|| text("text")).unwrap_or_default().to_owned()
    }

    fn tell(
        &self,
        conn: &Connection,
        event_type: &str,
        severity: Severity,
        what: &str,
    ) -> Result<(), StoreError> {
        tell(
            conn,
            &Told {
                id: &self.id,
                kind: self.kind.as_str(),
                task_id: self.task_id.as_deref(),
                correlation_id: &self.correlation_id,
                attempt_id: self.attempt_id,
            },
            event_type,
            severity,
            what,
        )
    }
}

/// The command that telemetry is about.
pub(super) struct Told<'a> {
    pub(super) id: &'a str,
    pub(super) kind: &'a str,
    pub(super) task_id: Option<&'a str>,
    pub(super) correlation_id: &'a str,
    pub(super) attempt_id: i64,
}

pub(super) fn tell(
    conn: &Connection,
    command: &Told<'_>,
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
            summary: &format!("{} command: {what}", command.kind),
            task_id: command.task_id,
            run_id: None,
            correlation: json!({"command_id": command.id, "correlation_id": command.correlation_id, "attempt_id": command.attempt_id}),
            attributes: json!({"command_type": command.kind}),
        },
    )?;
    Ok(())
}
