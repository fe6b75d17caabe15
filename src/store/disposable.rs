//! A task with a pair of sessions that nobody runs for it: made in one step, for a bounded loop.

use rusqlite::Connection;
use serde_json::json;

use super::bindings::{self, Bind, Binding};
use super::events::{self, Event};
use super::registration::{Register, register};
use super::runs::Run;
use super::sessions::LinkedSession;
use super::tasks::{self, CreateTask, Task};
use super::{Change, StoreError, Topic, loop_runs};
use crate::domain::loop_templates::NewLoop;

/// The state of a task whose pair was made for it.
const MANAGED: &str = "managed";

/// Makes the task where it is missing, registers both sessions, binds them, and makes a run for the
/// loop's policy. All of it or nothing.
#[derive(Debug, Clone)]
pub struct CreateDisposable {
    /// The task, by id or name; a missing one gets this name.
    pub task: String,
    /// What a missing task is for.
    pub goal: String,
    /// A longer text for a missing task.
    pub summary: Option<String>,
    /// The worker's session.
    pub worker: Register,
    /// The manager's session.
    pub manager: Register,
    /// The policy of the loop, where there is to be one.
    pub new_loop: Option<NewLoop>,
    /// The name of its run.
    pub run_name: Option<String>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Disposable {
    /// The task, now managed.
    pub task: Task,
    /// It was made here.
    pub task_created: bool,
    /// The binding.
    pub binding: Binding,
    /// The worker.
    pub worker: LinkedSession,
    /// The manager.
    pub manager: LinkedSession,
    /// The run that holds the loop's policy.
    pub run: Option<Run>,
}

impl Change for CreateDisposable {
    type Out = Disposable;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions, Topic::Work];

    fn run(self, tx: &Connection) -> Result<Disposable, StoreError> {
        let known = tasks::find(tx, &self.task)?;
        let task_created = known.is_none();
        let task = match known {
            Some(task) => task,
            None => {
                tasks::create(tx, CreateTask { name: self.task, goal: self.goal, summary: self.summary })?
            }
        };
        let worker = register(tx, self.worker)?;
        let manager = register(tx, self.manager)?;
        let bind = Bind {
            task: task.id.clone(),
            worker: worker.session.id.clone(),
            manager: manager.session.id.clone(),
        };
        let binding = bindings::bind(tx, &bind)?.binding;
        tasks::set_state(tx, &task.id, MANAGED)?;
        let task = tasks::get(tx, &task.id)?;
        let run_name = self.run_name.as_deref();
        let run = match &self.new_loop {
            Some(new_loop) => Some(loop_runs::create(tx, &task, run_name, new_loop)?),
            None => None,
        };
        let made = Disposable { task, task_created, binding, worker, manager, run };
        tell(tx, &made)?;
        Ok(made)
    }
}

fn tell(conn: &Connection, made: &Disposable) -> Result<(), StoreError> {
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "disposable_binding_created",
            task_id: Some(&made.task.id),
            payload: json!({
                "binding_id": made.binding.id,
                "manager_session": made.manager.session.name,
                "run_id": made.run.as_ref().map(|run| &run.id),
                "task_created": made.task_created,
                "worker_session": made.worker.session.name,
            }),
            ..Event::default()
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Recipe, Role};
    use crate::store::session_links::Link;
    use crate::store::testing::{TestDb, builtin_template};

    fn session(name: &str, role: Role) -> Register {
        Register {
            name: name.into(),
            role,
            pid: None,
            cwd: "/repo".into(),
            tmux_session: None,
            tmux_pane_id: None,
            codex_session_path: Some(format!("/rollouts/{name}.jsonl")),
            codex_session_id: Some(format!("codex-{name}")),
            link: Link::new(Recipe::Given),
        }
    }

    fn create(task: &str) -> CreateDisposable {
        CreateDisposable {
            task: task.into(),
            goal: "Ship it".into(),
            summary: None,
            worker: session(&format!("{task}-worker"), Role::Worker),
            manager: session(&format!("{task}-manager"), Role::Manager),
            new_loop: Some(NewLoop {
                template: Some(builtin_template("build_then_clear")),
                ..NewLoop::default()
            }),
            run_name: Some("loop".into()),
        }
    }

    #[test]
    fn everything_is_made_in_one_step() {
        let mut db = TestDb::new();
        let made = db.write(create("one")).unwrap();
        assert_eq!((made.task_created, &*made.task.state), (true, "managed"));
        assert_eq!(made.binding.worker_session_id, made.worker.session.id);
        assert_eq!(made.run.unwrap().name, "loop");
        assert_eq!(
            db.texts("SELECT type FROM events WHERE task_id IS NOT NULL ORDER BY id"),
            ["task_created", "binding_created", "run_created", "disposable_binding_created"]
        );
    }

    #[test]
    fn a_task_that_is_there_is_used() {
        let mut db = TestDb::new();
        let task = db.task("one");
        let made = db.write(CreateDisposable { new_loop: None, ..create("one") }).unwrap();
        assert_eq!((made.task_created, made.task.id, made.run), (false, task.id, None));
    }

    #[test]
    fn a_refusal_leaves_nothing() {
        let mut db = TestDb::new();
        db.write(create("one")).unwrap();
        let rows =
            "SELECT name FROM sessions UNION ALL SELECT name FROM tasks UNION ALL SELECT id FROM bindings";
        let before = db.texts(rows);
        let mut again = create("one");
        again.worker = session("another-worker", Role::Worker);
        again.manager = session("another-manager", Role::Manager);
        assert!(db.refusal(again).message.contains("already bound"));
        let over = NewLoop { max_iterations: Some(1), current_iteration: 2, ..NewLoop::default() };
        db.refusal(CreateDisposable { new_loop: Some(over), ..create("two") });
        assert_eq!(db.texts(rows), before);
    }
}
