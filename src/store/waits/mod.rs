//! Waits: a session asks for an approval or an answer, until somebody gives one.

mod answer;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::session_facts::{self, NewSessionFact};
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, Query, StoreError, Topic, bindings, row, sessions, tasks};
use crate::domain::ids::new_id;
use crate::domain::session_fact::SessionFactKind;
use crate::domain::time::now_iso;
use crate::domain::{Failure, Role, Wait};

pub use answer::{Answering, BeginAnswer, FinishAnswer};

/// Records that a session waits. A request is one wait, however often it is heard of. A wait that is
/// only seen from outside is the one that is on record, if there is one.
#[derive(Debug, Clone)]
pub struct RecordWait {
    /// The session.
    pub session_id: String,
    /// What it waits for.
    pub wait: Wait,
}

impl Change for RecordWait {
    /// Whether nobody knew of it.
    type Out = bool;
    const TOUCHES: &'static [Topic] = &[Topic::Work, Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<bool, StoreError> {
        let session = sessions::get(tx, &self.session_id)?;
        let open = open_waits(tx, &session.id)?;
        let Some(key) = self.key().or_else(|| open.is_empty().then(|| new_id("wait"))) else {
            return Ok(false);
        };
        if self.wait.request.is_some() && tell_more(tx, &open, &key, &self.wait)? {
            return Ok(false);
        }
        let detail = json!(self.wait);
        let fact = NewSessionFact {
            session_id: &session.id,
            kind: SessionFactKind::Waiting,
            dedupe_key: &key,
            detail: &detail,
        };
        if !session_facts::record(tx, &fact)? {
            return Ok(false);
        }
        let binding = bindings::live_of_session(tx, &session.id)?;
        telemetry::emit(
            tx,
            &Telemetry {
                actor: Actor::System,
                event_type: "session_waiting",
                severity: Severity::Warning,
                summary: &format!("session {} waits: {}", session.name, self.wait.asks),
                task_id: binding.as_ref().map(|binding| binding.task_id.as_str()),
                run_id: None,
                correlation: json!({
                    "session": session.name,
                    "session_id": session.id,
                    "thread_id": self.wait.thread_id,
                    "turn_id": self.wait.turn_id,
                }),
                attributes: json!({"asks": self.wait.asks, "pane_class": self.wait.pane_class}),
            },
        )?;
        Ok(true)
    }
}

impl RecordWait {
    fn key(&self) -> Option<String> {
        let request = self.wait.request.as_ref()?;
        let thread_id = self.wait.thread_id.as_deref().unwrap_or("-");
        let turn_id = self.wait.turn_id.as_deref().unwrap_or("-");
        // A request without a start has nothing but the server's number to tell it by.
        let which = match (&request.approval_id, request.started_at_ms) {
            (Some(id), _) => id.clone(),
            (None, 0) => request.id.to_string(),
            (None, at) => at.to_string(),
        };
        Some(format!("wait:{}:{thread_id}:{turn_id}:{}:{which}", self.session_id, request.item_id))
    }
}

/// Adds what a request tells to the wait that was only seen before it. `false` when there is none.
fn tell_more(conn: &Connection, open: &[(i64, Wait)], key: &str, wait: &Wait) -> Result<bool, StoreError> {
    let Some((id, _)) = open.iter().find(|(_, wait)| wait.request.is_none()) else { return Ok(false) };
    let told = conn
        .prepare_cached("UPDATE OR IGNORE session_facts SET dedupe_key = ?2, detail_json = ?3 WHERE id = ?1")?
        .execute((id, key, json!(wait).to_string()))?;
    Ok(told == 1)
}

/// Which waits are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// Every one of the session.
    All,
    /// Those of one thread.
    Thread(String),
    /// The request that an app-server calls so.
    Request(Value),
}

/// Records that waits of a session are over: somebody answered, here or in its terminal.
#[derive(Debug, Clone)]
pub struct EndWaits {
    /// The session.
    pub session_id: String,
    /// Which of them.
    pub over: Over,
}

