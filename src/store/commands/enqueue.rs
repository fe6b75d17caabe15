//! Putting a message into the queue.

use rusqlite::Connection;
use serde_json::json;

use super::{Command, NewCommand, insert};
use crate::domain::{Failure, LoopPolicy, Permission, QueuedCommand, permissions};
use crate::store::{Change, StoreError, Topic, decisions, runs, tasks};

/// What every queued command may carry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// Ties it to the other records of the same cause.
    pub correlation_id: Option<String>,
    /// A permission that must be granted when it is carried out.
    pub required_permission: Option<String>,
    /// Makes a repetition harmless: it is refused.
    pub idempotency_key: Option<String>,
}

/// The pass of a loop that a `continue_iteration` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedIteration {
    /// The run that holds the policy, by id or name.
    pub run: String,
    /// Which pass.
    pub iteration: i64,
    /// The manager's decision that asks for it.
    pub manager_decision_id: Option<i64>,
}

/// Queues a message for Dispatch to deliver.
#[derive(Debug)]
pub struct Enqueue {
    /// Which kind; `continue_iteration` needs `iteration`.
    pub command: QueuedCommand,
    /// The task, by id or name.
    pub task: String,
    /// What is delivered.
    pub message: String,
    /// For `continue_iteration` only.
    pub iteration: Option<RequestedIteration>,
    /// What every queued command may carry.
    pub options: QueueOptions,
}

/// A queued command and the policy it is subject to.
#[derive(Debug, Clone, PartialEq)]
pub struct Enqueued {
    /// The row.
    pub command: Command,
    /// Of the run, for `continue_iteration`.
    pub loop_policy: Option<LoopPolicy>,
}

impl Change for Enqueue {
    type Out = Enqueued;
    const TOUCHES: &'static [Topic] = &[Topic::Work];

    fn run(self, tx: &Connection) -> Result<Enqueued, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        refuse_blank(&self.message)?;
        refuse_unknown_permission(self.options.required_permission.as_deref())?;
        let mut payload = json!({ "message": self.message });
        let mut loop_policy = None;
        if let Some(asked) = &self.iteration {
            let policy = runs::loop_policy(tx, &task.id, &asked.run)?;
            policy.check_is_next(asked.iteration)?;
            payload["loop_policy"] = json!(policy);
            payload["ralph_loop"] =
                json!({ "run_id": policy.run_id, "requested_iteration": asked.iteration });
            if let Some(decision_id) = asked.manager_decision_id {
                payload["manager_decision_id"] = decisions::get(tx, &task.id, decision_id)?.id.into();
            }
            loop_policy = Some(policy);
        }
        let command = insert(
            tx,
            NewCommand {
                command_type: self.command.as_str(),
                task_id: Some(&task.id),
                correlation_id: self.options.correlation_id.as_deref(),
                idempotency_key: self.options.idempotency_key.as_deref(),
                required_permission: self.options.required_permission.as_deref(),
                payload,
            },
        )?;
        Ok(Enqueued { command, loop_policy })
    }
}

fn refuse_blank(message: &str) -> Result<(), Failure> {
    if message.trim().is_empty() {
        return Err(
            Failure::usage("nothing was queued: the message is empty").hint("give it with --message TEXT")
        );
    }
    Ok(())
}

