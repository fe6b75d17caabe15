//! Bindings: which worker and which manager belong to a task.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use serde_json::json;

use super::events::{self, Event};
use super::sessions::{self, Session};
use super::{Change, Query, StoreError, Topic, tasks, turn_facts};
use crate::domain::shell::quoted;
use crate::domain::{Failure, Role, ids::new_id, time::now_iso};

/// A row of `bindings` that ties two registered sessions to a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// `binding-<uuid>`.
    pub id: String,
    /// The task.
    pub task_id: String,
    /// The worker's session id.
    pub worker_session_id: String,
    /// The manager's session id.
    pub manager_session_id: String,
    /// `active`, `ending`, `ended` or `invalid`.
    pub state: String,
    /// When it was made.
    pub created_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
}

const COLUMNS: &str = "id, task_id, worker_session_id, manager_session_id, state, created_at, ended_at";

impl Binding {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            worker_session_id: row.get(2)?,
            manager_session_id: row.get(3)?,
            state: row.get(4)?,
            created_at: row.get(5)?,
            ended_at: row.get(6)?,
        })
    }
}

/// A task with its live binding and both sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundTask {
    /// The task.
    pub task: tasks::Task,
    /// Its binding, `active` or `ending`.
    pub binding: Binding,
    /// The bound worker.
    pub worker: Session,
    /// The bound manager.
    pub manager: Session,
}

/// The live binding of a task, if any. At most one exists (a unique index sees to it).
///
/// # Errors
/// Whatever SQLite answers.
pub fn live_of_task(conn: &Connection, task_id: &str) -> Result<Option<Binding>, StoreError> {
    live(conn, "task_id", task_id)
}

/// The newest binding of a task, in whatever state.
///
/// # Errors
/// Whatever SQLite answers.
pub fn latest_of_task(conn: &Connection, task_id: &str) -> Result<Option<Binding>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM bindings
         WHERE task_id = ?1 AND worker_session_id IS NOT NULL AND manager_session_id IS NOT NULL
         ORDER BY rowid DESC LIMIT 1"
    );
    Ok(conn.prepare_cached(&sql)?.query_row([task_id], Binding::of).optional()?)
}

/// The live binding of a session in either role, if any.
///
/// # Errors
/// Whatever SQLite answers.
pub fn live_of_session(conn: &Connection, session_id: &str) -> Result<Option<Binding>, StoreError> {
    match live(conn, "worker_session_id", session_id)? {
        Some(binding) => Ok(Some(binding)),
        None => live(conn, "manager_session_id", session_id),
    }
}

fn live(conn: &Connection, column: &str, value: &str) -> Result<Option<Binding>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM bindings WHERE {column} = ?1 AND state IN ('active', 'ending')
         AND worker_session_id IS NOT NULL AND manager_session_id IS NOT NULL"
    );
    Ok(conn.prepare_cached(&sql)?.query_row([value], Binding::of).optional()?)
}

/// A task with its binding and sessions.
///
/// # Errors
/// `NotFound` for an unknown task, `Refused` for one without a live binding.
pub fn bound_task(conn: &Connection, reference: &str) -> Result<BoundTask, StoreError> {
    let task = tasks::get(conn, reference)?;
    let Some(binding) = live_of_task(conn, &task.id)? else {
        return Err(Failure::refused(format!("task {} has no active binding", task.name))
            .hint(format!("conveyor bind --task {} --worker WORKER --manager MANAGER", quoted(&task.name)))
            .into());
    };
    let worker = sessions::get(conn, &binding.worker_session_id)?;
    let manager = sessions::get(conn, &binding.manager_session_id)?;
    Ok(BoundTask { task, binding, worker, manager })
}

/// One task with its binding and sessions.
#[derive(Debug)]
pub struct GetBoundTask(pub String);

impl Query for GetBoundTask {
    type Out = BoundTask;

    fn run(self, conn: &Connection) -> Result<BoundTask, StoreError> {
        bound_task(conn, &self.0)
    }
}

/// Ties a worker and a manager to a task.
#[derive(Debug)]
pub struct Bind {
    /// The task's name or id.
    pub task: String,
    /// The worker's name or id.
    pub worker: String,
    /// The manager's name or id.
    pub manager: String,
}

