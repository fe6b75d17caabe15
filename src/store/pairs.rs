//! Pairs: a task with a worker, a manager, their binding and a run, made in steps that are told of.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::bindings::{self, Bind, Binding};
use super::criteria::{self, NewCriterion};
use super::events::{self, Event};
use super::launches::refuse_taken;
use super::manager_config::{self, ConfigChange};
use super::runs::{self, CreateRun};
use super::sessions::Session;
use super::tasks::{self, CreateTask, Task};
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, Query, StoreError, Topic};
use crate::domain::criteria::{CriterionSource, CriterionStatus};
use crate::domain::shell::quoted;
use crate::domain::{Failure, Role};

/// A pair to be made.
#[derive(Debug, Clone, Default)]
pub struct NewPair {
    /// The task, by name or id.
    pub task: String,
    /// What the task is for, should it have to be created.
    pub goal: Option<String>,
    /// A longer text, likewise.
    pub summary: Option<String>,
    /// The worker's name.
    pub worker: String,
    /// The manager's name.
    pub manager: String,
    /// What to settle in the task's supervision contract.
    pub config: ConfigChange,
}

/// What a pair stands on, before its sessions are started.
#[derive(Debug, Clone, PartialEq)]
pub struct Ground {
    /// The task.
    pub task: Task,
    /// Whether it was created for this.
    pub created: bool,
    /// Whether its supervision contract was made or changed for this.
    pub configured: bool,
    /// A sentence for each permission that was given but is none.
    pub warnings: Vec<String>,
    /// How many acceptance criteria are new.
    pub criteria_added: usize,
}

/// Finds or creates a pair's task and settles its contract. Refused when the task is bound, or a
/// name is taken, so that no session is started in vain.
#[derive(Debug)]
pub struct PreparePair(pub NewPair);

impl Change for PreparePair {
    type Out = Ground;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<Ground, StoreError> {
        let Self(pair) = self;
        let known = look(tx, &pair)?;
        let created = known.is_none();
        let task = match known {
            Some(task) => task,
            None => tasks::create(
                tx,
                CreateTask {
                    name: pair.task.clone(),
                    goal: pair.goal.clone().unwrap_or_default(),
                    summary: pair.summary.clone(),
                },
            )?,
        };
        let step = |step: &str, attributes: Value| tell(tx, &pair, Some(&task.id), step, attributes);
        step("started", json!({}))?;
        step("task_resolved", json!({ "created": created, "task": task.name }))?;
        let before = manager_config::find(tx, &task.id)?;
        let settled = manager_config::configure(tx, &task, &pair.config)?;
        let configured = before.as_ref() != Some(&settled.config);
        let criteria_added = seed_criteria(tx, &task, &pair.config.acceptance_criteria)?;
        let revision = settled.config.revision;
        let seeded = json!({ "changed": configured, "criteria": criteria_added, "revision": revision });
        step("manager_config_seeded", seeded)?;
        Ok(Ground { task, created, configured, warnings: settled.warnings, criteria_added })
    }
}

/// The task of a pair that could be made, when it exists already.
#[derive(Debug)]
pub struct TryPair(pub NewPair);

impl Query for TryPair {
    type Out = Option<Task>;

    fn run(self, conn: &Connection) -> Result<Option<Task>, StoreError> {
        look(conn, &self.0)
    }
}

/// The task that is there already; `None` for one that is to be created.
fn look(conn: &Connection, pair: &NewPair) -> Result<Option<Task>, StoreError> {
    if pair.worker == pair.manager {
        return Err(
            Failure::usage(format!("the worker and the manager are both called {}", pair.worker)).into()
        );
    }
    let known = tasks::find(conn, &pair.task)?;
    let task = match (known, &pair.goal) {
        (Some(task), _) if task.is_active() => Some(task),
        (_, Some(_)) => None,
        (Some(task), None) => {
            return Err(Failure::refused(format!("task {} is {}", task.name, task.state))
                .hint("give --task-goal to create a new one of that name")
                .into());
        }
        (None, None) => {
            return Err(Failure::not_found(format!("task {} does not exist", pair.task))
                .hint("give --task-goal to create it")
                .hint("see what exists: `conveyor tasks`")
                .into());
        }
    };
    if let Some(task) = &task
        && bindings::live_of_task(conn, &task.id)?.is_some()
    {
        return Err(Failure::refused(format!("task {} is already bound", task.name))
            .hint(format!("conveyor unbind --task {}", quoted(&task.name)))
            .into());
    }
    for (name, role) in [(&pair.worker, Role::Worker), (&pair.manager, Role::Manager)] {
        refuse_taken(conn, name, role).map_err(|error| named(error, name))?;
    }
    Ok(task)
}

fn named(error: StoreError, name: &str) -> StoreError {
    match error {
        StoreError::Refused(failure) => StoreError::Refused(Failure {
            message: format!("session {name}: {}", failure.message),
            ..failure
        }),
        error => error,
    }
}

