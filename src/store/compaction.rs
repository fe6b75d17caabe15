//! Asking a worker to compact or clear its context: allowed or refused first, and on record either way.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::commands::{self, NewCommand, Outcome};
use super::decision_check::{self, DecisionCheck};
use super::decisions;
use super::events::record_of_command;
use super::manager_permission::{self, ActionCheck};
use super::tasks::Task;
use super::{Change, StoreError, bindings};
use crate::domain::shell::quoted;
use crate::domain::slash::SlashCommand;
use crate::domain::{Decision, Failure};

/// The permission that it needs, by the name that stands for both of them.
const PERMISSION: &str = "worker_compact_clear";

/// The type of the command's row.
const COMMAND: &str = "request_worker_compact";

/// The decision that covers a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cover {
    /// One to be recorded now, for this reason.
    New {
        /// Why.
        reason: String,
        /// The observation cycle it is based on.
        cycle_id: Option<i64>,
    },
    /// One on record, if any. Without `strict`, a decision that does not cover it is only told of.
    Named {
        /// Which.
        id: Option<i64>,
        /// Refuse without one that covers it.
        strict: bool,
    },
}

/// Checks whether a worker may be asked, and records that it is going to be.
#[derive(Debug, Clone)]
pub struct BeginCompaction {
    /// The task, by id or name.
    pub task: String,
    /// The decision.
    pub cover: Cover,
    /// The command for Codex; none to send the message instead.
    pub slash_command: Option<SlashCommand>,
    /// What it is about, in words.
    pub message: String,
}

/// A request that was allowed: the answer of the commands so far, and the result of their row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compaction {
    /// The command row.
    pub command_id: String,
    /// Whether a decision covers it.
    pub manager_decision: DecisionCheck,
    /// What it is about, in words.
    pub message: String,
    /// Whether the contract allows it.
    pub permission_check: ActionCheck,
    /// What is sent.
    pub send_text: String,
    /// The same, when it is a command for Codex.
    pub slash_command: Option<SlashCommand>,
    /// The task's name.
    pub task: String,
    /// The worker's session.
    pub worker_session: String,
}

impl Change for BeginCompaction {
    /// The inner failure is a refusal that was recorded.
    type Out = Result<Compaction, Failure>;

    fn run(self, tx: &Connection) -> Result<Self::Out, StoreError> {
        let bound = bindings::bound_task(tx, &self.task)?;
        let (manager_decision, strict) = self.decide(tx, &bound.task)?;
        let permission_check = manager_permission::check(tx, &bound.task, PERMISSION, true)?;
        let send_text = self.slash_command.map_or(self.message.clone(), |command| command.to_string());
        let mut compaction = Compaction {
            command_id: String::new(),
            manager_decision,
            message: self.message,
            permission_check,
            send_text,
            slash_command: self.slash_command,
            task: bound.task.name.clone(),
            worker_session: bound.worker.name,
        };
        compaction.command_id = insert(tx, &bound.task.id, &compaction)?;
        if let Some(refusal) = compaction.refusal(strict) {
            compaction.refuse(tx, &bound.task.id, &refusal)?;
            return Ok(Err(refusal));
        }
        record_of_command(
            tx,
            &bound.task.id,
            &compaction.command_id,
            "worker_compact_requested",
            json!(compaction),
        )?;
        Ok(Ok(compaction))
    }
}

impl BeginCompaction {
    fn decide(&self, conn: &Connection, task: &Task) -> Result<(DecisionCheck, bool), StoreError> {
        let (id, strict) = match &self.cover {
            Cover::Named { id, strict } => (*id, *strict),
            Cover::New { reason, .. } if reason.trim().is_empty() => {
                return Err(Failure::usage(format!(
                    "the worker of task {} was not asked for anything: the reason is empty",
                    task.name
                ))
                .hint(format!("say why: `conveyor compact-worker {} --reason WHY`", quoted(&task.name)))
                .into());
            }
            Cover::New { reason, cycle_id } => {
                if let Some(cycle_id) = cycle_id {
                    decisions::refuse_foreign_cycle(conn, task, *cycle_id)?;
                }
                let source = json!({ "slash_command": self.slash_command, "source": "compact-worker" });
                let payload = source.as_object().cloned().unwrap_or_default();
                let decision =
                    decisions::record(conn, &task.id, Decision::Nudge, reason, *cycle_id, payload)?;
                (Some(decision.id), true)
            }
        };
        Ok((decision_check::check(conn, &task.id, id, &[Decision::Nudge])?, strict))
    }
}