impl Change for EndWaits {
    /// How many they were.
    type Out = usize;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<usize, StoreError> {
        let is_over = |wait: &Wait| match &self.over {
            Over::All => true,
            Over::Thread(thread_id) => wait.thread_id.as_ref() == Some(thread_id),
            Over::Request(id) => wait.request.as_ref().is_some_and(|request| request.id == *id),
        };
        let over: Vec<i64> = open_waits(tx, &self.session_id)?
            .into_iter()
            .filter(|(_, wait)| is_over(wait))
            .map(|(id, _)| id)
            .collect();
        for id in &over {
            end(tx, *id)?;
        }
        Ok(over.len())
    }
}

fn end(conn: &Connection, id: i64) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE session_facts SET cleared_at = ?2 WHERE id = ?1 AND cleared_at IS NULL")?
        .execute((id, now_iso()))?;
    Ok(())
}

fn open_waits(conn: &Connection, session_id: &str) -> Result<Vec<(i64, Wait)>, StoreError> {
    let waits = conn
        .prepare_cached(
            "SELECT id, detail_json FROM session_facts
             WHERE session_id = ?1 AND kind = 'waiting' AND cleared_at IS NULL ORDER BY id",
        )?
        .query_map([session_id], |row| Ok((row.get(0)?, row::json(row, 1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(waits)
}

/// A session that waits, as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// What an answer refers to.
    pub id: i64,
    /// Since when it is known to wait.
    pub since: String,
    /// The session.
    pub session_id: String,
    /// Its name.
    pub session: String,
    /// Its role.
    pub role: Role,
    /// The name of the task it is bound to.
    pub task: Option<String>,
    /// It can be answered with `approve` and `deny`; otherwise only in its terminal.
    pub answerable: bool,
    /// What it waits for.
    #[serde(flatten)]
    pub wait: Wait,
}

impl Waiting {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let wait: Wait = row::json(row, 6)?;
        Ok(Self {
            id: row.get(0)?,
            since: row.get(1)?,
            session_id: row.get(2)?,
            session: row.get(3)?,
            role: row::word(row, 4)?,
            task: row.get(5)?,
            answerable: wait.takes_a_verdict(),
            wait,
        })
    }
}

const SELECT: &str = "SELECT f.id, f.recorded_at, s.id, s.name, s.role, t.name, f.detail_json
    FROM session_facts f JOIN sessions s ON s.id = f.session_id
    LEFT JOIN bindings b ON b.state IN ('active', 'ending') AND s.id IN (b.worker_session_id, b.manager_session_id)
    LEFT JOIN tasks t ON t.id = b.task_id
    WHERE f.kind = 'waiting' AND f.cleared_at IS NULL AND s.state = 'active'";

/// The sessions that wait now, oldest wait first; only those of a task (name or id) when one is given.
#[derive(Debug, Clone)]
pub struct ListWaits {
    /// The task.
    pub task: Option<String>,
}

impl Query for ListWaits {
    type Out = Vec<Waiting>;

    /// # Errors
    /// `NotFound` for an unknown task.
    fn run(self, conn: &Connection) -> Result<Vec<Waiting>, StoreError> {
        let task_id = self.task.map(|task| tasks::get(conn, &task)).transpose()?.map(|task| task.id);
        let sql = format!("{SELECT} AND (?1 IS NULL OR t.id = ?1) ORDER BY f.id");
        let waits =
            conn.prepare_cached(&sql)?.query_map([task_id], Waiting::of)?.collect::<Result<_, _>>()?;
        Ok(waits)
    }
}

/// The wait with this id, if the session (name or id) still waits so.
fn get(conn: &Connection, session: &str, id: i64) -> Result<Waiting, StoreError> {
    let session = sessions::get(conn, session)?;
    let sql = format!("{SELECT} AND f.id = ?1 AND s.id = ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map((id, &session.id), Waiting::of)?.next().transpose()?;
    found.ok_or_else(|| {
        Failure::not_found(format!("session {} does not wait for an answer to {id}", session.name))
            .hint("somebody may have answered; see who waits: `conveyor approvals`")
            .into()
    })
}