/// Adds what must be true at the end to the task's criteria, unless it is among them already.
fn seed_criteria(conn: &Connection, task: &Task, texts: &[String]) -> Result<usize, StoreError> {
    let known = criteria::of_task(conn, &task.id)?;
    let is_new = |text: &&String| !known.iter().any(|criterion| criterion.criterion == **text);
    let mut added = 0;
    for text in texts.iter().filter(is_new) {
        let new = NewCriterion {
            criterion: text.clone(),
            source: CriterionSource::UserRequested,
            status: CriterionStatus::Accepted,
            proof: None,
            rationale: None,
            evidence: serde_json::Map::new(),
        };
        criteria::add(conn, task, &new)?;
        added += 1;
    }
    if added > 0 {
        events::record(
            conn,
            &Event {
                actor: "workerctl",
                event_type: "manager_acceptance_criteria_seeded",
                task_id: Some(&task.id),
                payload: json!({ "count": added }),
                ..Event::default()
            },
        )?;
    }
    Ok(added)
}

/// Tells that one of a pair's sessions runs.
#[derive(Debug)]
pub struct TellSpawned {
    /// The pair.
    pub pair: NewPair,
    /// Its task's id.
    pub task_id: String,
    /// The session.
    pub session: Session,
}

impl Change for TellSpawned {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        let Session { id, role, tmux_session, .. } = &self.session;
        let attributes = json!({ "session_id": id, "tmux_session": tmux_session });
        tell(tx, &self.pair, Some(&self.task_id), &format!("{role}_spawned"), attributes)
    }
}

/// Ties a pair together and begins its run.
#[derive(Debug)]
pub struct CompletePair {
    /// The pair.
    pub pair: NewPair,
    /// Its task's id.
    pub task_id: String,
}

impl Change for CompletePair {
    /// The binding, and the id of the task's active run.
    type Out = (Binding, String);
    const TOUCHES: &'static [Topic] = &[Topic::Sessions, Topic::Work];

    fn run(self, tx: &Connection) -> Result<Self::Out, StoreError> {
        let Self { pair, task_id } = self;
        let step = |step: &str, attributes: Value| tell(tx, &pair, Some(&task_id), step, attributes);
        let bind = Bind { task: task_id.clone(), worker: pair.worker.clone(), manager: pair.manager.clone() };
        let binding = bindings::bind(tx, &bind)?.binding;
        step("binding_created", json!({ "binding_id": binding.id }))?;
        let run_id = match runs::active_of_task(tx, &task_id)? {
            Some(run_id) => run_id,
            None => {
                let new = CreateRun {
                    task: task_id.clone(),
                    name: Some(format!("{task_id}-pair")),
                    purpose: Some("pair".to_owned()),
                    metadata: json!({}),
                };
                let run_id = runs::create(tx, new)?.id;
                step("run_created", json!({ "run_id": run_id }))?;
                run_id
            }
        };
        Ok((binding, run_id))
    }
}

/// Tells that a pair was not made.
#[derive(Debug)]
pub struct TellPairFailed {
    /// The pair.
    pub pair: NewPair,
    /// Its task's id, when it got that far.
    pub task_id: Option<String>,
    /// The task was made for this pair, and nobody works on it.
    pub gives_up_task: bool,
    /// Why.
    pub failure: Failure,
}

impl Change for TellPairFailed {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        if let Some(task_id) = self.task_id.as_deref().filter(|_| self.gives_up_task) {
            give_up(tx, task_id, &self.failure)?;
        }
        let attributes = json!({ "error": self.failure.message, "kind": self.failure.kind });
        tell(tx, &self.pair, self.task_id.as_deref(), "failed", attributes)
    }
}

/// Its name is free again, and what happened stays on record.
fn give_up(conn: &Connection, task_id: &str, failure: &Failure) -> Result<(), StoreError> {
    tasks::set_state(conn, task_id, "failed")?;
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "task_given_up",
            task_id: Some(task_id),
            payload: json!({ "error": failure.message }),
            ..Event::default()
        },
    )?;
    Ok(())
}

