//! Rollouts that cannot be read: of such a session nothing more becomes known, however well it looks.

use rusqlite::Connection;
use serde_json::json;

use super::events::{self, Event};
use super::session_facts::{self, NewSessionFact};
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, Query, StoreError, Topic, bindings, sessions};
use crate::domain::ids::new_id;
use crate::domain::session_fact::SessionFactKind;

/// Whether a session's rollout is on record as one that cannot be read, by the session's id.
#[derive(Debug)]
pub struct IsUnreadable(pub String);

impl Query for IsUnreadable {
    type Out = bool;

    fn run(self, conn: &Connection) -> Result<bool, StoreError> {
        is_unreadable(conn, &self.0)
    }
}

fn is_unreadable(conn: &Connection, session_id: &str) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT 1 FROM session_facts INDEXED BY session_facts_open
             WHERE session_id = ?1 AND kind = 'unreadable' AND cleared_at IS NULL",
        )?
        .exists([session_id])?)
}

/// Records that a session's rollout cannot be read: once, until it can be read again.
#[derive(Debug)]
pub struct RecordUnreadable {
    /// The session's id.
    pub session_id: String,
    /// Why.
    pub error: String,
}

impl Change for RecordUnreadable {
    /// Whether nobody knew, and the session is active.
    type Out = bool;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions, Topic::Work];

    fn run(self, tx: &Connection) -> Result<bool, StoreError> {
        let session = sessions::get(tx, &self.session_id)?;
        if !session.is_active() || is_unreadable(tx, &session.id)? {
            return Ok(false);
        }
        let kind = SessionFactKind::Unreadable;
        let detail = json!({"error": self.error, "rollout": session.codex_session_path});
        let fact = NewSessionFact {
            session_id: &session.id,
            kind,
            dedupe_key: &new_id(kind.as_str()),
            detail: &detail,
        };
        session_facts::record(tx, &fact)?;
        let binding = bindings::live_of_session(tx, &session.id)?;
        let task_id = binding.as_ref().map(|binding| binding.task_id.as_str());
        let event_type = format!("session_{kind}");
        telemetry::emit(
            tx,
            &Telemetry {
                actor: Actor::System,
                event_type: &event_type,
                severity: Severity::Error,
                summary: &format!("session {}: its rollout cannot be read", session.name),
                task_id,
                run_id: None,
                correlation: json!({"session": session.name, "session_id": session.id}),
                attributes: detail.clone(),
            },
        )?;
        let mut payload = detail;
        payload["session"] = session.name.into();
        payload["session_id"] = session.id.into();
        let event = Event { actor: "system", event_type: &event_type, task_id, payload, ..Event::default() };
        events::record(tx, &event)?;
        Ok(true)
    }
}

/// Records that a session's rollout, by the session's id, can be read again.
#[derive(Debug)]
pub struct RecordReadable(pub String);

impl Change for RecordReadable {
    type Out = ();
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        session_facts::clear(tx, &self.0, Some(SessionFactKind::Unreadable))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    #[test]
    fn a_rollout_that_cannot_be_read_is_told_of_once_each_time() {
        let mut db = TestDb::new();
        let id = db.pair("t1").worker.id;
        let record = |db: &mut TestDb| {
            db.write(RecordUnreadable { session_id: id.clone(), error: "it is gone".into() }).unwrap()
        };
        assert!(record(&mut db));
        assert!(!record(&mut db), "known already");
        assert!(db.read(IsUnreadable(id.clone())));
        assert_eq!(db.jsons("SELECT detail_json FROM session_facts")[0]["error"], "it is gone");
        db.write(RecordReadable(id.clone())).unwrap();
        assert!(!db.read(IsUnreadable(id.clone())));
        assert!(record(&mut db), "another time");
        assert_eq!(db.number("SELECT count(*) FROM events WHERE type = 'session_unreadable'"), 2);
        db.write(RecordReadable(id.clone())).unwrap();
        db.conn.execute("UPDATE sessions SET state = 'gone'", []).unwrap();
        assert!(!record(&mut db), "nobody reads it any more");
    }
}