fn refuse_unknown_permission(name: Option<&str>) -> Result<(), Failure> {
    match name {
        Some(name) if Permission::named(name).is_none() => {
            Err(permissions::unknown(name).hint("see them all: `conveyor manager-config TASK --questions`"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::domain::ids::new_id;
    use crate::domain::{CommandState, FailureKind};
    use crate::store::testing::TestDb;

    fn nudge(task: &str) -> Enqueue {
        Enqueue {
            command: QueuedCommand::NudgeWorker,
            task: task.into(),
            message: "go on".into(),
            iteration: None,
            options: QueueOptions::default(),
        }
    }

    fn loop_run(db: &TestDb, task_id: &str, name: &str, metadata: Value) -> String {
        let id = new_id("run");
        db.conn
            .execute(
                "INSERT INTO runs (id, task_id, name, purpose, status, started_at, metadata_json)
                 VALUES (?1, ?2, ?3, 'ralph_loop', 'finished', 'now', ?4)",
                (&id, task_id, name, metadata.to_string()),
            )
            .unwrap();
        id
    }

    fn next_pass(task: &str, run: &str, iteration: i64) -> Enqueue {
        let asked = RequestedIteration { run: run.into(), iteration, manager_decision_id: None };
        Enqueue { command: QueuedCommand::ContinueIteration, iteration: Some(asked), ..nudge(task) }
    }

    fn count(db: &TestDb) -> usize {
        db.texts("SELECT id FROM commands").len()
    }

    #[test]
    fn a_queued_message_is_pending_and_known_to_telemetry() {
        let mut db = TestDb::new();
        let task = db.task("one");
        let queued = db.write(nudge("one")).unwrap().command;
        assert_eq!(queued.state, CommandState::Pending);
        assert_eq!(queued.idempotency_key, queued.id);
        assert_eq!(queued.task_id.as_deref(), Some(&*task.id));
        assert!(queued.correlation_id.as_deref().is_some_and(|id| id.starts_with("dispatch-")));
        assert_eq!(queued.payload, json!({"message": "go on"}));
        assert_eq!(
            db.jsons("SELECT correlation_json FROM telemetry_events WHERE event_type = 'command_created'"),
            [
                json!({"command_id": queued.id, "command_type": "nudge_worker", "correlation_id": queued.correlation_id})
            ]
        );
    }

    #[test]
    fn the_callers_ids_are_kept_and_a_repeated_key_queues_nothing() {
        let mut db = TestDb::new();
        db.task("one");
        let options = || QueueOptions {
            correlation_id: Some("corr-1".into()),
            idempotency_key: Some("once".into()),
            required_permission: Some("worker_compact_clear".into()),
        };
        let queued = db.write(Enqueue { options: options(), ..nudge("one") }).unwrap().command;
        assert_eq!(queued.correlation_id.as_deref(), Some("corr-1"));
        assert_eq!(queued.idempotency_key, "once");
        let refused = db.refusal(Enqueue { options: options(), ..nudge("one") });
        assert!(refused.message.contains(&queued.id), "{refused}");
        assert_eq!(count(&db), 1);
    }

    #[test]
    fn what_cannot_be_delivered_is_refused() {
        let mut db = TestDb::new();
        let (one, two) = (db.task("one"), db.task("two"));
        let policy = json!({"kind": "ralph_loop", "current_iteration": 1, "max_iterations": 2});
        loop_run(&db, &one.id, "loop", policy.clone());
        loop_run(&db, &two.id, "of-two", policy);
        loop_run(&db, &one.id, "plain", json!({}));
        let unknown_permission =
            QueueOptions { required_permission: Some("repo.nuke".into()), ..QueueOptions::default() };
        let mut check = |enqueue: Enqueue, kind: FailureKind, says: &str| {
            let refused = db.refusal(enqueue);
            assert_eq!(refused.kind, kind, "{refused}");
            assert!(refused.message.contains(says), "{refused}");
        };
        check(nudge("none"), FailureKind::NotFound, "task none");
        check(Enqueue { message: " \n".into(), ..nudge("one") }, FailureKind::Usage, "empty");
        check(Enqueue { options: unknown_permission, ..nudge("one") }, FailureKind::NotFound, "repo.nuke");
        check(next_pass("one", "nope", 2), FailureKind::NotFound, "run nope");
        check(next_pass("one", "of-two", 2), FailureKind::Refused, "another task");
        check(next_pass("one", "plain", 2), FailureKind::Refused, "no loop policy");
        check(next_pass("one", "loop", 1), FailureKind::Refused, "already under way");
        check(next_pass("one", "loop", 0), FailureKind::Refused, "already under way");
        let decided = RequestedIteration { run: "loop".into(), iteration: 2, manager_decision_id: Some(7) };
        check(Enqueue { iteration: Some(decided), ..nudge("one") }, FailureKind::NotFound, "decision 7");
        assert_eq!(count(&db), 0);
    }

    #[test]
    fn the_next_pass_carries_its_policy() {
        let mut db = TestDb::new();
        let (one, two) = (db.task("one"), db.task("two"));
        let policy =
            json!({"kind": "ralph_loop", "current_iteration": 1, "max_iterations": 2, "template": "t"});
        let run = loop_run(&db, &one.id, "loop", policy.clone());
        loop_run(&db, &two.id, "loop", policy);
        let queued = db.write(next_pass("one", "loop", 2)).unwrap();
        assert_eq!(queued.loop_policy.as_ref().map(|policy| &*policy.run_id), Some(&*run));
        assert_eq!(queued.command.payload["ralph_loop"], json!({"run_id": run, "requested_iteration": 2}));
        assert_eq!(queued.command.payload["loop_policy"], json!(queued.loop_policy));
        assert_eq!(queued.command.payload.get("manager_decision_id"), None);
    }
}
