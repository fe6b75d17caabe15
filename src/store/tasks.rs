//! Tasks: units of supervised work.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use serde_json::json;

use super::events::{self, Event};
use super::{Change, Query, StoreError, Topic};
use crate::domain::{Failure, ids::new_id, name, time::now_iso};

/// A row of `tasks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// `task-<uuid>`.
    pub id: String,
    /// Unique among tasks that are not ended; chosen by a person.
    pub name: String,
    /// What the task is for.
    pub goal: String,
    /// A longer text, when given.
    pub summary: Option<String>,
    /// `candidate`, `managed`, `paused`, `done` or `failed`.
    pub state: String,
    /// When it was created.
    pub created_at: String,
    /// When its row last changed.
    pub updated_at: String,
}

const COLUMNS: &str = "id, name, goal, summary, state, created_at, updated_at";

impl Task {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            goal: row.get(2)?,
            summary: row.get(3)?,
            state: row.get(4)?,
            created_at: row.get(5)?,
            updated_at: row.get(6)?,
        })
    }

    /// Whether it is not done or failed.
    pub fn is_active(&self) -> bool {
        matches!(&*self.state, "candidate" | "managed" | "paused")
    }
}

/// The task that `reference` names: by id, else the newest with that name.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find(conn: &Connection, reference: &str) -> Result<Option<Task>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tasks WHERE id = ?1 OR name = ?1 ORDER BY id = ?1 DESC, rowid DESC LIMIT 1"
    );
    Ok(conn.prepare_cached(&sql)?.query_row([reference], Task::of).optional()?)
}

/// The ids of all tasks that `reference` is the id or the name of.
///
/// # Errors
/// Whatever SQLite answers.
pub fn ids_of(conn: &Connection, reference: &str) -> Result<Vec<String>, StoreError> {
    let ids = conn
        .prepare_cached("SELECT id FROM tasks WHERE id = ?1 OR name = ?1")?
        .query_map([reference], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(ids)
}

/// As [`find`], refusing an unknown name with the nearest known one.
///
/// # Errors
/// `NotFound` when there is no such task.
pub fn get(conn: &Connection, reference: &str) -> Result<Task, StoreError> {
    if let Some(task) = find(conn, reference)? {
        return Ok(task);
    }
    let names: Vec<String> = conn
        .prepare_cached("SELECT name FROM tasks ORDER BY rowid DESC LIMIT 1000")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Err(Failure::unknown_name("task", reference, &names).hint("see what exists: `conveyor tasks`").into())
}

/// Moves a task to another state.
///
/// # Errors
/// Whatever SQLite answers.
pub fn set_state(conn: &Connection, task_id: &str, state: &str) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE tasks SET state = ?2, updated_at = ?3 WHERE id = ?1")?.execute((
        task_id,
        state,
        now_iso(),
    ))?;
    Ok(())
}

/// One task by id or name.
#[derive(Debug)]
pub struct GetTask(pub String);

impl Query for GetTask {
    type Out = Task;

    fn run(self, conn: &Connection) -> Result<Task, StoreError> {
        get(conn, &self.0)
    }
}

/// The id of the task that a reference names.
#[derive(Debug)]
pub struct TaskIdOf(pub String);

impl Query for TaskIdOf {
    type Out = Option<String>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        Ok(find(conn, &self.0)?.map(|task| task.id))
    }
}

/// How often the manager of a task may nudge, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Nudges allowed.
    pub max_nudges: i64,
    /// Nudges spent.
    pub nudges_used: i64,
    /// When the budget ends.
    pub expires_at: String,
}

/// A task as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedTask {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// Its nudge budget, when it has one.
    pub budget: Option<Budget>,
}

/// All tasks, oldest first.
#[derive(Debug)]
pub struct ListTasks {
    /// Only those that are not done or failed.
    pub active_only: bool,
}

impl Query for ListTasks {
    type Out = Vec<ListedTask>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        list(conn, self.active_only)
    }
}

/// As [`ListTasks`], for use inside another query.
///
/// # Errors
/// Whatever SQLite answers.
pub fn list(conn: &Connection, active_only: bool) -> Result<Vec<ListedTask>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, max_nudges, nudges_used, expires_at
         FROM tasks LEFT JOIN budgets ON budgets.task_id = tasks.id
         WHERE NOT ?1 OR state IN ('candidate', 'managed', 'paused') ORDER BY tasks.rowid"
    );
    let listed = |row: &Row<'_>| {
        let budget = match row.get(7)? {
            None => None,
            Some(max_nudges) => {
                Some(Budget { max_nudges, nudges_used: row.get(8)?, expires_at: row.get(9)? })
            }
        };
        Ok(ListedTask { task: Task::of(row)?, budget })
    };
    Ok(conn.prepare_cached(&sql)?.query_map([active_only], listed)?.collect::<Result<_, _>>()?)
}

