//! Which dispatchers are at work.

use rusqlite::Connection;

use serde_json::json;

use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, StoreError};
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