/// One telemetry event, `pair_<step>`.
fn tell(
    conn: &Connection,
    pair: &NewPair,
    task_id: Option<&str>,
    step: &str,
    attributes: Value,
) -> Result<(), StoreError> {
    let severity = if step == "failed" { Severity::Error } else { Severity::Info };
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Workerctl,
            event_type: &format!("pair_{step}"),
            severity,
            summary: &format!("pair of {} and {}: {}", pair.worker, pair.manager, step.replace('_', " ")),
            task_id,
            run_id: None,
            correlation: json!({ "manager": pair.manager, "task_id": task_id, "worker": pair.worker }),
            attributes,
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Recipe;
    use crate::store::launches::RegisterStarted;
    use crate::store::registration::Register;
    use crate::store::session_links::Link;
    use crate::store::testing::TestDb;

    fn pair() -> NewPair {
        NewPair {
            task: "t1".into(),
            goal: Some("Ship it".into()),
            worker: "w1".into(),
            manager: "m1".into(),
            config: ConfigChange {
                acceptance_criteria: vec!["tests pass".into()],
                permits: vec!["repo.fly".into()],
                ..ConfigChange::default()
            },
            ..NewPair::default()
        }
    }

    fn register(db: &mut TestDb, name: &str, role: Role) -> Session {
        let new = Register {
            name: name.into(),
            role,
            pid: Some(7),
            cwd: "/w".into(),
            tmux_session: None,
            tmux_pane_id: None,
            codex_session_path: None,
            codex_session_id: None,
            link: Link::new(Recipe::Given),
        };
        db.write(RegisterStarted { session: new, launch_id: "launch-1".into() }).unwrap().session
    }

    #[test]
    fn a_pair_is_made_step_by_step() {
        let mut db = TestDb::new();
        let ground = db.write(PreparePair(pair())).unwrap();
        assert!(ground.created && ground.configured);
        assert_eq!((ground.criteria_added, ground.warnings.len()), (1, 1));
        let task_id = ground.task.id.clone();
        for (name, role) in [("w1", Role::Worker), ("m1", Role::Manager)] {
            let session = register(&mut db, name, role);
            db.write(TellSpawned { pair: pair(), task_id: task_id.clone(), session }).unwrap();
        }
        let (binding, run_id) = db.write(CompletePair { pair: pair(), task_id: task_id.clone() }).unwrap();
        assert_eq!(db.texts("SELECT id FROM bindings WHERE state = 'active'"), [binding.id]);
        assert_eq!(db.texts("SELECT id || name FROM runs"), [format!("{run_id}{task_id}-pair")]);
        let steps =
            db.texts("SELECT event_type FROM telemetry_events WHERE event_type LIKE 'pair_%' ORDER BY rowid");
        let expect = [
            "started",
            "task_resolved",
            "manager_config_seeded",
            "worker_spawned",
            "manager_spawned",
            "binding_created",
            "run_created",
        ];
        assert_eq!(steps, expect.map(|step| format!("pair_{step}")));
        assert_eq!(db.texts("SELECT status || source FROM acceptance_criteria"), ["accepteduser_requested"]);
    }

    #[test]
    fn what_is_there_already_stays() {
        let mut db = TestDb::new();
        db.write(PreparePair(pair())).unwrap();
        let again = db.write(PreparePair(NewPair { goal: None, ..pair() })).unwrap();
        assert!(!again.created && !again.configured && again.criteria_added == 0);
        assert_eq!(db.number("SELECT count(*) FROM tasks"), 1);
        assert_eq!(db.number("SELECT revision FROM manager_configs"), 1);
    }

    #[test]
    fn a_pair_that_cannot_be_is_refused_before_anything_is_made() {
        let mut db = TestDb::new();
        let check = |db: &mut TestDb, pair: NewPair, expect: &str| {
            let error = db.write(PreparePair(pair)).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(&mut db, NewPair { goal: None, ..pair() }, "task t1 does not exist");
        check(&mut db, NewPair { manager: "w1".into(), ..pair() }, "both called w1");
        register(&mut db, "w1", Role::Worker);
        check(&mut db, pair(), "session w1: one of that name is registered");
        assert_eq!(db.number("SELECT count(*) FROM tasks"), 0);

        let free = NewPair { worker: "w2".into(), ..pair() };
        let ground = db.write(PreparePair(free.clone())).unwrap();
        register(&mut db, "w2", Role::Worker);
        register(&mut db, "m1", Role::Manager);
        db.write(CompletePair { pair: free.clone(), task_id: ground.task.id.clone() }).unwrap();
        let other = NewPair { worker: "w3".into(), manager: "m3".into(), ..free };
        check(&mut db, other.clone(), "task t1 is already bound");
        db.conn
            .execute_batch("UPDATE bindings SET state = 'ended'; UPDATE tasks SET state = 'done'")
            .unwrap();
        check(&mut db, NewPair { goal: None, ..other.clone() }, "task t1 is done");
        assert!(db.write(PreparePair(other)).unwrap().created);
    }

    #[test]
    fn a_failure_is_told() {
        let mut db = TestDb::new();
        let failure = Failure::external("no tmux");
        db.write(TellPairFailed { pair: pair(), task_id: None, gives_up_task: false, failure }).unwrap();
        let sql = "SELECT event_type || severity || (attributes_json ->> '$.error') FROM telemetry_events";
        assert_eq!(db.texts(sql), ["pair_failederrorno tmux"]);
    }

    #[test]
    fn a_task_that_was_made_in_vain_has_failed_and_its_name_is_free() {
        let mut db = TestDb::new();
        let ground = db.write(PreparePair(pair())).unwrap();
        for (gives_up_task, state) in [(false, "candidate"), (true, "failed")] {
            let (task_id, failure) = (Some(ground.task.id.clone()), Failure::external("no tmux"));
            db.write(TellPairFailed { pair: pair(), task_id, gives_up_task, failure }).unwrap();
            assert_eq!(db.texts("SELECT state FROM tasks"), [state]);
        }
        assert_eq!(
            db.texts("SELECT payload_json ->> '$.error' FROM events WHERE type = 'task_given_up'"),
            ["no tmux"]
        );
        assert!(db.write(PreparePair(pair())).unwrap().created);
    }
}
