//! Sessions that a supervisor follows: the bound ones, and where their threads move.

use rusqlite::Connection;
use serde_json::json;

use super::events::{self, Event};
use super::sessions::{self, LinkedSession};
use super::{Change, Query, StoreError, Topic, bindings};
use crate::domain::time::now_iso;

/// The active sessions of live bindings, with their links.
#[derive(Debug)]
pub struct BoundSessions;

impl Query for BoundSessions {
    type Out = Vec<LinkedSession>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        // Driven by the partial indexes on live bindings: ended ones are never looked at.
        let mut statement = conn.prepare_cached(
            "SELECT worker_session_id FROM bindings INDEXED BY one_active_binding_per_worker_session
             WHERE state IN ('active', 'ending') AND worker_session_id IS NOT NULL
             UNION SELECT manager_session_id FROM bindings INDEXED BY one_active_binding_per_manager_session
             WHERE state IN ('active', 'ending') AND manager_session_id IS NOT NULL",
        )?;
        let ids: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut bound = Vec::with_capacity(ids.len());
        for id in ids {
            let session = sessions::get(conn, &id)?;
            if session.is_active() {
                bound.push(sessions::linked(conn, session)?);
            }
        }
        Ok(bound)
    }
}

/// A session went on in another thread (`/clear`, `/new`, or a plan that began anew), or its thread
/// has a rollout now.
#[derive(Debug)]
pub struct FollowThread {
    /// The session.
    pub session_id: String,
    /// The thread it left. If it is not in this one any more, nothing changes.
    pub from_thread: String,
    /// The thread it is in now.
    pub to_thread: String,
    /// The rollout of that thread; it may not exist yet.
    pub rollout_path: String,
}

impl Change for FollowThread {
    /// Whether the session was moved.
    type Out = bool;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<bool, StoreError> {
        if is_of_another_bound_session(tx, &self.to_thread, &self.session_id)? {
            return Ok(false);
        }
        let moved = tx.execute(
            "UPDATE sessions SET codex_session_id = ?3, codex_session_path = ?4, last_ingest_offset = NULL, last_heartbeat_at = ?5
             WHERE id = ?1 AND codex_session_id = ?2 AND state = 'active'",
            (&self.session_id, &self.from_thread, &self.to_thread, &self.rollout_path, now_iso()),
        )?;
        if moved == 0 {
            return Ok(false);
        }
        tx.execute("DELETE FROM rollout_cursors WHERE session_id = ?1", [&self.session_id])?;
        let binding = bindings::live_of_session(tx, &self.session_id)?;
        events::record(
            tx,
            &Event {
                actor: "workerctl",
                event_type: "session_thread_followed",
                task_id: binding.as_ref().map(|binding| binding.task_id.as_str()),
                payload: json!({
                    "session_id": self.session_id,
                    "from_thread": self.from_thread,
                    "to_thread": self.to_thread,
                    "rollout_path": self.rollout_path,
                }),
                ..Event::default()
            },
        )?;
        Ok(true)
    }
}

/// Two sessions of live bindings are never taken for the same thread: its turns would be told to
/// only one of the managers, whichever that is.
fn is_of_another_bound_session(
    conn: &Connection,
    thread_id: &str,
    session_id: &str,
) -> Result<bool, StoreError> {
    let others = conn
        .prepare_cached(
            "SELECT id FROM sessions WHERE codex_session_id = ?1 AND id <> ?2 AND state = 'active'",
        )?
        .query_map([thread_id, session_id], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    for other in others {
        if bindings::live_of_session(conn, &other)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    #[test]
    fn a_session_follows_its_thread_once_and_only_from_where_it_is() {
        let mut db = TestDb::new();
        db.conn.execute_batch(
            "INSERT INTO sessions (id, name, role, identity_token, codex_session_path, codex_session_id, cwd, registered_at, state, last_ingest_offset)
             VALUES ('s1', 'w', 'worker', 't1', '/old', 'a', '/', 'now', 'active', 77)",
        ).unwrap();
        let follow = |from: &str| FollowThread {
            session_id: "s1".into(),
            from_thread: from.into(),
            to_thread: "b".into(),
            rollout_path: "/new".into(),
        };
        assert!(!db.write(follow("other")).unwrap());
        assert!(db.write(follow("a")).unwrap());
        assert!(!db.write(follow("a")).unwrap());
        assert_eq!(db.texts("SELECT codex_session_id || codex_session_path FROM sessions"), ["b/new"]);
        assert_eq!(db.number("SELECT count(*) FROM sessions WHERE last_ingest_offset IS NULL"), 1);
        assert_eq!(db.number("SELECT count(*) FROM events WHERE type = 'session_thread_followed'"), 1);
    }

    #[test]
    fn two_bound_sessions_are_never_taken_for_the_same_thread() {
        let mut db = TestDb::new();
        let pair = db.pair("t");
        db.conn.execute("UPDATE sessions SET codex_session_id = 'of-' || name", []).unwrap();
        let follow = || FollowThread {
            session_id: pair.manager.id.clone(),
            from_thread: "of-t-m".into(),
            to_thread: "of-t-w".into(),
            rollout_path: "/new".into(),
        };
        assert!(!db.write(follow()).unwrap());
        db.conn.execute("UPDATE bindings SET state = 'ended'", []).unwrap();
        assert!(db.write(follow()).unwrap(), "the other one is nobody's worker any more");
    }
}
