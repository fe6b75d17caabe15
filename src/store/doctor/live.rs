//! What is recorded about the bound sessions, held against what is seen of them.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::pairs::{BoundPair, UnfinishedCommand};
use super::{Check, Found};
use crate::domain::Role;
use crate::domain::time::parse_iso;
use crate::store::bindings::BoundTask;
use crate::store::session_facts::SessionFact;
use crate::store::sessions::Session;

/// What was seen of a session's process and pane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Its process runs.
    pub live: bool,
    /// The pane that process is in.
    pub tmux_pane_id: Option<String>,
}

/// The bound sessions and what differs from the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveReport {
    /// Managers that were silent for too long.
    pub manager_liveness_warnings: Vec<SilentManager>,
    /// Nothing differs, no manager is silent, and nobody needs somebody.
    pub ok: bool,
    /// One entry a bound task.
    pub results: Vec<LivePair>,
}

/// A manager that was last heard of too long ago.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SilentManager {
    /// Seconds since then; none when it was never heard of.
    pub last_seen_age_seconds: Option<f64>,
    /// When it was last heard of.
    pub last_seen_at: Option<String>,
    /// Its session's name.
    pub manager: String,
    /// The limit, in seconds.
    pub stale_after_seconds: f64,
    /// The name of the task it supervises.
    pub task: String,
}

/// A bound task and its sessions as seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LivePair {
    /// What differs from the record.
    pub drift: Vec<Drift>,
    /// Who supervises it.
    pub manager: LiveManager,
    /// The task.
    pub task: TaskName,
    /// Its commands that are neither done nor failed.
    pub unfinished_commands: Vec<UnfinishedCommand>,
    /// Who works on it.
    pub worker: LiveSession,
}

/// A task, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskName {
    /// `task-<uuid>`.
    pub id: String,
    /// Chosen by a person.
    pub name: String,
    /// `candidate`, `managed`, `paused`, `done` or `failed`.
    pub state: String,
}

/// A session, as recorded and as seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveSession {
    /// `session-<uuid>`.
    pub id: String,
    /// Its process runs.
    pub live: bool,
    /// Chosen by a person.
    pub name: String,
    /// The recorded process.
    pub pid: Option<i64>,
    /// The recorded pane.
    pub recorded_pane_id: Option<String>,
    /// The recorded tmux session.
    pub session: Option<String>,
    /// `active` or `gone`, as recorded.
    pub state: String,
    /// The pane it was seen in.
    pub tmux_pane_id: Option<String>,
    /// No process and no terminal is recorded that could be looked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_watched: bool,
    /// What the supervisor knows of it: it has exited, it waits for somebody, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<SessionFact>,
}

/// A manager, as recorded and as seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveManager {
    /// What every session has.
    #[serde(flatten)]
    pub session: LiveSession,
    /// Of its last capture; a registered session has none.
    pub last_capture_sha256: Option<String>,
    /// Seconds since it was last heard of.
    pub last_seen_age_seconds: Option<f64>,
    /// When it was last heard of.
    pub last_seen_at: Option<String>,
}

/// A difference between the record and what is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// What differs.
    pub kind: DriftKind,
    /// In words, with what to try next.
    pub message: String,
    /// The session's name.
    pub name: String,
    /// The session's role.
    pub role: Role,
}

/// What can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// Recorded as active, but no such process runs.
    NotLive,
    /// Bound, but recorded as gone.
    Gone,
    /// It runs in another pane than the recorded one.
    PaneChanged,
}

impl LiveReport {
    /// Compares. `seen` goes by session id; one that nobody looked for counts as not live.
    /// Negative ages, from a clock set back, count as zero.
    pub fn new(
        pairs: Vec<BoundPair>,
        seen: &HashMap<String, Sighting>,
        now: Timestamp,
        stale_after: SignedDuration,
    ) -> Self {
        let results: Vec<LivePair> = pairs.into_iter().map(|pair| live_pair(pair, seen, now)).collect();
        let limit = stale_after.as_secs_f64();
        let manager_liveness_warnings: Vec<SilentManager> =
            results.iter().filter_map(|pair| silent_manager(pair, limit)).collect();
        let ok = manager_liveness_warnings.is_empty() && results.iter().all(LivePair::is_well);
        Self { manager_liveness_warnings, ok, results }
    }

    pub(super) fn check(&self) -> Check {
        Check {
            name: "live_reconcile".to_owned(),
            ok: self.ok,
            found: Found::Live {
                drift_count: self.results.iter().map(|pair| pair.drift.len()).sum(),
                manager_liveness_warning_count: self.manager_liveness_warnings.len(),
                task_count: self.results.len(),
                unfinished_command_count: self
                    .results
                    .iter()
                    .map(|pair| pair.unfinished_commands.len())
                    .sum(),
            },
        }
    }
}

impl LivePair {
    fn is_well(&self) -> bool {
        let mut conditions = self.worker.conditions.iter().chain(&self.manager.session.conditions);
        self.drift.is_empty() && !conditions.any(|condition| condition.kind.needs_somebody())
    }
}

