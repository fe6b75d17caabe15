//! Bound managers that sit idle while something waits for them: nobody goes on until somebody wakes
//! them.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;

use super::events::{self, Event};
use super::session_facts::{self, NewSessionFact};
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, Query, StoreError, Topic, codex_events, sessions};
use crate::domain::Activity;
use crate::domain::session_fact::SessionFactKind;
use crate::domain::time::{iso, now_iso, parse_iso};

/// The oldest item that waits for each bound manager since `?1` or longer. One in the hands of a reader
/// does not wait, and a dead letter is told of elsewhere. Neither does one wait for a manager whose
/// process is gone, which is on record already.
const WAITING: &str = "SELECT b.task_id, b.manager_session_id, n.id, n.created_at
    FROM bindings b INDEXED BY one_active_binding_per_manager_session
    CROSS JOIN routed_notifications n ON n.id = (
        SELECT w.id FROM routed_notifications w INDEXED BY routed_notifications_waiting
        WHERE w.target_session_id = b.manager_session_id AND w.consumed_at IS NULL AND w.created_at <= ?1
          AND (w.state = 'pending' OR (w.state = 'delivered' AND w.delivery_mode = 'pull_required'))
          AND NOT EXISTS (SELECT 1 FROM notification_leases l WHERE l.notification_id = w.id
              AND (l.state = 'dead_letter' OR (l.state = 'leased' AND l.expires_at > ?2)))
        ORDER BY w.created_at LIMIT 1)
    WHERE b.state IN ('active', 'ending') AND b.manager_session_id IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM session_facts f WHERE f.session_id = b.manager_session_id
          AND f.kind = 'exited' AND f.cleared_at IS NULL)";

/// A manager that sits idle, and what waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Idle {
    task_id: String,
    session_id: String,
    notification_id: i64,
    waits_since: String,
    idle_since: String,
}

fn idle_managers(conn: &Connection, before: Timestamp) -> Result<Vec<Idle>, StoreError> {
    let waiting: Vec<(String, String, i64, String)> = conn
        .prepare_cached(WAITING)?
        .query_map((iso(before), now_iso()), |row| row.try_into())?
        .collect::<Result<_, _>>()?;
    let mut idle = Vec::new();
    for (task_id, session_id, notification_id, waits_since) in waiting {
        let told = codex_events::told(conn, &session_id)?;
        let since = told.state_event_at.filter(|_| told.activity == Activity::Idle);
        if let Some(idle_since) = since.filter(|at| parse_iso(at).is_some_and(|at| at <= before)) {
            idle.push(Idle { task_id, session_id, notification_id, waits_since, idle_since });
        }
    }
    Ok(idle)
}