fn insert(conn: &Connection, task_id: &str, compaction: &Compaction) -> Result<String, StoreError> {
    let mut payload = object(json!(compaction));
    payload.remove("command_id");
    let command = NewCommand {
        command_type: COMMAND,
        task_id: Some(task_id),
        correlation_id: None,
        idempotency_key: None,
        required_permission: None,
        payload: Value::Object(payload),
    };
    let id = commands::insert(conn, command)?.id;
    commands::attempt(conn, &id)?;
    Ok(id)
}

impl Compaction {
    /// Why the worker may not be asked.
    fn refusal(&self, strict: bool) -> Option<Failure> {
        let (task, worker) = (&self.task, &self.worker_session);
        let refused = |why: &str| {
            Failure::refused(format!("worker {worker} of task {task} was not sent {}: {why}", self.what()))
        };
        if strict && !self.manager_decision.ok {
            let doubts: Vec<&str> =
                self.manager_decision.warnings.iter().map(|doubt| doubt.as_str()).collect();
            return Some(refused(&format!("no decision covers it ({})", doubts.join(", "))).hint(format!(
                "record one and name its id: `conveyor record-decision {} nudge --reason WHY`, then --decision-id ID",
                quoted(task)
            )));
        }
        let reasons = &self.permission_check.reasons;
        if reasons.is_empty() {
            return None;
        }
        let words: Vec<&str> = reasons.iter().map(|reason| reason.as_str()).collect();
        let refusal = refused(&format!("{PERMISSION} is not allowed ({})", words.join(", ")));
        Some(self.permission_check.hints(task).into_iter().fold(refusal, Failure::hint))
    }

    /// What is sent, in a word.
    pub fn what(&self) -> &'static str {
        self.slash_command.map_or("the message", SlashCommand::as_str)
    }

    fn refuse(&self, conn: &Connection, task_id: &str, refusal: &Failure) -> Result<(), StoreError> {
        let result = json!({
            "command_id": self.command_id,
            "error": refusal.message,
            "expected_failure": true,
            "failure_stage": "preflight",
            "manager_decision": self.manager_decision,
            "permission_check": self.permission_check,
            "task": self.task,
            "worker_session": self.worker_session,
        });
        fail(conn, task_id, &self.command_id, &refusal.message, result)
    }
}

/// Records how the sending went.
#[derive(Debug)]
pub struct EndCompaction {
    /// The request.
    pub compaction: Compaction,
    /// It was only tried out.
    pub dry_run: bool,
    /// What was sent, or why it was not.
    pub sent: Result<Value, Failure>,
}

impl Change for EndCompaction {
    /// The request with what came of it.
    type Out = Value;

    fn run(self, tx: &Connection) -> Result<Value, StoreError> {
        let task = super::tasks::get(tx, &self.compaction.task)?;
        let id = self.compaction.command_id.clone();
        let mut result = object(json!(self.compaction));
        result.insert("dry_run".into(), self.dry_run.into());
        result.insert("sent".into(), (self.sent.is_ok() && !self.dry_run).into());
        match self.sent {
            Ok(send_result) => {
                result.insert("send_result".into(), send_result);
                let result = Value::Object(result);
                commands::settle(tx, &id, &Outcome::Succeeded(result.clone()))?;
                record_of_command(tx, &task.id, &id, "worker_compact_request_succeeded", result.clone())?;
                Ok(result)
            }
            Err(failure) => {
                result.insert("error".into(), failure.message.clone().into());
                result.insert("error_type".into(), json!(failure.kind));
                result.insert("failure_stage".into(), "send".into());
                let result = Value::Object(result);
                fail(tx, &task.id, &id, &failure.message, result.clone())?;
                Ok(result)
            }
        }
    }
}

