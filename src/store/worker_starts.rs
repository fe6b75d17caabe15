//! Workers with a directory of files that this program starts and ends: on record before anything runs.

use rusqlite::Connection;
use serde_json::json;

use super::events::{self, Event};
use super::workers::{KnownWorker, insert_status, refuse_taken_terminal, row_of};
use super::{Change, StoreError, leftovers};
use crate::domain::legacy::WorkerStatus;
use crate::domain::time::now_iso;

/// Records that a worker is about to be started.
#[derive(Debug)]
pub struct BeginWorker {
    /// Who, and where.
    pub worker: KnownWorker,
    /// How it stands until it says so itself.
    pub status: WorkerStatus,
}

/// By what a worker is known.
#[derive(Debug, Clone)]
pub struct WorkerIdentity {
    /// `worker-<uuid>`.
    pub id: String,
    /// `workerctl-<uuid>`.
    pub token: String,
}

impl Change for BeginWorker {
    type Out = WorkerIdentity;

    /// # Errors
    /// `Refused` when the tmux session is another worker's.
    fn run(self, tx: &Connection) -> Result<WorkerIdentity, StoreError> {
        let KnownWorker { name, tmux_session, cwd, .. } = &self.worker;
        refuse_taken_terminal(tx, name, tmux_session)?;
        let id = row_of(tx, &self.worker)?;
        let token = tx
            .prepare_cached(
                "UPDATE workers SET tmux_session = ?2, tmux_pane_id = NULL, cwd = ?3, state = 'candidate', updated_at = ?4,
                     exit_detected_at = NULL, exit_reason = NULL
                 WHERE id = ?1 RETURNING identity_token",
            )?
            .query_row((&id, tmux_session, cwd, now_iso()), |row| row.get(0))?;
        insert_status(tx, &id, &self.status)?;
        let said = json!({ "cwd": cwd, "name": name, "task": self.status.current_task, "tmux_session": tmux_session });
        record(tx, &id, "worker_create_recorded", said)?;
        Ok(WorkerIdentity { id, token })
    }
}

/// Records that a worker runs: its start is over.
#[derive(Debug)]
pub struct WorkerStarted {
    /// The id of its row.
    pub worker_id: String,
    /// The start.
    pub launch_id: String,
    /// Its pane.
    pub tmux_pane_id: String,
}

impl Change for WorkerStarted {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        leftovers::end(tx, &self.launch_id)?;
        tx.prepare_cached(
            "UPDATE workers SET state = 'active', tmux_pane_id = ?2, updated_at = ?3, last_seen_at = ?3 WHERE id = ?1",
        )?
        .execute((&self.worker_id, &self.tmux_pane_id, now_iso()))?;
        record(tx, &self.worker_id, "worker_tmux_started", json!({ "tmux_pane_id": self.tmux_pane_id }))
    }
}

/// Records that a worker could not be started.
#[derive(Debug)]
pub struct WorkerNotStarted {
    /// The id of its row.
    pub worker_id: String,
    /// Why.
    pub reason: String,
}

impl Change for WorkerNotStarted {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        tx.prepare_cached(
            "UPDATE workers SET state = 'failed', updated_at = ?2, exit_detected_at = ?2, exit_reason = ?3 WHERE id = ?1",
        )?
        .execute((&self.worker_id, now_iso(), &self.reason))?;
        record(tx, &self.worker_id, "worker_start_failed", json!({ "reason": self.reason }))
    }
}

/// Records that the worker of this name does not run any more, if it has a record.
#[derive(Debug)]
pub struct WorkerStopped(pub String);

impl Change for WorkerStopped {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        tx.prepare_cached(
            "UPDATE workers SET state = 'stopped', updated_at = ?2, exit_detected_at = ?2, exit_reason = 'stopped'
             WHERE name = ?1 AND state <> 'stopped'",
        )?
        .execute((self.0, now_iso()))?;
        Ok(())
    }
}

fn record(
    tx: &Connection,
    worker_id: &str,
    event_type: &str,
    payload: serde_json::Value,
) -> Result<(), StoreError> {
    let event = Event { actor: "workerctl", event_type, payload, ..Event::default() };
    events::record_of_worker(tx, worker_id, &event).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;
    use crate::store::workers::LatestStatus;

    fn begin(name: &str, tmux_session: &str) -> BeginWorker {
        let worker = KnownWorker {
            name: name.into(),
            id: None,
            tmux_session: tmux_session.into(),
            identity_token: None,
            cwd: "/repo".into(),
        };
        BeginWorker { worker, status: WorkerStatus::unknown() }
    }

    #[test]
    fn a_worker_is_known_before_it_runs_and_stays_the_same_worker() {
        let mut db = TestDb::new();
        let states = "SELECT state || coalesce(' ' || tmux_pane_id, '') || coalesce(' ' || exit_reason, '') FROM workers";
        let first = db.write(begin("w", "codex-w")).unwrap();
        assert_eq!(db.texts(states), ["candidate"]);
        assert!(db.read(LatestStatus("w".into())).is_some());
        let failed = WorkerNotStarted { worker_id: first.id.clone(), reason: "no license".into() };
        db.write(failed).unwrap();
        assert_eq!(db.texts(states), ["failed no license"]);

        let again = db.write(begin("w", "codex-w")).unwrap();
        assert_eq!((&again.id, &again.token), (&first.id, &first.token));
        let started =
            WorkerStarted { worker_id: again.id, launch_id: "launch-1".into(), tmux_pane_id: "%1".into() };
        db.write(started).unwrap();
        assert_eq!(db.texts(states), ["active %1"]);
        db.write(WorkerStopped("w".into())).unwrap();
        db.write(WorkerStopped("nobody".into())).unwrap();
        assert_eq!(db.texts(states), ["stopped %1 stopped"]);
        let types = db.texts("SELECT type FROM events ORDER BY id");
        let begun = "worker_create_recorded";
        assert_eq!(types, [begun, "worker_start_failed", begun, "worker_tmux_started"]);
    }

    #[test]
    fn a_terminal_has_one_worker() {
        let mut db = TestDb::new();
        db.write(begin("w", "codex-w")).unwrap();
        let refused = db.write(begin("v", "codex-w")).unwrap_err();
        assert!(refused.to_string().contains("codex-w is the terminal of worker w"), "{refused}");
        assert_eq!(db.number("SELECT count(*) FROM workers"), 1);
    }
}
