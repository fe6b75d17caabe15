//! Runs that hold a loop policy.

use rusqlite::Connection;
use serde_json::json;

use super::events::{self, Event};
use super::runs::{self, Run};
use super::tasks::{self, Task};
use super::{Change, StoreError};
use crate::domain::ids::new_id;
use crate::domain::loop_templates::NewLoop;
use crate::domain::name;
use crate::domain::time::now_iso;

/// Makes a run that holds a loop policy. It is stored as finished, so that it never stands in the
/// way of the task's active run.
///
/// # Errors
/// When the policy makes no sense.
pub fn create(conn: &Connection, task: &Task, name: Option<&str>, new: &NewLoop) -> Result<Run, StoreError> {
    let metadata = new.metadata()?;
    let (id, now) = (new_id("run"), now_iso());
    let name =
        name.map_or_else(|| format!("{}-ralph-loop-{}", task.name, runs::compact(&now)), str::to_owned);
    name::check("run", &name)?;
    conn.prepare_cached(
        "INSERT INTO runs (id, task_id, name, purpose, status, started_at, ended_at, metadata_json)
         VALUES (?1, ?2, ?3, 'ralph_loop', 'finished', ?4, ?4, ?5)",
    )?
    .execute((&id, &task.id, &name, &now, metadata.to_string()))?;
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "run_created",
            task_id: Some(&task.id),
            payload: json!({ "name": name, "purpose": "ralph_loop", "run_id": id }),
            ..Event::default()
        },
    )?;
    runs::get(conn, &id)
}

/// [`create`] for a task named by a person.
#[derive(Debug)]
pub struct CreateLoop {
    /// The task, by id or name.
    pub task: String,
    /// The run's name; otherwise one is made up.
    pub name: Option<String>,
    /// The policy.
    pub new: NewLoop,
}

impl Change for CreateLoop {
    type Out = Run;

    fn run(self, tx: &Connection) -> Result<Run, StoreError> {
        create(tx, &tasks::get(tx, &self.task)?, self.name.as_deref(), &self.new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FailureKind;
    use crate::store::testing::{TestDb, builtin_template};

    fn create_in(task: &str, name: Option<&str>) -> CreateLoop {
        let new = NewLoop { template: Some(builtin_template("build_then_clear")), ..NewLoop::default() };
        CreateLoop { task: task.into(), name: name.map(Into::into), new }
    }

    #[test]
    fn a_loop_is_found_by_id_and_by_name_its_own_tasks_first() {
        let mut db = TestDb::new();
        let (one, two) = (db.task("one"), db.task("two"));
        let of_one = db.write(create_in("one", Some("loop"))).unwrap();
        let of_two = db.write(create_in("two", Some("loop"))).unwrap();
        assert_eq!((of_one.status.as_str(), of_one.ended_at.is_some()), ("finished", true));
        let find =
            |task: &Task, name: &str| runs::loop_policy(&db.conn, &task.id, name).map(|policy| policy.run_id);
        assert_eq!(find(&one, "loop").unwrap(), of_one.id);
        assert_eq!(find(&two, "loop").unwrap(), of_two.id);
        assert_eq!(find(&two, &of_two.id).unwrap(), of_two.id);
        assert!(find(&two, &of_one.id).is_err());
    }

    #[test]
    fn a_name_is_made_up_and_a_refusal_leaves_nothing() {
        let mut db = TestDb::new();
        db.task("one");
        assert!(db.write(create_in("one", None)).unwrap().name.starts_with("one-ralph-loop-2"));
        let new = NewLoop { max_iterations: Some(1), current_iteration: 2, ..NewLoop::default() };
        let refused = db.refusal(CreateLoop { task: "one".into(), name: None, new });
        assert_eq!(refused.kind, FailureKind::Usage);
        assert_eq!(db.texts("SELECT id FROM runs").len(), 1);
    }
}
