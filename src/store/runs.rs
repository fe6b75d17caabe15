//! Runs: named stretches of work on a task. A run of purpose `ralph_loop` holds a loop policy.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::events::{self, Event};
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, Query, StoreError, row, tasks};
use crate::domain::words::words;
use crate::domain::{Failure, LoopPolicy, ids::new_id, name, time::now_iso};

words! {
    /// Where a run stands.
    RunStatus {
        /// It goes on.
        Active = "active",
        /// It came to its end.
        Finished = "finished",
        /// It failed.
        Failed = "failed",
        /// It was given up.
        Abandoned = "abandoned",
    }
}

/// A row of `runs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// `run-<uuid>`.
    pub id: String,
    /// The task.
    pub task_id: String,
    /// Chosen by a person, or `<task>-<time>`.
    pub name: String,
    /// What it is for, e.g. `ralph_loop`.
    pub purpose: Option<String>,
    /// `active`, `finished`, `failed` or `abandoned`.
    pub status: String,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// What else is known; a loop's policy.
    pub metadata: Value,
}

const COLUMNS: &str = "id, task_id, name, purpose, status, started_at, ended_at, metadata_json";

impl Run {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            name: row.get(2)?,
            purpose: row.get(3)?,
            status: row.get(4)?,
            started_at: row.get(5)?,
            ended_at: row.get(6)?,
            metadata: row::json(row, 7)?,
        })
    }
}

/// The run that `reference` names: by id, else by name, this task's before others', the newest first.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find(conn: &Connection, task_id: &str, reference: &str) -> Result<Option<Run>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM runs WHERE id = ?1 OR name = ?1
         ORDER BY id = ?1 DESC, task_id = ?2 DESC, started_at DESC, rowid DESC LIMIT 1"
    );
    Ok(conn.prepare_cached(&sql)?.query_row([reference, task_id], Run::of).optional()?)
}

/// The id of the task's active run, if any. At most one exists (a unique index sees to it).
///
/// # Errors
/// Whatever SQLite answers.
pub fn active_of_task(conn: &Connection, task_id: &str) -> Result<Option<String>, StoreError> {
    Ok(conn
        .prepare_cached("SELECT id FROM runs WHERE task_id = ?1 AND status = 'active'")?
        .query_row([task_id], |row| row.get(0))
        .optional()?)
}

/// As [`find`], refusing an unknown reference.
///
/// # Errors
/// `NotFound` when there is no such run.
pub fn get(conn: &Connection, reference: &str) -> Result<Run, StoreError> {
    if let Some(run) = find(conn, "", reference)? {
        return Ok(run);
    }
    let names: Vec<String> = conn
        .prepare_cached("SELECT name FROM runs ORDER BY rowid DESC LIMIT 1000")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Err(Failure::unknown_name("run", reference, &names)
        .hint("see what exists: `conveyor runs --list`")
        .into())
}

/// One run by id, else the newest with that name.
#[derive(Debug)]
pub struct GetRun(pub String);

impl Query for GetRun {
    type Out = Run;

    fn run(self, conn: &Connection) -> Result<Run, StoreError> {
        get(conn, &self.0)
    }
}

/// Runs, newest first.
#[derive(Debug)]
pub struct ListRuns {
    /// Only those of this task, by name or id.
    pub task: Option<String>,
    /// Only those with this status.
    pub status: Option<RunStatus>,
}

impl Query for ListRuns {
    type Out = Vec<Run>;

    fn run(self, conn: &Connection) -> Result<Vec<Run>, StoreError> {
        let task_id = match &self.task {
            Some(task) => Some(tasks::get(conn, task)?.id),
            None => None,
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM runs WHERE (?1 IS NULL OR task_id = ?1) AND (?2 IS NULL OR status = ?2)
             ORDER BY rowid DESC"
        );
        let status = self.status.map(RunStatus::as_str);
        let rows =
            conn.prepare_cached(&sql)?.query_map((task_id, status), Run::of)?.collect::<Result<_, _>>()?;
        Ok(rows)
    }
}

/// Starts a run.
#[derive(Debug)]
pub struct CreateRun {
    /// The task, by name or id.
    pub task: String,
    /// Its name; `<task>-<time>` when none is given.
    pub name: Option<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// What else is known, as a JSON object.
    pub metadata: Value,
}

impl Change for CreateRun {
    type Out = Run;

    fn run(self, tx: &Connection) -> Result<Run, StoreError> {
        create(tx, self)
    }
}

/// As [`CreateRun`], for use inside another change.
///
/// # Errors
/// `Refused` when the task has an active run.
pub fn create(conn: &Connection, new: CreateRun) -> Result<Run, StoreError> {
    let task = tasks::get(conn, &new.task)?;
    if let Some(active) = active_of_task(conn, &task.id)? {
        return Err(Failure::refused(format!("task {} has an active run already", task.name))
            .hint(format!("conveyor runs --finish {active}"))
            .into());
    }
    let started_at = now_iso();
    let name = new.name.unwrap_or_else(|| format!("{}-{}", task.name, compact(&started_at)));
    name::check("run", &name)?;
    let id = new_id("run");
    conn.prepare_cached(
        "INSERT INTO runs (id, task_id, name, purpose, status, started_at, metadata_json)
         VALUES (?1, ?2, ?3, ?4, 'active', ?5, ?6)",
    )?
    .execute((&id, &task.id, &name, &new.purpose, started_at, new.metadata.to_string()))?;
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "run_created",
            task_id: Some(&task.id),
            payload: json!({ "name": name, "purpose": new.purpose, "run_id": id }),
            ..Event::default()
        },
    )?;
    get(conn, &id)
}

