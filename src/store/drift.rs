//! Drift: sessions, bindings and tasks whose record no longer fits what is there, and putting the
//! record right.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::events::{self, Event};
use super::sessions::{LinkedSession, Session, SessionFilter};
use super::{Change, Query, StoreError, Topic, bindings, dispatch, sessions};
use crate::domain::Role;
use crate::domain::time::{iso, now_iso, parse_iso};

/// A registered session and the process that is said to run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionProcess {
    /// `session-<uuid>`.
    #[serde(rename = "session_id")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// The process.
    pub pid: i64,
    /// When it was last heard of.
    pub last_heartbeat_at: Option<String>,
}

impl SessionProcess {
    /// That of a session that has one.
    pub fn of(session: Session) -> Option<Self> {
        Some(Self {
            pid: session.pid?,
            id: session.id,
            name: session.name,
            role: session.role,
            last_heartbeat_at: session.last_heartbeat_at,
        })
    }
}

/// A binding that says it is active although a side of it is gone or its task has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DanglingBinding {
    /// `binding-<uuid>`.
    pub binding_id: String,
    /// The task.
    pub task_id: String,
    /// Its name.
    pub task_name: String,
    /// How far it is.
    pub task_state: String,
    /// The side that is gone.
    pub gone_role: Option<Role>,
    /// That session's name.
    pub gone_session_name: Option<String>,
}

/// A bound task that nobody has looked at for long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StuckTask {
    /// `task-<uuid>`.
    pub task_id: String,
    /// Its name.
    pub task_name: String,
    /// How far it is.
    pub state: String,
    /// When its last cycle began; none when there was none.
    pub last_cycle_at: Option<String>,
    /// Seconds since then, or since it was bound.
    pub age_seconds: f64,
}

/// What the record says of the active sessions, and where it contradicts itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    /// The active sessions with a process.
    pub processes: Vec<LinkedSession>,
    /// Bindings that dangle.
    pub dangling_bindings: Vec<DanglingBinding>,
    /// Tasks that are stuck.
    pub stuck_tasks: Vec<StuckTask>,
}

/// Reads the records that may have drifted.
#[derive(Debug)]
pub struct ReadRecords {
    /// A bound task is stuck after so many seconds without a cycle.
    pub stuck_after_seconds: f64,
}

impl Query for ReadRecords {
    type Out = Records;

    fn run(self, conn: &Connection) -> Result<Records, StoreError> {
        Ok(Records {
            processes: processes(conn)?,
            dangling_bindings: dangling(conn)?,
            stuck_tasks: stuck(conn, self.stuck_after_seconds)?,
        })
    }
}

/// The active sessions with a process.
#[derive(Debug)]
pub struct SessionProcesses;

impl Query for SessionProcesses {
    type Out = Vec<LinkedSession>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        processes(conn)
    }
}

fn processes(conn: &Connection) -> Result<Vec<LinkedSession>, StoreError> {
    sessions::list(conn, &SessionFilter { state: Some("active".to_owned()), ..SessionFilter::default() })
}

/// The bindings that dangle, in the order they were made.
///
/// # Errors
/// Whatever SQLite answers.
pub fn dangling(conn: &Connection) -> Result<Vec<DanglingBinding>, StoreError> {
    let of = |row: &Row<'_>| {
        let gone_role: Option<String> = row.get(4)?;
        Ok(DanglingBinding {
            binding_id: row.get(0)?,
            task_id: row.get(1)?,
            task_name: row.get(2)?,
            task_state: row.get(3)?,
            gone_role: gone_role.and_then(|role| role.parse().ok()),
            gone_session_name: row.get(5)?,
        })
    };
    let bindings = conn
        .prepare_cached(
            "SELECT b.id, t.id, t.name, t.state, gone.role, gone.name
             FROM bindings b JOIN tasks t ON t.id = b.task_id
             LEFT JOIN sessions gone ON gone.state = 'gone' AND gone.id IN (b.worker_session_id, b.manager_session_id)
             WHERE b.state IN ('active', 'ending') AND (gone.id IS NOT NULL OR t.state IN ('done', 'failed'))
             GROUP BY b.id ORDER BY b.rowid",
        )?
        .query_map([], of)?
        .collect::<Result<_, _>>()?;
    Ok(bindings)
}

