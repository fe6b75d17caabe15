//! Queued commands: claimed, checked, and delivered or handed out for a push.

use std::collections::HashMap;
use std::rc::Rc;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::attempts::{self, Finish, Told};
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
use crate::store::telemetry::{self, Event, Severity};
use crate::store::{StoreError, manager_config};

/// A claimed command and the attempt at it.
pub(super) struct Claimed {
    pub(super) id: String,
    pub(super) kind: QueuedCommand,
    pub(super) task_id: Option<String>,
    pub(super) correlation_id: String,
    pub(super) required_permission: Option<String>,
    pub(super) payload: Value,
    /// It was attempted before.
    pub(super) is_repeated: bool,
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
    let mut work = Work::new(conn, claim);
    let steps = due.into_iter().map(|(id, kind)| work.execute(kind, id)).collect::<Result<_, _>>()?;
    work.tell_all()?;
    Ok(steps)
}

/// Carries out the request with this id, if it waits still.
pub(super) fn execute_seen(conn: &Connection, claim: &Claim, id: &str) -> Result<Option<Step>, StoreError> {
    let kind = QueuedCommand::ContinueIteration;
    let waits: bool = conn
        .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM commands WHERE id = ?3 AND {DUE})"))?
        .query_row((json!([kind]).to_string(), &claim.now, id), |row| row.get(0))?;
    if !waits {
        return Ok(None);
    }
    let mut work = Work::new(conn, claim);
    let step = work.execute(kind, id.to_owned())?;
    work.tell_all()?;
    Ok(Some(step))
}

/// The commands of a pass: where they go, and what is told of them. A backlog goes to few tasks, so
/// each is looked up once; and telemetry costs less written together.
struct Work<'a> {
    conn: &'a Connection,
    claim: &'a Claim,
    routes: HashMap<String, Rc<Routes>>,
    told: Vec<Event>,
}

/// A task's sessions, and how each is reached.
struct Routes {
    bound: BoundTask,
    to_worker: &'static str,
    to_manager: &'static str,
}

/// The two ends of a command's way.
struct Route<'a> {
    bound: &'a BoundTask,
    source: &'a Session,
    target: &'a Session,
    mode: &'static str,
}

impl Routes {
    fn of(conn: &Connection, task_id: &str) -> Result<Self, StoreError> {
        let bound = bindings::bound_task(conn, task_id)?;
        let mode = |session| Ok::<_, StoreError>(delivery_mode(!pushes_to(conn, session)?.is_empty()));
        let (to_worker, to_manager) = (mode(&bound.worker)?, mode(&bound.manager)?);
        Ok(Self { bound, to_worker, to_manager })
    }

    fn to(&self, role: Role) -> Route<'_> {
        let Self { bound, to_worker, to_manager } = self;
        match role {
            Role::Manager => Route { bound, source: &bound.worker, target: &bound.manager, mode: to_manager },
            Role::Worker => Route { bound, source: &bound.manager, target: &bound.worker, mode: to_worker },
        }
    }
}

impl<'a> Work<'a> {
    fn new(conn: &'a Connection, claim: &'a Claim) -> Self {
        Self { conn, claim, routes: HashMap::new(), told: Vec::new() }
    }

    fn tell_all(&self) -> Result<(), StoreError> {
        telemetry::emit_all(self.conn, &self.told)
    }

    fn execute(&mut self, kind: QueuedCommand, id: String) -> Result<Step, StoreError> {
        let command = self.take_up(kind, id)?;
        self.route(&command)
    }

