//! One search over tasks, sessions, bindings and telemetry.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use super::sessions::{self, LinkedSession, SessionFilter};
use super::tasks::{self, ListedTask};
use super::telemetry::{self, TelemetryRow};
use super::{Query, StoreError};

/// What has every word of `query` in its names or texts, whatever their case.
#[derive(Debug)]
pub struct Discover {
    /// The words; everything when blank.
    pub query: String,
    /// Also what has ended or is gone.
    pub all: bool,
    /// Rows of each kind at most; the newest are kept.
    pub limit: u32,
}

/// What a search found. Each list is oldest first, except the telemetry.
#[derive(Debug)]
pub struct Found {
    /// Tasks.
    pub tasks: Vec<ListedTask>,
    /// Sessions.
    pub sessions: Vec<LinkedSession>,
    /// Bindings.
    pub bindings: Vec<NamedBinding>,
    /// Telemetry, newest first.
    pub telemetry: Vec<TelemetryRow>,
    /// Every live binding, found or not.
    pub live: Vec<NamedBinding>,
}

/// A binding with the names of the three it ties together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedBinding {
    /// `binding-<uuid>`.
    pub id: String,
    /// The task.
    pub task_id: String,
    /// The task's name.
    pub task_name: String,
    /// The worker.
    pub worker_session_id: String,
    /// The worker's name.
    pub worker_session_name: String,
    /// The manager.
    pub manager_session_id: String,
    /// The manager's name.
    pub manager_session_name: String,
    /// `active`, `ending`, `ended` or `invalid`.
    pub state: String,
    /// When it was made.
    pub created_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
}

impl NamedBinding {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            task_name: row.get(2)?,
            worker_session_id: row.get(3)?,
            worker_session_name: row.get(4)?,
            manager_session_id: row.get(5)?,
            manager_session_name: row.get(6)?,
            state: row.get(7)?,
            created_at: row.get(8)?,
            ended_at: row.get(9)?,
        })
    }

    /// Whether it ties its sessions now.
    pub fn is_live(&self) -> bool {
        matches!(&*self.state, "active" | "ending")
    }
}

impl Query for Discover {
    type Out = Found;

    fn run(self, conn: &Connection) -> Result<Found, StoreError> {
        let words = Words::of(&self.query);
        let filter = SessionFilter {
            state: (!self.all).then(|| "active".to_owned()),
            without_pid: self.all,
            ..SessionFilter::default()
        };
        let bindings = named_bindings(conn)?;
        let live: Vec<_> = bindings.iter().filter(|binding| binding.is_live()).cloned().collect();
        Ok(Found {
            tasks: self.newest(tasks::list(conn, !self.all)?, |listed| {
                let task = &listed.task;
                words.are_in(&[&task.id, &task.name, &task.goal, task.summary.as_deref().unwrap_or_default()])
            }),
            sessions: self.newest(sessions::list(conn, &filter)?, |linked| words.are_in_session(linked)),
            bindings: self.newest(if self.all { bindings } else { live.clone() }, |binding| {
                let names = [&binding.task_name, &binding.worker_session_name, &binding.manager_session_name];
                words.are_in(&[&binding.id, names[0], names[1], names[2]])
            }),
            telemetry: telemetry::search(conn, &self.query, self.limit)?,
            live,
        })
    }
}

impl Discover {
    fn newest<T>(&self, mut rows: Vec<T>, matches: impl Fn(&T) -> bool) -> Vec<T> {
        rows.retain(matches);
        let surplus = rows.len().saturating_sub(self.limit as usize);
        rows.split_off(surplus)
    }
}

fn named_bindings(conn: &Connection) -> Result<Vec<NamedBinding>, StoreError> {
    let rows = conn
        .prepare_cached(
            "SELECT b.id, b.task_id, t.name, w.id, w.name, m.id, m.name, b.state, b.created_at, b.ended_at
             FROM bindings b
             JOIN tasks t ON t.id = b.task_id
             JOIN sessions w ON w.id = b.worker_session_id
             JOIN sessions m ON m.id = b.manager_session_id
             ORDER BY b.rowid",
        )?
        .query_map([], NamedBinding::of)?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}

/// The words of a query, in lower case.
struct Words(Vec<String>);

impl Words {
    fn of(query: &str) -> Self {
        Self(query.split_whitespace().map(str::to_lowercase).collect())
    }

    fn are_in(&self, texts: &[&str]) -> bool {
        let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
        self.0.iter().all(|word| texts.iter().any(|text| text.contains(word.as_str())))
    }

    fn are_in_session(&self, linked: &LinkedSession) -> bool {
        let session = &linked.session;
        let optional = |text: &'_ Option<String>| text.clone().unwrap_or_default();
        self.are_in(&[
            &session.id,
            &session.name,
            session.role.as_str(),
            &session.cwd,
            &optional(&session.tmux_session),
            &optional(&session.codex_session_id),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;
    use crate::store::bindings::Unbind;
    use crate::store::testing::TestDb;

    /// The names found, one list a kind: tasks, sessions, bindings.
    fn names(db: &TestDb, query: &str, all: bool, limit: u32) -> [Vec<String>; 3] {
        let found = db.read(Discover { query: query.into(), all, limit });
        [
            found.tasks.into_iter().map(|listed| listed.task.name).collect(),
            found.sessions.into_iter().map(|linked| linked.session.name).collect(),
            found.bindings.into_iter().map(|binding| binding.task_name).collect(),
        ]
    }

    #[test]
    fn every_word_must_be_somewhere_in_a_row() {
        let mut db = TestDb::new();
        db.pair("auth");
        db.pair("docs");
        db.session("spare", Role::Worker);
        db.conn.execute("UPDATE sessions SET pid = 1", []).unwrap();
        let none: [&str; 0] = [];
        assert_eq!(names(&db, "AUTH", false, 10), [vec!["auth"], vec!["auth-w", "auth-m"], vec!["auth"]]);
        assert_eq!(names(&db, "ship auth", false, 10), [vec!["auth"], none.to_vec(), none.to_vec()]);
        assert_eq!(names(&db, "worker spare", false, 10)[1], ["spare"]);
        assert_eq!(names(&db, "nothing", false, 10), [none; 3]);
        assert_eq!(
            names(&db, "", false, 2),
            [vec!["auth", "docs"], vec!["docs-m", "spare"], vec!["auth", "docs"]]
        );
    }

    #[test]
    fn what_is_over_is_found_only_when_asked_for() {
        let mut db = TestDb::new();
        db.pair("auth");
        db.write(Unbind { task: "auth".into() }).unwrap();
        db.conn.execute_batch("UPDATE tasks SET state = 'done'; UPDATE sessions SET state = 'gone'").unwrap();
        assert_eq!(names(&db, "", false, 10), [const { Vec::<String>::new() }; 3]);
        assert_eq!(names(&db, "", true, 10), [vec!["auth"], vec!["auth-w", "auth-m"], vec!["auth"]]);
    }
}
