//! Which dispatchers are at work.

use rusqlite::Connection;

use serde_json::json;

use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, StoreError};
use crate::domain::time::now_iso;

/// A dispatcher says that it is alive. One row a dispatcher, however long it lives; that it began is
/// a telemetry event too, which shows whose receipts are whose.
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
        let began: bool = tx
            .prepare_cached(
                "INSERT INTO dispatcher_heartbeats (dispatcher_id, pid, started_at, beat_at, iteration) VALUES (?1, ?2, ?3, ?3, ?4)
                 ON CONFLICT (dispatcher_id) DO UPDATE SET beat_at = ?3, iteration = ?4,
                     started_at = CASE pid WHEN ?2 THEN started_at ELSE ?3 END, pid = ?2
                 RETURNING started_at = ?3",
            )?
            .query_row((&self.dispatcher_id, std::process::id(), now_iso(), self.iteration), |row| row.get(0))?;
        if began {
            tell(tx, &self.dispatcher_id, self.iteration.unsigned_abs(), 0, false)?;
        }
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
        tell(tx, &self.dispatcher_id, self.iteration, self.processed, self.dry_run)
    }
}

fn tell(
    conn: &Connection,
    dispatcher_id: &str,
    iteration: u64,
    processed: usize,
    dry_run: bool,
) -> Result<(), StoreError> {
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Dispatch,
            event_type: "dispatch_watch_heartbeat",
            severity: Severity::Debug,
            summary: &format!("dispatcher {dispatcher_id} is watching"),
            task_id: None,
            run_id: None,
            correlation: json!({"dispatcher_id": dispatcher_id, "iteration": iteration}),
            attributes: json!({"dry_run": dry_run, "processed_count": processed}),
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    #[test]
    fn that_a_dispatcher_began_is_told_once() {
        let mut db = TestDb::new();
        let told = "SELECT correlation_json ->> '$.dispatcher_id' FROM telemetry_events";
        db.write(Beat { dispatcher_id: "d-1".into(), iteration: 1 }).unwrap();
        db.conn.execute("UPDATE dispatcher_heartbeats SET started_at = 'long ago'", []).unwrap();
        db.write(Beat { dispatcher_id: "d-1".into(), iteration: 2 }).unwrap();
        assert_eq!(db.texts(told), ["d-1"]);
        assert_eq!(db.number("SELECT iteration FROM dispatcher_heartbeats"), 2);
        // The same dispatcher in another process.
        db.conn.execute("UPDATE dispatcher_heartbeats SET pid = pid + 1", []).unwrap();
        db.write(Beat { dispatcher_id: "d-1".into(), iteration: 1 }).unwrap();
        assert_eq!(db.texts(told), ["d-1", "d-1"]);
    }
}