/// The sessions that are on record as idle with mail.
fn on_record(conn: &Connection) -> Result<HashSet<String>, StoreError> {
    let ids = conn
        .prepare_cached(
            "SELECT session_id FROM session_facts INDEXED BY session_facts_open
             WHERE kind = 'idle_with_mail' AND cleared_at IS NULL",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(ids)
}

/// Whether [`RecordIdleManagers`] would change anything.
#[derive(Debug)]
pub struct IdleManagersChanged {
    /// Since when both must have been so.
    pub before: Timestamp,
}

impl Query for IdleManagersChanged {
    type Out = bool;

    fn run(self, conn: &Connection) -> Result<bool, StoreError> {
        let idle = idle_managers(conn, self.before)?.into_iter().map(|idle| idle.session_id).collect();
        Ok(on_record(conn)? != idle)
    }
}

/// Records which bound managers have sat idle since `before` while something waited for them, each once
/// a wait, and which do so no longer.
#[derive(Debug)]
pub struct RecordIdleManagers {
    /// Since when both must have been so.
    pub before: Timestamp,
}

impl Change for RecordIdleManagers {
    /// The names of those that are new.
    type Out = Vec<String>;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<Vec<String>, StoreError> {
        let idle = idle_managers(tx, self.before)?;
        for session_id in on_record(tx)? {
            if !idle.iter().any(|idle| idle.session_id == session_id) {
                session_facts::clear(tx, &session_id, Some(SessionFactKind::IdleWithMail))?;
            }
        }
        let mut new = Vec::new();
        for idle in &idle {
            new.extend(idle.record(tx)?);
        }
        Ok(new)
    }
}

impl Idle {
    /// Gives the manager's name, when nobody knew.
    fn record(&self, conn: &Connection) -> Result<Option<String>, StoreError> {
        let kind = SessionFactKind::IdleWithMail;
        let detail = json!({
            "idle_since": self.idle_since,
            "notification_id": self.notification_id,
            "waits_since": self.waits_since,
        });
        let dedupe_key = format!("{kind}:{}:{}", self.session_id, self.notification_id);
        let fact =
            NewSessionFact { session_id: &self.session_id, kind, dedupe_key: &dedupe_key, detail: &detail };
        if !session_facts::record(conn, &fact)? {
            return Ok(None);
        }
        let name = sessions::get(conn, &self.session_id)?.name;
        let event_type = format!("session_{kind}");
        telemetry::emit(
            conn,
            &Telemetry {
                actor: Actor::System,
                event_type: &event_type,
                severity: Severity::Warning,
                summary: &format!(
                    "manager {name} sits idle while item {} waits for it",
                    self.notification_id
                ),
                task_id: Some(&self.task_id),
                run_id: None,
                correlation: json!({"session": name, "session_id": self.session_id}),
                attributes: detail.clone(),
            },
        )?;
        let mut payload = detail;
        payload["session"] = name.as_str().into();
        payload["session_id"] = self.session_id.as_str().into();
        let task_id = Some(self.task_id.as_str());
        events::record(
            conn,
            &Event { actor: "system", event_type: &event_type, task_id, payload, ..Event::default() },
        )?;
        Ok(Some(name))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::store::bindings::BoundTask;
    use crate::store::codex_events::NewEvent;
    use crate::store::testing::TestDb;

    /// A pair whose manager was idle since yesterday.
    struct Desk {
        db: TestDb,
        bound: BoundTask,
    }

    impl Desk {
        fn new() -> Self {
            let mut db = TestDb::new();
            let bound = db.pair("t1");
            let desk = Self { db, bound };
            desk.event("task_complete", SignedDuration::from_hours(24));
            desk
        }

        fn event(&self, subtype: &str, ago: SignedDuration) {
            let event = NewEvent {
                byte_offset: 0,
                timestamp: Some(iso(Timestamp::now() - ago)),
                kind: "event_msg".into(),
                subtype: Some(subtype.into()),
                payload: json!({"type": subtype, "turn_id": "a"}).to_string(),
            };
            codex_events::insert(&self.db.conn, &self.bound.manager.id, &event, "now").unwrap();
        }

        /// Something has waited for the manager for an hour.
        fn mail(&self) -> i64 {
            let item = self.db.deliver(&self.bound, "done");
            let an_hour_ago = iso(Timestamp::now() - SignedDuration::from_hours(1));
            self.db
                .conn
                .execute(
                    "UPDATE routed_notifications SET target_session_id = ?1, created_at = ?2 WHERE id = ?3",
                    (&self.bound.manager.id, an_hour_ago, item),
                )
                .unwrap();
            item
        }

        /// What a look finds new; and whether the manager is on record afterwards.
        fn look(&mut self) -> (usize, bool) {
            let before = Timestamp::now() - SignedDuration::from_mins(1);
            let changed = self.db.read(IdleManagersChanged { before });
            let known = on_record(&self.db.conn).unwrap();
            let new = self.db.write(RecordIdleManagers { before }).unwrap().len();
            let knows = on_record(&self.db.conn).unwrap();
            assert_eq!(changed, known != knows);
            assert!(!self.db.read(IdleManagersChanged { before }));
            (new, !knows.is_empty())
        }

        fn do_sql(&self, sql: &str) {
            self.db.conn.execute_batch(sql).unwrap();
        }
    }

    #[test]
    fn an_idle_manager_is_told_of_once_a_wait() {
        let mut desk = Desk::new();
        assert_eq!(desk.look(), (0, false), "nothing waits");
        let first = desk.mail();
        assert_eq!(desk.look(), (1, true));
        assert_eq!(desk.look(), (0, true));
        desk.event("task_started", SignedDuration::ZERO);
        assert_eq!(desk.look(), (0, false), "it works");
        desk.event("task_complete", SignedDuration::from_mins(5));
        assert_eq!(desk.look(), (0, true), "the same item waits on");
        desk.do_sql("UPDATE routed_notifications SET consumed_at = 'now'");
        assert_eq!(desk.look(), (0, false));
        desk.mail();
        assert_eq!(desk.look(), (1, true), "another wait");
        assert_eq!(desk.db.number("SELECT count(*) FROM events WHERE type = 'session_idle_with_mail'"), 2);
        let [detail, _] =
            desk.db.jsons("SELECT detail_json FROM session_facts ORDER BY id").try_into().unwrap();
        assert_eq!(detail["notification_id"], first);
    }

    #[test]
    fn who_does_not_sit_idle_with_mail_is_not_told_of() {
        fn check(prepare: impl FnOnce(&Desk, i64)) {
            let mut desk = Desk::new();
            let item = desk.mail();
            prepare(&desk, item);
            assert_eq!(desk.look(), (0, false));
        }
        check(|desk, _| desk.event("task_complete", SignedDuration::from_secs(5)));
        check(|desk, _| desk.event("task_started", SignedDuration::from_hours(2)));
        check(|desk, _| desk.do_sql("DELETE FROM codex_events"));
        check(|desk, _| desk.do_sql("UPDATE bindings SET state = 'ended'"));
        check(|desk, _| desk.do_sql("UPDATE routed_notifications SET delivery_mode = 'push'"));
        check(|desk, item| {
            desk.do_sql(&format!(
                "INSERT INTO notification_leases (notification_id, fence, holder_session_id, leased_at, expires_at, state)
                 VALUES ({item}, 1, '{}', 'now', '2999', 'leased')",
                desk.bound.manager.id
            ));
        });
        check(|desk, _| {
            desk.do_sql(&format!(
                "INSERT INTO session_facts (session_id, kind, dedupe_key, detail_json, recorded_at)
                 VALUES ('{}', 'exited', 'k', '{{}}', 'now')",
                desk.bound.manager.id
            ));
        });
    }

    #[test]
    fn a_fact_that_no_push_gets_through_with_waits_too() {
        let mut desk = Desk::new();
        desk.mail();
        desk.do_sql(
            "UPDATE routed_notifications SET delivery_mode = 'push', state = 'pending', delivered_at = NULL",
        );
        assert_eq!(desk.look(), (1, true));
    }
}
