//! Which dispatchers are at work.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use serde_json::json;

use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, Query, StoreError};
use crate::domain::time::now_iso;

/// A dispatcher says that it is alive. One row a dispatcher, however long it lives.
#[derive(Debug)]
pub struct Beat {
    /// Who.
    pub dispatcher_id: String,
    /// How many times it has looked for work.
    pub iteration: i64,
}

impl Change for Beat {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        tx.prepare_cached(
            "INSERT INTO dispatcher_heartbeats (dispatcher_id, pid, started_at, beat_at, iteration) VALUES (?1, ?2, ?3, ?3, ?4)
             ON CONFLICT (dispatcher_id) DO UPDATE SET beat_at = ?3, iteration = ?4,
                 started_at = CASE pid WHEN ?2 THEN started_at ELSE ?3 END, pid = ?2",
        )?
        .execute((&self.dispatcher_id, std::process::id(), now_iso(), self.iteration))?;
        Ok(())
    }
}

/// A `dispatch --watch` says that it is alive: a telemetry event a pass, as agent-conveyor does.
#[derive(Debug)]
pub struct WatchBeat {
    /// Who.
    pub dispatcher_id: String,
    /// Which pass of the watch it was.
    pub iteration: u64,
    /// How many items it processed.
    pub processed: usize,
    /// Whether nothing was done in earnest.
    pub dry_run: bool,
}

impl Change for WatchBeat {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        telemetry::emit(
            tx,
            &Telemetry {
                actor: Actor::Dispatch,
                event_type: "dispatch_watch_heartbeat",
                severity: Severity::Debug,
                summary: &format!("dispatcher {} is watching", self.dispatcher_id),
                task_id: None,
                run_id: None,
                correlation: json!({"dispatcher_id": self.dispatcher_id, "iteration": self.iteration}),
                attributes: json!({"dry_run": self.dry_run, "processed_count": self.processed}),
            },
        )?;
        Ok(())
    }
}

/// A row of `dispatcher_heartbeats`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Its process.
    pub pid: i64,
    /// When that process began to dispatch.
    pub started_at: String,
    /// When it last said so.
    pub beat_at: String,
    /// How many times it had looked for work by then.
    pub iteration: i64,
}

/// The heartbeat of one dispatcher.
#[derive(Debug)]
pub struct HeartbeatOf(pub String);

impl Query for HeartbeatOf {
    type Out = Option<Heartbeat>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        let heartbeat = conn
            .prepare_cached("SELECT pid, started_at, beat_at, iteration FROM dispatcher_heartbeats WHERE dispatcher_id = ?1")?
            .query_row([&self.0], |row| Ok(Heartbeat { pid: row.get(0)?, started_at: row.get(1)?, beat_at: row.get(2)?, iteration: row.get(3)? }));
        Ok(heartbeat.optional()?)
    }
}