/// Creates a candidate task.
#[derive(Debug)]
pub struct CreateTask {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub goal: String,
    /// A longer text.
    pub summary: Option<String>,
}

impl Change for CreateTask {
    type Out = Task;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<Task, StoreError> {
        create(tx, self)
    }
}

/// As [`CreateTask`], for use inside another change.
///
/// # Errors
/// A usage failure for a name or goal that is none; `Refused` when an active task has the name.
pub fn create(conn: &Connection, new: CreateTask) -> Result<Task, StoreError> {
    name::check("task", &new.name)?;
    if new.goal.trim().is_empty() {
        return Err(Failure::usage(format!("task {} was not created: its goal is empty", new.name))
            .hint("say what it is for with --goal TEXT")
            .into());
    }
    if let Some(known) = find(conn, &new.name)?.filter(Task::is_active) {
        return Err(Failure::refused(format!("task {} exists already ({})", known.name, known.id))
            .hint("choose another name, or go on with that one")
            .into());
    }
    let now = now_iso();
    let task = Task {
        id: new_id("task"),
        name: new.name,
        goal: new.goal,
        summary: new.summary,
        state: "candidate".into(),
        created_at: now.clone(),
        updated_at: now,
    };
    conn.prepare_cached(
        "INSERT INTO tasks (id, name, goal, summary, state, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        &task.id,
        &task.name,
        &task.goal,
        &task.summary,
        &task.state,
        &task.created_at,
        &task.updated_at,
    ))?;
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "task_created",
            task_id: Some(&task.id),
            payload: json!({ "goal": task.goal, "name": task.name, "state": task.state }),
            ..Event::default()
        },
    )?;
    Ok(task)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    fn create_named(db: &mut TestDb, name: &str, goal: &str) -> Result<Task, StoreError> {
        db.write(CreateTask { name: name.into(), goal: goal.into(), summary: None })
    }

    #[test]
    fn a_name_means_one_active_task_and_the_newest_of_the_ended_ones() {
        let mut db = TestDb::new();
        let first = create_named(&mut db, "t1", "g").unwrap();
        assert!(create_named(&mut db, "t1", "again").is_err());
        db.conn.execute("UPDATE tasks SET state = 'done'", []).unwrap();
        let second = create_named(&mut db, "t1", "again").unwrap();
        assert_eq!(get(&db.conn, "t1").unwrap(), second);
        assert_eq!(get(&db.conn, &first.id).unwrap().goal, "g");
        assert_eq!(db.texts("SELECT type FROM events"), ["task_created", "task_created"]);
    }

    #[test]
    fn a_task_needs_a_name_and_a_goal() {
        let mut db = TestDb::new();
        for (name, goal) in [("", "g"), ("t1", " "), ("-t", "g")] {
            assert!(create_named(&mut db, name, goal).is_err(), "{name:?} {goal:?}");
        }
        assert_eq!(db.number("SELECT count(*) FROM tasks"), 0);
    }

    #[test]
    fn the_list_shows_budgets_and_can_leave_out_what_has_ended() {
        let mut db = TestDb::new();
        let first = create_named(&mut db, "t1", "g").unwrap();
        create_named(&mut db, "t2", "g").unwrap();
        db.conn
            .execute("INSERT INTO budgets VALUES (?1, 3, 1, '2026-01-01T00:00:00Z')", [&first.id])
            .unwrap();
        db.conn.execute("UPDATE tasks SET state = 'failed' WHERE name = 't2'", []).unwrap();
        let all = db.read(ListTasks { active_only: false });
        assert_eq!(all.len(), 2);
        let expires_at = "2026-01-01T00:00:00Z".to_owned();
        assert_eq!(all[0].budget, Some(Budget { max_nudges: 3, nudges_used: 1, expires_at }));
        let active = db.read(ListTasks { active_only: true });
        assert_eq!(active, all[..1]);
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let mut db = TestDb::new();
        create_named(&mut db, "auth-refactor", "g").unwrap();
        let StoreError::Refused(failure) = get(&db.conn, "auth-refector").unwrap_err() else {
            panic!("no refusal")
        };
        assert_eq!(failure.hints[0], "did you mean auth-refactor?");
    }
}