/// The bound tasks without a cycle for so many seconds, the longest first.
///
/// # Errors
/// Whatever SQLite answers.
pub fn stuck(conn: &Connection, after_seconds: f64) -> Result<Vec<StuckTask>, StoreError> {
    let now = Timestamp::now();
    let before = SignedDuration::try_from_secs_f64(after_seconds)
        .ok()
        .and_then(|after| now.checked_sub(after).ok())
        .map_or_else(String::new, iso);
    let of = |row: &Row<'_>| {
        let since: String = row.get(4)?;
        Ok(StuckTask {
            task_id: row.get(0)?,
            task_name: row.get(1)?,
            state: row.get(2)?,
            last_cycle_at: row.get(3)?,
            age_seconds: parse_iso(&since).map_or(0.0, |since| now.duration_since(since).as_secs_f64()),
        })
    };
    let tasks = conn
        .prepare_cached(
            "SELECT id, name, state, last_cycle_at, COALESCE(last_cycle_at, bound_at) AS since FROM (
                 SELECT t.id, t.name, t.state, b.created_at AS bound_at,
                     (SELECT c.started_at FROM manager_cycles c WHERE c.task_id = t.id AND c.started_at >= b.created_at
                      ORDER BY c.id DESC LIMIT 1) AS last_cycle_at
                 FROM bindings b JOIN tasks t ON t.id = b.task_id
                 WHERE b.state IN ('active', 'ending') AND t.state IN ('candidate', 'managed', 'paused'))
             WHERE since < ?1 ORDER BY since",
        )?
        .query_map([before], of)?
        .collect::<Result<_, _>>()?;
    Ok(tasks)
}

/// What was put right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutRight {
    /// The bindings that are invalid now.
    pub bindings_marked_invalid: Vec<String>,
    /// The sessions that are gone now, by name.
    pub sessions_marked_gone: Vec<String>,
    /// The sessions that stay as they are, and their bindings with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions_left: Vec<LeftSession>,
}

/// A bound session that is not marked gone, for what it wrote last could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftSession {
    /// `session-<uuid>`.
    #[serde(rename = "session_id")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Why it could not be read.
    pub error: String,
    /// How to go on.
    pub hints: Vec<String>,
}

/// Marks sessions gone whose process has ended, then the bindings that dangle invalid; what their
/// managers were not told yet they are told before. Tasks stay as they are.
#[derive(Debug)]
pub struct PutRecordsRight {
    /// The sessions whose process is not there, as they were read.
    pub dead: Vec<SessionProcess>,
    /// Those among them that are left, with their bindings.
    pub left: Vec<LeftSession>,
}

impl Change for PutRecordsRight {
    type Out = PutRight;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions, Topic::Work, Topic::Inbox];

    fn run(self, tx: &Connection) -> Result<PutRight, StoreError> {
        let mut right = PutRight::default();
        let is_left = |id: &str| self.left.iter().any(|left| left.id == id);
        for dead in self.dead.into_iter().filter(|dead| !is_left(&dead.id)) {
            // It may have been registered again since it was looked at.
            let session = sessions::get(tx, &dead.id)?;
            if session.is_active() && session.pid == Some(dead.pid) {
                sessions::set_gone(tx, &dead.id)?;
                let payload = json!({ "name": dead.name, "pid": dead.pid, "reason": "its process is not there any more" });
                tell(tx, "session_marked_gone_by_reconcile", None, payload)?;
                right.sessions_marked_gone.push(dead.name);
            }
        }
        let left = bindings_of(tx, &self.left)?;
        for binding in dangling(tx)?.into_iter().filter(|binding| !left.contains(&binding.binding_id)) {
            dispatch::route_before_end(tx, &binding.binding_id, "reconcile")?;
            tx.prepare_cached("UPDATE bindings SET state = 'invalid', ended_at = ?2 WHERE id = ?1")?
                .execute((&binding.binding_id, now_iso()))?;
            let payload = json!({
                "binding_id": binding.binding_id,
                "gone_role": binding.gone_role,
                "gone_session_name": binding.gone_session_name,
                "task_name": binding.task_name,
            });
            tell(tx, "binding_marked_invalid_by_reconcile", Some(&binding.task_id), payload)?;
            right.bindings_marked_invalid.push(binding.binding_id);
        }
        right.sessions_left = self.left;
        Ok(right)
    }
}