/// An instant without the characters that a name had better not have.
pub(super) fn compact(iso: &str) -> String {
    iso.replace(':', "")
}

/// Ends a run.
#[derive(Debug)]
pub struct FinishRun {
    /// The run, by id or name.
    pub run: String,
    /// How it ended; not `active`.
    pub status: RunStatus,
}

impl Change for FinishRun {
    type Out = Run;

    fn run(self, tx: &Connection) -> Result<Run, StoreError> {
        if self.status == RunStatus::Active {
            return Err(Failure::usage("a run that is finished is not active").into());
        }
        let run = get(tx, &self.run)?;
        if run.status != RunStatus::Active.as_str() {
            return Err(Failure::refused(format!("run {} is {} already", run.name, run.status)).into());
        }
        end_active(tx, &run.task_id, self.status.as_str())?;
        get(tx, &run.id)
    }
}

/// Ends the active run of a task, if it has one, and tells of it; gives the run's id.
///
/// # Errors
/// Whatever SQLite answers.
pub fn end_active(conn: &Connection, task_id: &str, status: &str) -> Result<Option<String>, StoreError> {
    let run_id: Option<String> = conn
        .prepare_cached(
            "UPDATE runs SET status = ?2, ended_at = ?3 WHERE task_id = ?1 AND status = 'active' RETURNING id",
        )?
        .query_row((task_id, status, now_iso()), |row| row.get(0))
        .optional()?;
    if let Some(run_id) = &run_id {
        telemetry::emit(
            conn,
            &Telemetry {
                actor: Actor::Workerctl,
                event_type: "run_finished",
                severity: Severity::Info,
                summary: &format!("run {status}"),
                task_id: Some(task_id),
                run_id: Some(run_id),
                correlation: json!({ "run_id": run_id }),
                attributes: json!({ "status": status }),
            },
        )?;
    }
    Ok(run_id)
}

/// The loop policy that a run of this task holds, see [`loop_run`].
///
/// # Errors
/// As [`loop_run`].
pub fn loop_policy(conn: &Connection, task_id: &str, reference: &str) -> Result<LoopPolicy, StoreError> {
    Ok(loop_run(conn, task_id, reference)?.1)
}

/// A run of this task with the loop policy that it holds.
///
/// # Errors
/// `NotFound` for an unknown run; `Refused` for a run of another task or without a loop policy.
pub fn loop_run(conn: &Connection, task_id: &str, reference: &str) -> Result<(Run, LoopPolicy), StoreError> {
    let Some(run) = find(conn, task_id, reference)? else {
        let names = names_of_task(conn, task_id)?;
        return Err(Failure::unknown_name("run", reference, &names)
            .hint("see what exists: `conveyor runs --list`")
            .into());
    };
    if run.task_id != task_id {
        return Err(Failure::refused(format!("run {} belongs to another task", run.name)).into());
    }
    match LoopPolicy::of_run(&run.id, &run.metadata) {
        Some(policy) => Ok((run, policy)),
        None => Err(Failure::refused(format!("run {} holds no loop policy", run.name))
            .hint("make one that does: `conveyor loop-templates --create-run TASK --template TEMPLATE`")
            .into()),
    }
}

fn names_of_task(conn: &Connection, task_id: &str) -> Result<Vec<String>, StoreError> {
    let names = conn
        .prepare_cached("SELECT name FROM runs WHERE task_id = ?1")?
        .query_map([task_id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    fn create_named(name: Option<&str>) -> CreateRun {
        CreateRun {
            task: "t1".into(),
            name: name.map(Into::into),
            purpose: None,
            metadata: json!({ "k": 1 }),
        }
    }

    #[test]
    fn a_task_has_one_active_run_at_a_time() {
        let mut db = TestDb::new();
        db.task("t1");
        let first = db.write(create_named(Some("r1"))).unwrap();
        assert_eq!((first.status.as_str(), &first.metadata), ("active", &json!({ "k": 1 })));
        assert!(db.refusal(create_named(None)).hints[0].contains(&first.id));

        let failed = db.write(FinishRun { run: "r1".into(), status: RunStatus::Failed }).unwrap();
        assert_eq!((failed.status.as_str(), failed.ended_at.is_some()), ("failed", true));
        assert!(
            db.refusal(FinishRun { run: "r1".into(), status: RunStatus::Finished })
                .message
                .contains("failed")
        );
        assert!(
            db.refusal(FinishRun { run: "r11".into(), status: RunStatus::Finished }).hints[0].contains("r1")
        );

        let second = db.write(create_named(None)).unwrap();
        assert!(second.name.starts_with("t1-20") && !second.name.contains(':'), "{}", second.name);
        let listed = |status| -> Vec<String> {
            db.read(ListRuns { task: Some("t1".into()), status }).into_iter().map(|run| run.id).collect()
        };
        assert_eq!(listed(None), [second.id.clone(), first.id.clone()]);
        assert_eq!(listed(Some(RunStatus::Failed)), [first.id]);
        assert_eq!(db.texts("SELECT event_type FROM telemetry_events"), ["run_finished"]);
    }
}