    fn take_up(&mut self, kind: QueuedCommand, id: String) -> Result<Claimed, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT task_id, COALESCE(correlation_id, id), required_permission, payload_json, attempts FROM commands WHERE id = ?1",
        )?;
        let mut command = statement.query_row([&id], |row| {
            Ok(Claimed {
                id: id.clone(),
                kind,
                task_id: row.get(0)?,
                correlation_id: row.get(1)?,
                required_permission: row.get(2)?,
                payload: serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or_default(),
                is_repeated: row.get::<_, i64>(4)? > 0,
                attempt_id: 0,
            })
        })?;
        self.conn
            .prepare_cached("INSERT INTO command_attempts (command_id, correlation_id, dispatcher_id, started_at, state) VALUES (?1, ?2, ?3, ?4, 'running')")?
            .execute((&id, &command.correlation_id, &self.claim.dispatcher_id, &self.claim.now))?;
        command.attempt_id = self.conn.last_insert_rowid();
        self.tell(&command, "dispatch_command_claimed", Severity::Info, "claimed");
        Ok(command)
    }

    fn route(&mut self, command: &Claimed) -> Result<Step, StoreError> {
        let (routes, permission) = match self.check(command)? {
            Ok(checked) => checked,
            Err(refusal) => return self.fail(command, &refusal),
        };
        let route = routes.to(command.kind.target());
        let mut report = entry(json!({
            "attempt_id": command.attempt_id,
            "command_id": command.id,
            "command_type": command.kind,
            "correlation_id": command.correlation_id,
            "delivery_mode": route.mode,
            "dispatcher_id": self.claim.dispatcher_id,
            "dry_run": false,
            "side_effect_completed": false,
            "side_effect_started": false,
            "target_session": route.target.name,
        }));
        let mut payload = entry(json!({
            "command_id": command.id,
            "command_type": command.kind,
            "delivery_mode": route.mode,
            "dispatcher_id": self.claim.dispatcher_id,
            "message": command.message(),
            "permission_check": permission,
            "source_session": route.source.name,
            "target_session": route.target.name,
            "task_id": route.bound.task.id,
        }));
        if command.kind == QueuedCommand::ContinueIteration {
            let gate = match loops::gate(self.conn, &route.bound.task.id, &command.payload)? {
                Ok(gate) => gate,
                Err(refusal) => return self.fail(command, &refusal),
            };
            report.extend(gate.report());
            if let Some(reason) = &gate.blocked {
                return self.block(command, report, reason);
            }
            payload.extend(gate.payload());
        }
        report.insert("permission_check".into(), permission);
        self.tell(command, "dispatch_command_attempted", Severity::Info, "about to be delivered");
        self.deliver(command, &route, Value::Object(payload), report)
    }

    fn deliver(
        &mut self,
        command: &Claimed,
        route: &Route<'_>,
        payload: Value,
        mut report: Entry,
    ) -> Result<Step, StoreError> {
        let notification_id = self.notify(command, route, &payload)?;
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
        if route.mode == delivery_mode(false) {
            deliveries::put_in_mailbox(self.conn, &delivery)?;
            let notice = facts::Told {
                notification_id,
                task_id: &route.bound.task.id,
                binding_id: &route.bound.binding.id,
                correlation_id: &command.correlation_id,
                signal: command.kind.as_str(),
                event_id: None,
                mode: route.mode,
                dispatcher_id: Some(&self.claim.dispatcher_id),
                target_id: &route.target.id,
                target: &route.target.name,
                from: &route.source.name,
            };
            let what = "the item waits in the mailbox";
            self.told.push(notice.event("dispatch_signal_pull_required", Severity::Info, what));
            report.insert("state".into(), "pull_required".into());
            self.settle(command, "succeeded", &report, None)?;
            let what = "delivered to the mailbox";
            self.tell(command, "dispatch_command_succeeded", Severity::Info, what);
            return Ok(Step::Done(report));
        }
        let delivery = deliveries::claim(self.conn, &delivery)?;
        self.claim(command, "attempted", None, None)?;
        Ok(Step::Push(Box::new(Push {
            delivery,
            subject: Subject::Command {
                notification_id,
                command_id: command.id.clone(),
                attempt_id: command.attempt_id,
            },
            target_session_id: route.target.id.clone(),
            signal: command.kind.as_str().to_owned(),
            from: route.source.name.clone(),
            correlation_id: command.correlation_id.clone(),
            text,
            entry: report,
        })))
    }

    fn notify(&self, command: &Claimed, route: &Route<'_>, payload: &Value) -> Result<i64, StoreError> {
        let signal = command.kind.as_str();
        let pull = route.mode == delivery_mode(false);
        self.conn
            .prepare_cached(
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
                format!("{}:{signal}:{}", route.bound.binding.id, command.dedupe_suffix()),
                command.id,
                self.claim.now,
                pull.then_some(&self.claim.now),
                route.mode,
                if pull { "delivered" } else { "pending" },
                payload.to_string(),
            ])?;
        Ok(self.conn.last_insert_rowid())
    }

    /// What must hold before any effect: a binding, a message, the permission.
    fn check(&mut self, command: &Claimed) -> Result<Checked, StoreError> {
        let Some(task_id) = &command.task_id else {
            return Ok(Err(Failure::refused(format!("command {} belongs to no task", command.id))));
        };
        let routes = match self.routes(task_id) {
            Ok(routes) => routes,
            Err(StoreError::Refused(refusal)) => return Ok(Err(refusal)),
            Err(error) => return Err(error),
        };
        if command.message().is_empty() {
            let failure = format!("command {} has no message in its payload", command.id);
            return Ok(Err(Failure::refused(failure)));
        }
        let Some(permission) = &command.required_permission else {
            return Ok(Ok((routes, Value::Null)));
        };
        let check = manager_config::permission_check(self.conn, task_id, permission)?;
        let severity = if check.allowed { Severity::Info } else { Severity::Warning };
        self.tell(command, "dispatch_command_permission_checked", severity, permission);
        if !check.allowed {
            let task = &routes.bound.task.name;
            return Ok(Err(Failure::refused(format!("task {task} does not permit {permission}"))
                .hint(format!("conveyor manager-config {} --permit {permission}", quoted(task)))));
        }
        let checked =
            json!({"allowed": true, "configured": check.configured, "required_permission": permission});
        Ok(Ok((routes, checked)))
    }

    fn routes(&mut self, task_id: &str) -> Result<Rc<Routes>, StoreError> {
        if let Some(known) = self.routes.get(task_id) {
            return Ok(known.clone());
        }
        let routes = Rc::new(Routes::of(self.conn, task_id)?);
        self.routes.insert(task_id.to_owned(), routes.clone());
        Ok(routes)
    }

    fn fail(&mut self, command: &Claimed, refusal: &Failure) -> Result<Step, StoreError> {
        let report = entry(json!({
            "attempt_id": command.attempt_id,
            "command_id": command.id,
            "command_type": command.kind,
            "correlation_id": command.correlation_id,
            "dispatcher_id": self.claim.dispatcher_id,
            "error": refusal.message,
            "error_type": refusal.kind,
            "hints": refusal.hints,
            "notification_id": null,
            "required_permission": command.required_permission,
            "side_effect_completed": false,
            "side_effect_started": false,
            "state": "failed",
        }));
        self.settle(command, "failed", &report, Some(&refusal.message))?;
        self.tell(command, "dispatch_command_failed", Severity::Error, &refusal.message);
        Ok(Step::Done(report))
    }

    fn block(&mut self, command: &Claimed, mut report: Entry, reason: &str) -> Result<Step, StoreError> {
        report.extend(entry(json!({
            "delivered": false,
            "manager_decision_id": command.payload["manager_decision_id"],
            "notification_id": null,
            "state": "blocked",
            "target_worker_notified": false,
        })));
        self.settle(command, "blocked", &report, Some(reason))?;
        self.tell(command, "dispatch_command_blocked", Severity::Warning, reason);
        Ok(Step::Done(report))
    }

    /// Claims a command and ends it at once: nothing is left to be done.
    fn settle(
        &self,
        command: &Claimed,
        state: &str,
        report: &Entry,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        let how = Finish { state, result: Some(report), error, effect: (false, false) };
        let result = how.result_json();
        attempts::end(self.conn, command.attempt_id, &how, result.as_deref(), &self.claim.now)?;
        self.claim(command, state, result.as_deref(), error)
    }

    fn claim(
        &self,
        command: &Claimed,
        state: &str,
        result: Option<&str>,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        let Claim { dispatcher_id, now, expires } = self.claim;
        self.conn
            .prepare_cached(
                "UPDATE commands SET state = ?2, attempts = attempts + 1, claimed_by = ?3, claimed_at = ?4, claim_expires_at = ?5,
                     updated_at = ?4, result_json = ?6, error = ?7 WHERE id = ?1",
            )?
            .execute((&command.id, state, dispatcher_id, now, expires, result, error))?;
        Ok(())
    }

    fn tell(&mut self, command: &Claimed, event_type: &str, severity: Severity, what: &str) {
        let told = Told {
            id: &command.id,
            kind: command.kind.as_str(),
            task_id: command.task_id.as_deref(),
            correlation_id: &command.correlation_id,
            attempt_id: command.attempt_id,
        };
        self.told.push(told.event(event_type, severity, what));
    }
}

type Checked = Result<(Rc<Routes>, Value), Failure>;

impl Claimed {
    /// `payload.message`, or the older `payload.text`.
    fn message(&self) -> String {
        let text = |key: &str| self.payload[key].as_str().filter(|text| !text.trim().is_empty());
        text("message").or_else(|| text("text")).unwrap_or_default().to_owned()
    }

    /// The command's id; with the attempt's when an earlier attempt may have left a notification.
    fn dedupe_suffix(&self) -> String {
        if self.is_repeated { format!("{}:{}", self.id, self.attempt_id) } else { self.id.clone() }
    }
}