impl Change for Bind {
    type Out = BoundTask;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions, Topic::Work];

    fn run(self, tx: &Connection) -> Result<BoundTask, StoreError> {
        bind(tx, &self)
    }
}

/// One thread is written to one rollout file; a thread id alone may be a copy's.
fn are_one_codex_session(worker: &Session, manager: &Session) -> bool {
    worker.codex_session_id.is_some()
        && worker.codex_session_id == manager.codex_session_id
        && worker.codex_session_path == manager.codex_session_path
}

/// As [`Bind`], for use inside another change.
///
/// # Errors
/// `NotFound` for an unknown name; `Refused` for a task that has ended, a session that is gone or
/// on the other side, and when one of the three is bound already.
pub fn bind(conn: &Connection, new: &Bind) -> Result<BoundTask, StoreError> {
    let task = tasks::get(conn, &new.task)?;
    if !task.is_active() {
        return Err(Failure::refused(format!("task {} is {} and cannot be bound", task.name, task.state))
            .hint("create a new one: `conveyor tasks --create NAME --goal GOAL`")
            .into());
    }
    let worker = bindable(conn, &new.worker, Role::Worker)?;
    let manager = bindable(conn, &new.manager, Role::Manager)?;
    if are_one_codex_session(&worker, &manager) {
        return Err(Failure::refused(format!(
            "{} and {} are the same Codex session",
            worker.name, manager.name
        ))
        .hint(format!(
            "register another one as the manager: `conveyor register-manager --name {} …`",
            quoted(&manager.name)
        ))
        .into());
    }
    refuse_bound(conn, "task", &task.name, "task_id", &task.id)?;
    refuse_bound(conn, "worker", &worker.name, "worker_session_id", &worker.id)?;
    refuse_bound(conn, "manager", &manager.name, "manager_session_id", &manager.id)?;
    refuse_bound_thread(conn, &worker)?;
    let binding = Binding {
        id: new_id("binding"),
        task_id: task.id.clone(),
        worker_session_id: worker.id.clone(),
        manager_session_id: manager.id.clone(),
        state: "active".into(),
        created_at: now_iso(),
        ended_at: None,
    };
    conn.prepare_cached(
        "INSERT INTO bindings (id, task_id, worker_session_id, manager_session_id, state, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        &binding.id,
        &binding.task_id,
        &binding.worker_session_id,
        &binding.manager_session_id,
        &binding.state,
        &binding.created_at,
    ))?;
    turn_facts::take_over(conn, &worker)?;
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "binding_created",
            task_id: Some(&task.id),
            payload: json!({
                "binding_id": binding.id,
                "manager_session": manager.name,
                "task": task.name,
                "worker_session": worker.name,
            }),
            ..Event::default()
        },
    )?;
    Ok(BoundTask { task, binding, worker, manager })
}

fn bindable(conn: &Connection, reference: &str, role: Role) -> Result<Session, StoreError> {
    let session = sessions::get(conn, reference)?;
    if session.role != role {
        return Err(Failure::refused(format!(
            "session {} is a {}, not a {role}",
            session.name, session.role
        ))
        .hint(format!("see the {role}s: `conveyor sessions --role {role}`"))
        .into());
    }
    if !session.is_active() {
        return Err(Failure::refused(format!("session {} is gone", session.name))
            .hint(format!("register it again: `conveyor register-{role} --name {}`", quoted(&session.name)))
            .into());
    }
    Ok(session)
}

/// Sees bindings of agent-conveyor's older workers too: the unique indexes count them.
fn refuse_bound(conn: &Connection, what: &str, name: &str, column: &str, id: &str) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT tasks.name FROM bindings JOIN tasks ON tasks.id = bindings.task_id
         WHERE bindings.{column} = ?1 AND bindings.state IN ('active', 'ending')"
    );
    let task: Option<String> = conn.prepare_cached(&sql)?.query_row([id], |row| row.get(0)).optional()?;
    let Some(task) = task else { return Ok(()) };
    let bound = if what == "task" { String::new() } else { format!(" to task {task}") };
    Err(Failure::refused(format!("{what} {name} is already bound{bound}"))
        .hint(format!("conveyor unbind --task {}", quoted(&task)))
        .into())
}

