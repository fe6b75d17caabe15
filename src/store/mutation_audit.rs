//! The mutation audit: what was done to a task's sessions and to the task itself, held against the
//! decisions that should cover it.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::chains::named_decision;
use super::commands::{self, Command};
use super::decisions::{self, ManagerDecision};
use super::tasks::{self, Task};
use super::{Query, StoreError};
use crate::domain::decision::{DecisionDoubt, DecisionFacts};
use crate::domain::time::parse_iso;
use crate::domain::{CommandState, Decision};

/// The commands that change something for good, with the decisions that cover each.
const MUTATIONS: [(&str, &[Decision]); 3] = [
    ("finish_task", &[Decision::Stop]),
    ("stop_task", &[Decision::Stop]),
    ("request_worker_compact", &[Decision::Nudge]),
];

/// What of a command's result or payload tells its effect.
const EFFECT: [&str; 6] =
    ["dry_run", "permission_check", "send_text", "sent", "slash_command", "worker_session"];

/// What was done to a task, and whether decisions cover it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MutationAudit {
    /// Everything is covered.
    pub ok: bool,
    /// What was done, oldest first.
    pub records: Vec<Mutation>,
    /// How much of it is in doubt.
    pub summary: MutationSummary,
    /// The task.
    pub task: Task,
}

/// How many mutations there are, and how many are in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutationSummary {
    /// All of them.
    pub mutations: usize,
    /// Those with warnings.
    pub with_warnings: usize,
}

/// Something that was done, and the decision behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mutation {
    /// The decisions that would cover it.
    pub allowed_decisions: Vec<Decision>,
    /// The command.
    pub command: MutatingCommand,
    /// What it did, by what its record says.
    pub effect: Map<String, Value>,
    /// It was refused by a rule, so nothing was done and nothing needs to be covered.
    pub expected_failure: bool,
    /// The decision that it names, or that was recorded with it.
    pub linked_decision: Option<ManagerDecision>,
    /// The last decision before it.
    pub nearest_prior_decision: Option<ManagerDecision>,
    /// It is covered.
    pub ok: bool,
    /// Why it is not.
    pub warnings: Vec<DecisionDoubt>,
}

/// Which command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutatingCommand {
    /// `command-<uuid>`.
    pub id: String,
    /// When it was asked for.
    pub created_at: String,
    /// How far it got.
    pub state: CommandState,
    /// What it is.
    #[serde(rename = "type")]
    pub command_type: String,
}

/// The mutation audit of a task.
#[derive(Debug)]
pub struct AuditMutations {
    /// The task, by id or name.
    pub task: String,
}

impl Query for AuditMutations {
    type Out = MutationAudit;

    fn run(self, conn: &Connection) -> Result<MutationAudit, StoreError> {
        let task = tasks::get(conn, &self.task)?;
        read(conn, task)
    }
}

/// As [`AuditMutations`], for use inside another query.
///
/// # Errors
/// Whatever SQLite answers.
pub fn read(conn: &Connection, task: Task) -> Result<MutationAudit, StoreError> {
    let mut records = Vec::new();
    for (command_type, allowed) in MUTATIONS {
        for command in commands::of_type(conn, &task.id, command_type)? {
            records.push(examine(conn, &task.id, &command, allowed)?);
        }
    }
    records.sort_by(|a, b| a.command.created_at.cmp(&b.command.created_at));
    let with_warnings = records.iter().filter(|record| !record.ok).count();
    let summary = MutationSummary { mutations: records.len(), with_warnings };
    Ok(MutationAudit { ok: with_warnings == 0, records, summary, task })
}

fn examine(
    conn: &Connection,
    task_id: &str,
    command: &Command,
    allowed: &[Decision],
) -> Result<Mutation, StoreError> {
    let expected_failure = command.result.as_ref().is_some_and(|result| result["expected_failure"] == true);
    let named = named_decision(&command.payload);
    let linked_decision = match recorded_with(conn, task_id, &command.id)?.or(named) {
        Some(id) => decisions::find(conn, id)?,
        None => None,
    };
    let warnings = if expected_failure {
        Vec::new()
    } else {
        doubts(command, task_id, allowed, named, linked_decision.as_ref())
    };
    Ok(Mutation {
        allowed_decisions: allowed.to_vec(),
        effect: effect(command),
        expected_failure,
        nearest_prior_decision: nearest_prior(conn, task_id, &command.created_at)?,
        linked_decision,
        ok: warnings.is_empty(),
        warnings,
        command: MutatingCommand {
            id: command.id.clone(),
            created_at: command.created_at.clone(),
            state: command.state,
            command_type: command.command_type.clone(),
        },
    })
}