fn live_pair(pair: BoundPair, seen: &HashMap<String, Sighting>, now: Timestamp) -> LivePair {
    let BoundTask { task, worker, manager, .. } = pair.bound;
    let last_seen_at = manager.last_heartbeat_at.clone();
    let last_seen_age_seconds = last_seen_at
        .as_deref()
        .and_then(parse_iso)
        .map(|then| now.duration_since(then).as_secs_f64().max(0.0));
    let worker = live_session(worker, pair.worker_conditions, seen);
    let manager = live_session(manager, pair.manager_conditions, seen);
    LivePair {
        drift: drift(Role::Worker, &worker).into_iter().chain(drift(Role::Manager, &manager)).collect(),
        manager: LiveManager {
            session: manager,
            last_capture_sha256: None,
            last_seen_age_seconds,
            last_seen_at,
        },
        task: TaskName { id: task.id, name: task.name, state: task.state },
        unfinished_commands: pair.unfinished_commands,
        worker,
    }
}

fn live_session(
    session: Session,
    conditions: Vec<SessionFact>,
    seen: &HashMap<String, Sighting>,
) -> LiveSession {
    let Sighting { live, tmux_pane_id } = seen.get(&session.id).cloned().unwrap_or_default();
    LiveSession {
        id: session.id,
        live,
        not_watched: session.pid.is_none() && session.tmux_session.is_none(),
        name: session.name,
        pid: session.pid,
        recorded_pane_id: session.tmux_pane_id,
        session: session.tmux_session,
        state: session.state,
        tmux_pane_id,
        conditions,
    }
}

fn drift(role: Role, session: &LiveSession) -> Option<Drift> {
    let name = &session.name;
    let pane_changed = session.recorded_pane_id.is_some()
        && session.tmux_pane_id.is_some()
        && session.recorded_pane_id != session.tmux_pane_id;
    let (kind, message) = if session.state != "active" {
        (
            DriftKind::Gone,
            format!("{role} {name} is bound but recorded as {}; try `conveyor reconcile`", session.state),
        )
    } else if !session.live && !session.not_watched {
        (
            DriftKind::NotLive,
            format!("{role} {name} is recorded as active but does not run; try `conveyor reconcile`"),
        )
    } else if pane_changed {
        (
            DriftKind::PaneChanged,
            format!("{role} {name} moved to another pane; register it again with `conveyor register-{role}`"),
        )
    } else {
        return None;
    };
    Some(Drift { kind, message, name: name.clone(), role })
}