/// A thread that two bound workers are names of would be told of to only one of their managers.
fn refuse_bound_thread(conn: &Connection, worker: &Session) -> Result<(), StoreError> {
    let other: Option<(String, String)> = conn
        .prepare_cached(
            "SELECT s.name, t.name FROM sessions s
             JOIN bindings b ON b.worker_session_id = s.id AND b.state IN ('active', 'ending')
             JOIN tasks t ON t.id = b.task_id
             WHERE s.codex_session_id = ?1 AND s.codex_session_path = ?2 AND s.id <> ?3 AND s.state = 'active' LIMIT 1",
        )?
        .query_row((&worker.codex_session_id, &worker.codex_session_path, &worker.id), |row| row.try_into())
        .optional()?;
    let Some((name, task)) = other else { return Ok(()) };
    Err(Failure::refused(format!(
        "worker {} is the same Codex session as {name}, which is bound to task {task}",
        worker.name
    ))
    .hint(format!("conveyor unbind --task {}", quoted(&task)))
    .into())
}

/// Ends the live binding of a task.
#[derive(Debug)]
pub struct Unbind {
    /// The task's name or id.
    pub task: String,
}

/// A binding that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The binding's id.
    pub binding_id: String,
    /// When it ended.
    pub ended_at: String,
}

impl Change for Unbind {
    type Out = (tasks::Task, Ended);
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<Self::Out, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        let Some(ended) = end_of_task(tx, &task.id)? else {
            return Err(Failure::refused(format!("task {} has no active binding to end", task.name))
                .hint("see what is bound: `conveyor tasks --active`")
                .into());
        };
        events::record(
            tx,
            &Event {
                actor: "workerctl",
                event_type: "binding_ended",
                task_id: Some(&task.id),
                payload: json!({ "binding_id": ended.binding_id, "task": task.name }),
                ..Event::default()
            },
        )?;
        Ok((task, ended))
    }
}