fn doubts(
    command: &Command,
    task_id: &str,
    allowed: &[Decision],
    named: Option<i64>,
    linked: Option<&ManagerDecision>,
) -> Vec<DecisionDoubt> {
    let Some(decision) = linked else {
        return vec![if named.is_some() { DecisionDoubt::NotFound } else { DecisionDoubt::MissingId }];
    };
    let facts = DecisionFacts {
        task_id: &decision.task_id,
        decision: decision.decision,
        created_at: &decision.created_at,
    };
    let acted_at = parse_iso(&command.created_at).unwrap_or_default();
    facts.doubts(task_id, allowed, acted_at)
}

fn effect(command: &Command) -> Map<String, Value> {
    let mut effect =
        Map::from_iter([("dry_run".to_owned(), json!(false)), ("sent".to_owned(), json!(false))]);
    for record in [Some(&command.payload), command.result.as_ref()].into_iter().flatten() {
        let told = EFFECT.iter().filter_map(|key| Some(((*key).to_owned(), record.get(key)?.clone())));
        effect.extend(told.filter(|(_, value)| !value.is_null()));
    }
    effect
}

/// The decision that was recorded with a command, as a finished task's is.
fn recorded_with(conn: &Connection, task_id: &str, command_id: &str) -> Result<Option<i64>, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT id FROM manager_decisions WHERE task_id = ?1 AND payload_json ->> '$.command_id' = ?2
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row((task_id, command_id), |row| row.get(0))
        .optional()?)
}

fn nearest_prior(conn: &Connection, task_id: &str, at: &str) -> Result<Option<ManagerDecision>, StoreError> {
    let id: Option<i64> = conn
        .prepare_cached(
            "SELECT id FROM manager_decisions WHERE task_id = ?1 AND created_at <= ?2 ORDER BY id DESC LIMIT 1",
        )?
        .query_row((task_id, at), |row| row.get(0))
        .optional()?;
    id.map_or(Ok(None), |id| decisions::find(conn, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::commands::{NewCommand, Outcome};
    use crate::store::testing::TestDb;

    fn act(db: &TestDb, task_id: &str, command_type: &str, payload: Value, outcome: &Outcome) -> String {
        let new = NewCommand {
            command_type,
            task_id: Some(task_id),
            correlation_id: None,
            idempotency_key: None,
            required_permission: None,
            payload,
        };
        let id = commands::insert(&db.conn, new).unwrap().id;
        commands::attempt(&db.conn, &id).unwrap();
        commands::settle(&db.conn, &id, outcome).unwrap();
        id
    }

    fn decide(db: &TestDb, task_id: &str, decision: Decision, payload: &Value) -> i64 {
        decisions::insert(&db.conn, task_id, decision, "r", None, payload).unwrap()
    }

    #[test]
    fn what_was_done_is_held_against_the_decisions_that_cover_it() {
        let mut db = TestDb::new();
        let task_id = db.task("t1").id;
        let done = Outcome::Succeeded(json!({ "sent": true, "worker_session": "w1" }));
        let (nudge, stop) = (
            decide(&db, &task_id, Decision::Nudge, &json!({})),
            decide(&db, &task_id, Decision::Stop, &json!({})),
        );
        let by = |id: i64| json!({ "manager_decision": { "decision_id": id } });
        act(&db, &task_id, "request_worker_compact", by(nudge), &done);
        act(&db, &task_id, "stop_task", by(nudge), &done);
        act(&db, &task_id, "stop_task", by(99), &done);
        act(&db, &task_id, "stop_task", json!({}), &done);
        act(&db, &task_id, "notify_manager", json!({}), &done);
        let refused = Outcome::Failed { error: "no".into(), result: json!({ "expected_failure": true }) };
        act(&db, &task_id, "finish_task", json!({}), &refused);
        let finish = act(&db, &task_id, "finish_task", by(stop), &done);
        let own = decide(&db, &task_id, Decision::Stop, &json!({ "command_id": finish }));

        let audit = db.read(AuditMutations { task: "t1".into() });
        let found: Vec<_> = audit
            .records
            .iter()
            .map(|r| (r.linked_decision.as_ref().map(|decision| decision.id), r.warnings.as_slice()))
            .collect();
        let expect: [(Option<i64>, &[DecisionDoubt]); 6] = [
            (Some(nudge), &[]),
            (Some(nudge), &[DecisionDoubt::Mismatch]),
            (None, &[DecisionDoubt::NotFound]),
            (None, &[DecisionDoubt::MissingId]),
            (None, &[]),
            (Some(own), &[]),
        ];
        assert_eq!(found, expect);
        assert_eq!((audit.ok, audit.summary), (false, MutationSummary { mutations: 6, with_warnings: 3 }));
        assert_eq!(
            json!(audit.records[0].effect),
            json!({"dry_run": false, "sent": true, "worker_session": "w1"})
        );
        assert_eq!(audit.records[0].nearest_prior_decision.as_ref().unwrap().id, stop);
    }
}
