//! How a loop stands: its passes, its evidence, what is on its way and what went wrong.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Params};

use super::loop_evidence;
use super::runs::{self, Run};
use super::tasks::{self, Task};
use super::{Query, StoreError, bindings, notifications};
use crate::domain::LoopPolicy;
use crate::domain::loop_status::LoopFailures;

/// How a run of a task stands.
#[derive(Debug)]
pub struct GetLoopStatus {
    /// The task, by id or name.
    pub task: String,
    /// The run, by id or name.
    pub run: String,
}

/// How a loop stands.
#[derive(Debug, PartialEq)]
pub struct LoopStatus {
    /// The task.
    pub task: Task,
    /// The run.
    pub run: Run,
    /// The policy that the run holds.
    pub policy: LoopPolicy,
    /// Requests for passes, by the state of their command.
    pub requests: BTreeMap<String, i64>,
    /// The pass that was delivered last.
    pub delivered_iteration: Option<i64>,
    /// Routed passes that were delivered, and all.
    pub notifications: (i64, i64),
    /// What the worker has not read, whatever it is about.
    pub worker_unconsumed: i64,
    /// The satisfied pieces of evidence.
    pub evidence_total: i64,
    /// Their types.
    pub evidence_types: BTreeSet<String>,
    /// The required evidence that the pass under way has not left yet; empty when it was the last.
    pub missing_evidence: Vec<String>,
    /// Telemetry of the run, by event type.
    pub telemetry: BTreeMap<String, i64>,
    /// What went wrong.
    pub failures: LoopFailures,
}

/// The requests for passes of the run `?2` of the task `?1`.
const REQUESTS: &str = "FROM commands WHERE +task_id = ?1 AND type = 'continue_iteration'
    AND json_extract(payload_json, '$.ralph_loop.run_id') = ?2";

impl Query for GetLoopStatus {
    type Out = LoopStatus;

    fn run(self, conn: &Connection) -> Result<LoopStatus, StoreError> {
        let task = tasks::get(conn, &self.task)?;
        let (run, policy) = runs::loop_run(conn, &task.id, &self.run)?;
        let of_run = (&task.id, &run.id);
        let delivered_iteration: Option<i64> = one(
            conn,
            &format!(
                "SELECT max(json_extract(payload_json, '$.ralph_loop.requested_iteration')) {REQUESTS} AND state = 'succeeded'"
            ),
            of_run,
        )?;
        let under_way = delivered_iteration.unwrap_or(0).max(policy.current_iteration);
        let missing_evidence = if under_way < policy.max_iterations {
            let satisfied = loop_evidence::on_hand(conn, &task.id, &policy, under_way)?;
            policy.missing_evidence(under_way + 1, &satisfied)
        } else {
            Vec::new()
        };
        let routed = format!("FROM routed_notifications WHERE command_id IN (SELECT id {REQUESTS})");
        let evidence = counts(
            conn,
            "SELECT json_extract(evidence_json, '$.evidence_type'), count(*) FROM acceptance_criteria
             WHERE task_id = ?1 AND status = 'satisfied' AND json_extract(evidence_json, '$.ralph_loop_run_id') = ?2
               AND json_type(evidence_json, '$.evidence_type') = 'text'
             GROUP BY 1",
            of_run,
        )?;
        Ok(LoopStatus {
            requests: counts(conn, &format!("SELECT state, count(*) {REQUESTS} GROUP BY state"), of_run)?,
            delivered_iteration,
            notifications: (
                one(conn, &format!("SELECT count(*) {routed} AND +state = 'delivered'"), of_run)?,
                one(conn, &format!("SELECT count(*) {routed}"), of_run)?,
            ),
            worker_unconsumed: worker_unconsumed(conn, &task.id)?,
            evidence_total: evidence.values().sum(),
            evidence_types: evidence.into_keys().collect(),
            missing_evidence,
            telemetry: counts(
                conn,
                "SELECT event_type, count(*) FROM telemetry_events WHERE run_id = ?1 GROUP BY event_type",
                [&run.id],
            )?,
            failures: failures(conn, &task.id, &run.started_at)?,
            task,
            run,
            policy,
        })
    }
}

fn worker_unconsumed(conn: &Connection, task_id: &str) -> Result<i64, StoreError> {
    let binding = bindings::live_of_task(conn, task_id)?;
    binding.map_or(Ok(0), |binding| notifications::inbox_size(conn, &binding.worker_session_id))
}

fn failures(conn: &Connection, task_id: &str, since: &str) -> Result<LoopFailures, StoreError> {
    let spans = |phase: &str| {
        let sql = "SELECT count(*) FROM manager_cycle_spans
            WHERE task_id = ?1 AND started_at >= ?2 AND phase = ?3 AND state <> 'succeeded'";
        one(conn, sql, (task_id, since, phase))
    };
    Ok(LoopFailures {
        failed_commands: one(
            conn,
            "SELECT count(*) FROM commands WHERE task_id = ?1 AND state = 'failed' AND created_at >= ?2",
            (task_id, since),
        )?,
        failed_cycles: one(
            conn,
            "SELECT count(*) FROM manager_cycles WHERE task_id = ?1 AND state = 'failed' AND started_at >= ?2",
            (task_id, since),
        )?,
        ingest_errors: spans("ingest_rollout")?,
        pane_capture_failures: spans("capture_pane_signal")?,
        open_accepted_criteria: one(
            conn,
            "SELECT count(*) FROM acceptance_criteria WHERE task_id = ?1 AND status = 'accepted'",
            [task_id],
        )?,
    })
}

fn one<T: rusqlite::types::FromSql>(
    conn: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<T, StoreError> {
    Ok(conn.prepare_cached(sql)?.query_row(parameters, |row| row.get(0))?)
}

fn counts(
    conn: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<BTreeMap<String, i64>, StoreError> {
    let counts =
        conn.prepare_cached(sql)?.query_map(parameters, |row| row.try_into())?.collect::<Result<_, _>>()?;
    Ok(counts)
}