/// Ends the live binding of a task, if it has one. Records no event.
///
/// # Errors
/// Whatever SQLite answers.
pub fn end_of_task(conn: &Connection, task_id: &str) -> Result<Option<Ended>, StoreError> {
    let ended_at = now_iso();
    let binding_id = conn
        .prepare_cached(
            "UPDATE bindings SET state = 'ended', ended_at = ?2
             WHERE task_id = ?1 AND state IN ('active', 'ending') RETURNING id",
        )?
        .query_row((task_id, &ended_at), |row| row.get(0))
        .optional()?;
    Ok(binding_id.map(|binding_id| Ended { binding_id, ended_at }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{TurnKey, TurnOutcome};
    use crate::store::registration::Deregister;
    use crate::store::testing::TestDb;

    fn database(tasks: &[&str], sessions: &[(&str, Role)]) -> TestDb {
        let mut db = TestDb::new();
        for name in tasks {
            db.task(name);
        }
        for (name, role) in sessions {
            db.session(name, *role);
        }
        db
    }

    fn bind_names(db: &mut TestDb, task: &str, worker: &str, manager: &str) -> Result<BoundTask, String> {
        db.write(Bind { task: task.into(), worker: worker.into(), manager: manager.into() })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn each_of_the_three_is_bound_once() {
        use Role::{Manager, Worker};
        let sessions = [("w1", Worker), ("w2", Worker), ("m1", Manager), ("m2", Manager)];
        let mut db = database(&["t1", "t2"], &sessions);
        let bound = bind_names(&mut db, "t1", "w1", "m1").unwrap();
        assert_eq!(bound, bound_task(&db.conn, "t1").unwrap());
        for (task, worker, manager, expect) in [
            ("t1", "w2", "m2", "task t1 is already bound"),
            ("t2", "w1", "m2", "worker w1 is already bound to task t1"),
            ("t2", "w2", "m1", "manager m1 is already bound to task t1"),
        ] {
            assert_eq!(bind_names(&mut db, task, worker, manager).unwrap_err(), expect);
        }
        db.write(Unbind { task: "t1".into() }).unwrap();
        bind_names(&mut db, "t2", "w1", "m1").unwrap();
        assert_eq!(
            db.texts("SELECT type FROM events WHERE task_id IS NOT NULL ORDER BY id"),
            ["task_created", "task_created", "binding_created", "binding_ended", "binding_created"]
        );
    }

    #[test]
    fn one_codex_session_is_not_both_sides_of_a_task() {
        let mut db = database(&["t1"], &[("w1", Role::Worker), ("m1", Role::Manager)]);
        db.conn
            .execute_batch("UPDATE sessions SET codex_session_id = 'thread', codex_session_path = 'a.jsonl'")
            .unwrap();
        assert_eq!(
            bind_names(&mut db, "t1", "w1", "m1").unwrap_err(),
            "w1 and m1 are the same Codex session"
        );
        db.conn.execute("UPDATE sessions SET codex_session_path = 'b.jsonl' WHERE name = 'm1'", []).unwrap();
        bind_names(&mut db, "t1", "w1", "m1").unwrap();
    }

    #[test]
    fn a_worker_brings_what_nobody_was_told_of_its_thread_under_another_name() {
        use Role::{Manager, Worker};
        let sessions = [
            ("old", Worker),
            ("new", Worker),
            ("other", Worker),
            ("m1", Manager),
            ("m2", Manager),
            ("m3", Manager),
        ];
        let mut db = database(&["t1", "t2", "t3"], &sessions);
        db.conn
            .execute_batch(
                "UPDATE sessions SET codex_session_id = 'thread', codex_session_path = '/r' WHERE name IN ('old', 'new');
                 UPDATE sessions SET codex_session_id = 'elsewhere' WHERE name = 'other'",
            )
            .unwrap();
        let tell = |db: &TestDb, turn: &str| {
            let fact = turn_facts::NewFact {
                session_id: &sessions::get(&db.conn, "old").unwrap().id,
                thread_id: "thread",
                key: &TurnKey::Id(turn.into()),
                outcome: TurnOutcome::Completed,
                event_id: None,
                error: None,
            };
            turn_facts::record(&db.conn, &fact).unwrap();
        };
        let owners = "SELECT turn_key || ' ' || s.name FROM turn_facts f JOIN sessions s ON s.id = f.session_id ORDER BY f.id";
        tell(&db, "told");
        db.conn.execute("UPDATE turn_facts SET routed_at = 'then'", []).unwrap();
        tell(&db, "untold");
        bind_names(&mut db, "t2", "other", "m2").unwrap();
        assert_eq!(db.texts(owners), ["told old", "untold old"]);
        bind_names(&mut db, "t1", "new", "m1").unwrap();
        assert_eq!(db.texts(owners), ["told old", "untold new"]);
        let refused = bind_names(&mut db, "t3", "old", "m3").unwrap_err();
        assert_eq!(refused, "worker old is the same Codex session as new, which is bound to task t1");
        let old = sessions::get(&db.conn, "old").unwrap();
        assert_eq!(turn_facts::take_over(&db.conn, &old).unwrap(), 0, "it is a bound worker's");
    }

    #[test]
    fn only_a_live_task_and_living_sessions_of_the_right_side_are_bound() {
        let mut db =
            database(&["t1", "over"], &[("w1", Role::Worker), ("away", Role::Worker), ("m1", Role::Manager)]);
        db.conn.execute("UPDATE tasks SET state = 'done' WHERE name = 'over'", []).unwrap();
        db.write(Deregister { session: "away".into() }).unwrap().unwrap();
        for (task, worker, manager, expect) in [
            ("over", "w1", "m1", "task over is done"),
            ("nope", "w1", "m1", "task nope does not exist"),
            ("t1", "m1", "m1", "session m1 is a manager, not a worker"),
            ("t1", "w1", "w1", "session w1 is a worker, not a manager"),
            ("t1", "away", "m1", "session away is gone"),
            ("t1", "w1", "nope", "session nope does not exist"),
        ] {
            let error = bind_names(&mut db, task, worker, manager).unwrap_err();
            assert!(error.contains(expect), "{error}");
        }
        assert_eq!(db.number("SELECT count(*) FROM bindings"), 0);
    }

    #[test]
    fn unbinding_needs_a_binding() {
        let mut db = database(&["t1"], &[]);
        assert!(db.write(Unbind { task: "t1".into() }).is_err());
        assert!(db.write(Unbind { task: "nope".into() }).is_err());
        assert!(bound_task(&db.conn, "t1").unwrap_err().to_string().contains("no active binding"));
    }
}