fn bindings_of(conn: &Connection, sessions: &[LeftSession]) -> Result<Vec<String>, StoreError> {
    let mut ids = Vec::new();
    for session in sessions {
        ids.extend(bindings::live_of_session(conn, &session.id)?.map(|binding| binding.id));
    }
    Ok(ids)
}

fn tell(
    conn: &Connection,
    event_type: &str,
    task_id: Option<&str>,
    payload: Value,
) -> Result<(), StoreError> {
    events::record(conn, &Event { actor: "workerctl", event_type, task_id, payload, ..Event::default() })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    fn read(db: &TestDb) -> Records {
        db.read(ReadRecords { stuck_after_seconds: 3600.0 })
    }

    fn database() -> TestDb {
        let mut db = TestDb::new();
        db.pair("one");
        db.pair("two");
        db.conn.execute("UPDATE sessions SET pid = rowid + 100", []).unwrap();
        db
    }

    #[test]
    fn what_is_recorded_and_fits_is_no_drift() {
        let db = database();
        let records = read(&db);
        assert_eq!(records.processes.len(), 4);
        assert_eq!((records.dangling_bindings, records.stuck_tasks), (vec![], vec![]));
    }

    #[test]
    fn a_task_is_stuck_since_its_last_cycle_or_its_binding() {
        let db = database();
        let long_ago = "2026-01-01T00:00:00.000Z";
        db.conn.execute("UPDATE bindings SET created_at = ?1", [long_ago]).unwrap();
        let stuck = read(&db).stuck_tasks;
        assert_eq!((stuck.len(), stuck[0].last_cycle_at.as_ref()), (2, None));
        assert!(stuck[0].age_seconds > 3600.0, "{stuck:?}");
        db.conn
            .execute(
                "INSERT INTO manager_cycles (task_id, started_at, state) SELECT id, ?1, 'failed' FROM tasks WHERE name = 'one'",
                [now_iso()],
            )
            .unwrap();
        let names =
            |db: &TestDb| read(db).stuck_tasks.into_iter().map(|task| task.task_name).collect::<Vec<_>>();
        assert_eq!(names(&db), ["two"]);
        db.conn.execute("UPDATE tasks SET state = 'done'", []).unwrap();
        assert!(names(&db).is_empty());
    }

    #[test]
    fn putting_right_ends_what_is_gone_and_leaves_the_rest() {
        let mut db = database();
        let processes = read(&db).processes.into_iter();
        let dead = processes.take(2).filter_map(|linked| SessionProcess::of(linked.session)).collect();
        db.conn.execute("UPDATE sessions SET pid = 7 WHERE name = 'one-m'", []).unwrap();
        let right = db.write(PutRecordsRight { dead, left: vec![] }).unwrap();
        assert_eq!(right.sessions_marked_gone, ["one-w"], "the other was registered again");
        assert_eq!(right.bindings_marked_invalid.len(), 1);
        assert_eq!(db.texts("SELECT state FROM bindings ORDER BY rowid"), ["invalid", "active"]);
        assert_eq!(db.texts("SELECT DISTINCT state FROM tasks"), ["candidate"]);
        let told = db.jsons("SELECT payload_json FROM events WHERE type LIKE '%reconcile' ORDER BY id");
        assert_eq!((&told[0]["name"], &told[1]["gone_role"]), (&json!("one-w"), &json!("worker")));
        assert_eq!(db.write(PutRecordsRight { dead: vec![], left: vec![] }).unwrap(), PutRight::default());
    }

    #[test]
    fn a_binding_of_an_ended_task_dangles() {
        let mut db = database();
        db.conn.execute("UPDATE tasks SET state = 'done' WHERE name = 'two'", []).unwrap();
        db.conn.execute("UPDATE sessions SET state = 'gone' WHERE name LIKE 'one-%'", []).unwrap();
        let names: Vec<_> =
            read(&db).dangling_bindings.into_iter().map(|b| (b.task_name, b.gone_role)).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names[0].1.is_some() && names[1].1.is_none(), "{names:?}");
        assert_eq!(
            db.write(PutRecordsRight { dead: vec![], left: vec![] }).unwrap().bindings_marked_invalid.len(),
            2
        );
    }
}