fn silent_manager(pair: &LivePair, limit_seconds: f64) -> Option<SilentManager> {
    let LiveManager { session, last_seen_age_seconds, last_seen_at, .. } = &pair.manager;
    if last_seen_age_seconds.is_some_and(|age| age <= limit_seconds) {
        return None;
    }
    Some(SilentManager {
        last_seen_age_seconds: *last_seen_age_seconds,
        last_seen_at: last_seen_at.clone(),
        manager: session.name.clone(),
        stale_after_seconds: limit_seconds,
        task: pair.task.name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use serde_json::json;

    use super::super::pairs::BoundPairs;
    use super::*;
    use crate::store::{Query, schema};

    const NOW: &str = "2026-01-01T01:00:00.000Z";

    fn pairs(change: &str) -> Vec<BoundPair> {
        let mut conn = Connection::open_in_memory().unwrap();
        schema::prepare(&mut conn).unwrap();
        conn.execute_batch(
            "INSERT INTO tasks (id, name, goal, state, created_at, updated_at)
             VALUES ('task-1', 't1', 'Ship it', 'managed', 't', 't'), ('task-2', 't2', 'Idle', 'managed', 't', 't');
             INSERT INTO sessions (id, name, role, identity_token, tmux_session, tmux_pane_id, pid, cwd,
                                   registered_at, last_heartbeat_at, state)
             VALUES ('w', 'w1', 'worker', 'x', 'work', '%1', 11, '/', 't', '2026-01-01T00:59:30.000Z', 'active'),
                    ('m', 'm1', 'manager', 'y', NULL, NULL, 12, '/', 't', '2026-01-01T00:59:30.000Z', 'active');
             INSERT INTO bindings (id, task_id, worker_session_id, manager_session_id, state, created_at)
             VALUES ('b', 'task-1', 'w', 'm', 'active', 't');
             INSERT INTO commands (id, idempotency_key, created_at, updated_at, task_id, type, state, payload_json)
             VALUES ('c1', 'c1', 't', 't', 'task-1', 'nudge_worker', 'pending', '{\"prompt\": \"secret\"}'),
                    ('c2', 'c2', 't', 't', 'task-1', 'nudge_worker', 'succeeded', '{}')",
        )
        .unwrap();
        conn.execute_batch(change).unwrap();
        BoundPairs.run(&conn).unwrap()
    }

    fn both_live() -> HashMap<String, Sighting> {
        let worker = Sighting { live: true, tmux_pane_id: Some("%1".to_owned()) };
        let manager = Sighting { live: true, tmux_pane_id: None };
        HashMap::from([("w".to_owned(), worker), ("m".to_owned(), manager)])
    }

    fn report(change: &str, seen: &HashMap<String, Sighting>, stale_seconds: i64) -> LiveReport {
        let now = parse_iso(NOW).unwrap();
        LiveReport::new(pairs(change), seen, now, SignedDuration::from_secs(stale_seconds))
    }

    #[test]
    fn a_pair_as_recorded_has_the_documented_shape() {
        let report = report("", &both_live(), 600);
        assert_eq!(
            serde_json::to_value(&report).unwrap(),
            json!({
                "manager_liveness_warnings": [],
                "ok": true,
                "results": [{
                    "drift": [],
                    "manager": {
                        "id": "m", "last_capture_sha256": null, "last_seen_age_seconds": 30.0,
                        "last_seen_at": "2026-01-01T00:59:30.000Z", "live": true, "name": "m1", "pid": 12,
                        "recorded_pane_id": null, "session": null, "state": "active", "tmux_pane_id": null,
                    },
                    "task": { "id": "task-1", "name": "t1", "state": "managed" },
                    "unfinished_commands": [
                        { "attempts": 0, "created_at": "t", "id": "c1", "state": "pending", "type": "nudge_worker" }
                    ],
                    "worker": {
                        "id": "w", "live": true, "name": "w1", "pid": 11, "recorded_pane_id": "%1",
                        "session": "work", "state": "active", "tmux_pane_id": "%1",
                    },
                }],
            })
        );
        assert_eq!(
            serde_json::to_value(report.check()).unwrap(),
            json!({
                "name": "live_reconcile", "ok": true, "drift_count": 0, "manager_liveness_warning_count": 0,
                "task_count": 1, "unfinished_command_count": 1,
            })
        );
        let back: LiveReport = serde_json::from_value(serde_json::to_value(&report).unwrap()).unwrap();
        assert_eq!(back, report);
    }

    #[test]
    fn what_differs_from_the_record_is_drift() {
        fn check(change: &str, seen: HashMap<String, Sighting>, expected: &[(&str, DriftKind)]) {
            let report = report(change, &seen, 600);
            let found: Vec<_> =
                report.results[0].drift.iter().map(|drift| (drift.name.as_str(), drift.kind)).collect();
            assert_eq!(found, expected, "{change}");
            assert_eq!(report.ok, expected.is_empty(), "{change}");
        }
        let moved = |pane: Option<&str>| {
            let mut seen = both_live();
            seen.insert("w".to_owned(), Sighting { live: true, tmux_pane_id: pane.map(str::to_owned) });
            seen
        };
        check("", HashMap::new(), &[("w1", DriftKind::NotLive), ("m1", DriftKind::NotLive)]);
        let unwatched = "UPDATE sessions SET pid = NULL, tmux_session = NULL WHERE id = 'w'";
        check(unwatched, HashMap::new(), &[("m1", DriftKind::NotLive)]);
        check("", moved(Some("%2")), &[("w1", DriftKind::PaneChanged)]);
        check("", moved(None), &[]);
        check("UPDATE sessions SET state = 'gone' WHERE id = 'm'", both_live(), &[("m1", DriftKind::Gone)]);
    }

    #[test]
    fn a_manager_that_is_silent_for_longer_than_the_limit_is_warned_about() {
        fn check(last_heartbeat: &str, stale_seconds: i64, silent: bool) {
            let change = format!("UPDATE sessions SET last_heartbeat_at = {last_heartbeat} WHERE id = 'm'");
            let report = report(&change, &both_live(), stale_seconds);
            assert_eq!(report.manager_liveness_warnings.len(), usize::from(silent), "{last_heartbeat}");
            assert_eq!(report.ok, !silent, "{last_heartbeat}");
        }
        check("'2026-01-01T00:50:00.000Z'", 600, false);
        check("'2026-01-01T00:49:59.999Z'", 600, true);
        check("'2026-01-01T01:00:05.000Z'", 0, false);
        check("NULL", 600, true);
        check("'no time'", 600, true);
    }

    #[test]
    fn what_needs_somebody_is_not_well() {
        fn check(kind: &str, well: bool) {
            let fact = format!(
                "INSERT INTO session_facts (session_id, kind, dedupe_key, detail_json, recorded_at)
                 VALUES ('m', '{kind}', 'k', '{{}}', 'now')"
            );
            let report = report(&fact, &both_live(), 600);
            assert_eq!(report.results[0].manager.session.conditions[0].kind.as_str(), kind);
            assert_eq!(report.ok, well, "{kind}");
        }
        check("exited", false);
        check("waiting", false);
        check("idle_with_mail", false);
        check("unreadable", false);
        check("terminal_exited", true);
    }

    #[test]
    fn an_ended_binding_is_not_looked_at() {
        assert_eq!(report("UPDATE bindings SET state = 'ended'", &both_live(), 600).results, []);
    }
}
