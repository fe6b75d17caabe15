//! All bound pairs at a glance.

use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::doctor::{BoundPair, BoundPairs};
use super::session_facts::SessionFact;
use super::{Query, StoreError, codex_events, notifications, session_links, turn_facts};
use crate::domain::session_fact::SessionFactKind;
use crate::domain::time::parse_iso;
use crate::domain::{Activity, TurnOutcome};

/// How the pairs stand at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopFrame {
    /// The moment.
    pub at: String,
    /// A supervisor answers, so that the pairs are watched.
    pub supervised: bool,
    /// The dispatcher that was heard of last.
    pub dispatcher: Option<Dispatcher>,
    /// Every bound pair, oldest binding first.
    pub pairs: Vec<TopPair>,
}

/// A dispatcher, and when it was last heard of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dispatcher {
    /// Who.
    pub id: String,
    /// How long ago it said that it is alive.
    pub age_seconds: f64,
}

/// How one pair stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopPair {
    /// The task's name.
    pub task: String,
    /// The worker.
    pub worker: TopSession,
    /// The manager.
    pub manager: TopSession,
    /// How the worker's last turn ended.
    pub last_turn: Option<TurnOutcome>,
    /// Criteria that are neither settled nor left.
    pub open_criteria: i64,
    /// Deliveries to either of which nobody knows whether they arrived: a person has to decide.
    pub unknown_deliveries: i64,
}

/// How one session stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopSession {
    /// Its name.
    pub name: String,
    /// Its tmux session.
    pub tmux_session: Option<String>,
    /// The socket of the tmux server that has it.
    pub tmux_socket: Option<String>,
    /// What it is doing.
    pub state: Activity,
    /// Seconds since it began to do so.
    pub staleness_seconds: Option<f64>,
    /// What is so of it and needs to be known.
    pub conditions: Vec<SessionFactKind>,
    /// Items in its inbox.
    pub inbox: i64,
}

/// Looks at all bound pairs.
#[derive(Debug)]
pub struct ReadTop {
    /// A supervisor answers.
    pub supervised: bool,
    /// Now.
    pub now: Timestamp,
}

impl Query for ReadTop {
    type Out = TopFrame;

    fn run(self, conn: &Connection) -> Result<TopFrame, StoreError> {
        let pairs = BoundPairs.run(conn)?;
        Ok(TopFrame {
            at: self.now.to_string(),
            supervised: self.supervised,
            dispatcher: self.dispatcher(conn)?,
            pairs: pairs.into_iter().map(|pair| self.pair(conn, pair)).collect::<Result<_, _>>()?,
        })
    }
}

impl ReadTop {
    fn pair(&self, conn: &Connection, pair: BoundPair) -> Result<TopPair, StoreError> {
        let BoundPair { bound, worker_conditions, manager_conditions, .. } = pair;
        Ok(TopPair {
            last_turn: turn_facts::latest(conn, &bound.worker.id)?.map(|fact| fact.outcome),
            open_criteria: open_criteria(conn, &bound.task.id)?,
            unknown_deliveries: unknown_deliveries(conn, &bound.worker.id)?
                + unknown_deliveries(conn, &bound.manager.id)?,
            worker: self.session(conn, bound.worker, &worker_conditions)?,
            manager: self.session(conn, bound.manager, &manager_conditions)?,
            task: bound.task.name,
        })
    }

    fn session(
        &self,
        conn: &Connection,
        session: super::sessions::Session,
        conditions: &[SessionFact],
    ) -> Result<TopSession, StoreError> {
        let told = codex_events::told(conn, &session.id)?;
        Ok(TopSession {
            state: told.activity,
            staleness_seconds: told.state_event_at.as_deref().and_then(|at| self.age_seconds(at)),
            conditions: conditions.iter().map(|fact| fact.kind).collect(),
            inbox: notifications::inbox_size(conn, &session.id)?,
            tmux_socket: session_links::find(conn, &session.id)?.and_then(|link| link.tmux_socket),
            name: session.name,
            tmux_session: session.tmux_session,
        })
    }

    fn dispatcher(&self, conn: &Connection) -> Result<Option<Dispatcher>, StoreError> {
        let beats: Vec<(String, String)> = conn
            .prepare_cached(
                "SELECT dispatcher_id, beat_at FROM dispatcher_heartbeats ORDER BY beat_at DESC LIMIT 1",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let newest = beats.into_iter().next();
        Ok(newest.and_then(|(id, at)| Some(Dispatcher { age_seconds: self.age_seconds(&at)?, id })))
    }

    fn age_seconds(&self, at: &str) -> Option<f64> {
        Some(self.now.duration_since(parse_iso(at)?).as_secs_f64().max(0.0))
    }
}

fn open_criteria(conn: &Connection, task_id: &str) -> rusqlite::Result<i64> {
    conn.prepare_cached(
        "SELECT count(*) FROM acceptance_criteria WHERE task_id = ?1 AND status IN ('proposed', 'accepted')",
    )?
    .query_row([task_id], |row| row.get(0))
}

fn unknown_deliveries(conn: &Connection, session_id: &str) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT count(*) FROM deliveries WHERE target_session_id = ?1 AND state = 'unknown'")?
        .query_row([session_id], |row| row.get(0))
}