fn fail(
    conn: &Connection,
    task_id: &str,
    command_id: &str,
    error: &str,
    result: Value,
) -> Result<(), StoreError> {
    record_of_command(conn, task_id, command_id, "worker_compact_request_failed", result.clone())?;
    commands::settle(conn, command_id, &Outcome::Failed { error: error.to_owned(), result })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::handoffs::RecordHandoff;
    use crate::store::manager_config::{ConfigChange, Configure};
    use crate::store::testing::TestDb;

    fn begin(cover: Cover) -> BeginCompaction {
        BeginCompaction {
            task: "t1".into(),
            cover,
            slash_command: Some(SlashCommand::Compact),
            message: "sum up".into(),
        }
    }

    fn new(reason: &str) -> Cover {
        Cover::New { reason: reason.into(), cycle_id: None }
    }

    fn allow(db: &mut TestDb) {
        let permits = vec![PERMISSION.to_owned()];
        let change = ConfigChange { permits, ..ConfigChange::default() };
        db.write(Configure { task: "t1".into(), change }).unwrap();
        let (next_steps, payload) = (Vec::new(), Map::new());
        let handoff = RecordHandoff { task: "t1".into(), summary: "half".into(), next_steps, payload };
        db.write(handoff).unwrap();
    }

    fn compaction_events(db: &TestDb) -> Vec<String> {
        db.texts("SELECT type FROM events WHERE type LIKE 'worker_compact%' ORDER BY id")
    }

    #[test]
    fn every_reason_against_it_is_told_with_the_way_out_and_kept() {
        let mut db = TestDb::new();
        db.pair("t1");
        let refused = db.write(begin(new("long"))).unwrap().unwrap_err();
        assert!(refused.message.contains("missing_manager_config, missing_worker_handoff"), "{refused}");
        assert!(refused.hints.iter().any(|hint| hint.contains("conveyor handoff t1")), "{refused:?}");
        assert!(refused.hints.iter().any(|hint| hint.contains("--permit worker_session.compact")));
        let result = &db.jsons("SELECT result_json FROM commands WHERE state = 'failed'")[0];
        assert_eq!(
            (&result["failure_stage"], &result["expected_failure"]),
            (&json!("preflight"), &json!(true))
        );
        assert_eq!(compaction_events(&db), ["worker_compact_request_failed"]);
    }

    #[test]
    fn only_a_strict_request_needs_a_decision() {
        let mut db = TestDb::new();
        db.pair("t1");
        allow(&mut db);
        let strict = db.write(begin(Cover::Named { id: Some(9), strict: true })).unwrap().unwrap_err();
        assert!(strict.message.contains("decision_not_found"), "{strict}");
        let lenient = db.write(begin(Cover::Named { id: None, strict: false })).unwrap().unwrap();
        assert!(!lenient.manager_decision.ok);
        let covered = db.write(begin(new("long"))).unwrap().unwrap();
        assert!(covered.manager_decision.ok);
        let decided = db.jsons("SELECT payload_json FROM manager_decisions");
        assert_eq!(decided, [json!({"slash_command": "/compact", "source": "compact-worker"})]);
        assert!(db.refusal(begin(new(" "))).message.contains("reason is empty"));
    }

    #[test]
    fn what_came_of_it_is_on_record() {
        let mut db = TestDb::new();
        db.pair("t1");
        allow(&mut db);
        for sent in [Ok(json!({ "text": "/compact" })), Err(Failure::unknown("tmux hung"))] {
            let compaction = db.write(begin(new("long"))).unwrap().unwrap();
            db.write(EndCompaction { compaction, dry_run: false, sent }).unwrap();
        }
        assert_eq!(db.texts("SELECT state FROM commands ORDER BY rowid"), ["succeeded", "failed"]);
        let results = db.jsons("SELECT result_json FROM commands ORDER BY rowid");
        assert_eq!((&results[0]["sent"], &results[1]["sent"]), (&json!(true), &json!(false)));
        assert_eq!(
            (&results[1]["failure_stage"], &results[1]["error_type"]),
            (&json!("send"), &json!("unknown"))
        );
        assert_eq!(
            compaction_events(&db),
            [
                "worker_compact_requested",
                "worker_compact_request_succeeded",
                "worker_compact_requested",
                "worker_compact_request_failed"
            ]
        );
    }
}
