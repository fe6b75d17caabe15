//! Handing in proposals and reviews, in their order and on record.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{COLUMNS, Continuation, ContinuationReview, REVIEW_COLUMNS, latest};
use crate::domain::continuation::Review;
use crate::domain::ids::new_id;
use crate::domain::shell::quoted;
use crate::domain::supervision::NudgeOnCompletion;
use crate::domain::time::now_iso;
use crate::domain::{Failure, Role};
use crate::store::events::{self, Event};
use crate::store::tasks::{self, Task};
use crate::store::telemetry::{self, Actor, Severity, Telemetry};
use crate::store::{Change, StoreError, manager_config};

/// The permission that a review needs.
const REVIEW_PERMISSION: &str = "context.spawn_reviewer";

/// Records what one side proposes to do next. The worker proposes first; the manager answers
/// without having seen it.
#[derive(Debug)]
pub struct SubmitContinuation {
    /// The task, by id or name.
    pub task: String,
    /// Whose proposal it is.
    pub proposer: Role,
    /// What is proposed.
    pub payload: Map<String, Value>,
    /// Which completion it is about. A worker may leave it out and gets a fresh one.
    pub correlation_id: Option<String>,
}

impl Change for SubmitContinuation {
    type Out = Continuation;

    fn run(self, tx: &Connection) -> Result<Continuation, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        let correlation_id = match (self.proposer, self.correlation_id) {
            (Role::Worker, given) => given.unwrap_or_else(|| new_id("continuation")),
            (Role::Manager, Some(given)) if latest(tx, &task.id, Role::Worker, Some(&given))?.is_some() => {
                given
            }
            (Role::Manager, _) => {
                return Err(Failure::refused(format!(
                    "the manager's proposal for task {} was not recorded: it must name a correlation id under which \
                     the worker proposed before",
                    task.name
                ))
                .hint(format!("see which there are: `conveyor continuation {} --list`", quoted(&task.name)))
                .hint(format!(
                    "the worker hands in its own first: `conveyor continuation {} --submit worker --from-stdin \
                     --correlation-id ID`",
                    quoted(&task.name)
                ))
                .into());
            }
        };
        let revision = latest(tx, &task.id, self.proposer, None)?.map_or(1, |proposal| proposal.revision + 1);
        let payload_keys: Vec<String> = self.payload.keys().cloned().collect();
        let proposal: Continuation = tx
            .prepare_cached(&format!(
                "INSERT INTO task_continuations (task_id, proposer, payload_json, revision, created_at, correlation_id)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING {COLUMNS}"
            ))?
            .query_row(
                (
                    &task.id,
                    self.proposer.as_str(),
                    Value::Object(self.payload).to_string(),
                    revision,
                    now_iso(),
                    &correlation_id,
                ),
                Continuation::of,
            )?;
        events::record(
            tx,
            &Event {
                actor: "workerctl",
                event_type: "task_continuation_recorded",
                task_id: Some(&task.id),
                correlation_id: Some(&correlation_id),
                payload: json!({
                    "continuation_id": proposal.id, "payload_keys": payload_keys,
                    "proposer": self.proposer, "revision": revision,
                }),
                ..Event::default()
            },
        )?;
        Ok(proposal)
    }
}

/// Records a reviewer's verdict on a pair of proposals.
#[derive(Debug)]
pub struct RecordReview {
    /// The task, by id or name.
    pub task: String,
    /// Which completion the proposals are about.
    pub correlation_id: Option<String>,
    /// The verdict.
    pub review: Review,
}

/// A review, and whether a person has to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedReview {
    /// The row.
    #[serde(flatten)]
    pub review: ContinuationReview,
    /// A person has to look before anything goes on.
    pub operator_routing_required: bool,
}

impl Change for RecordReview {
    type Out = RecordedReview;

    fn run(self, tx: &Connection) -> Result<RecordedReview, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        let Some(correlation_id) = self.correlation_id else {
            return Err(Failure::usage(
                "the review was not recorded: it must name the proposals it is about",
            )
            .hint("give their correlation id with --correlation-id")
            .into());
        };
        refuse_without_permission(tx, &task)?;
        let (worker, manager) = both_proposals(tx, &task, &correlation_id)?;
        let mode = manager_config::find(tx, &task.id)?
            .map_or(NudgeOnCompletion::AskOperator, |config| config.nudge_on_completion);
        let recorded = insert(tx, &self.review, (&worker, &manager), mode)?;
        tell(tx, &self.review, &recorded, mode)?;
        Ok(recorded)
    }
}

/// The proposals of the worker and the manager about one completion.
///
/// # Errors
/// `Refused` when one is missing.
pub(super) fn both_proposals(
    conn: &Connection,
    task: &Task,
    correlation_id: &str,
) -> Result<(Continuation, Continuation), StoreError> {
    let of = |role| latest(conn, &task.id, role, Some(correlation_id));
    let missing = match (of(Role::Worker)?, of(Role::Manager)?) {
        (Some(worker), Some(manager)) => return Ok((worker, manager)),
        (None, _) => Role::Worker,
        (_, None) => Role::Manager,
    };
    Err(Failure::refused(format!(
        "nothing of task {} was reviewed: there is no proposal of the {missing} for {correlation_id}",
        task.name
    ))
    .hint(format!(
        "hand it in: `conveyor continuation {} --submit {missing} --from-stdin --correlation-id {correlation_id}`",
        quoted(&task.name)
    ))
    .into())
}

/// Refuses a task whose contract does not allow reviews.
///
/// # Errors
/// `Refused`.
pub(super) fn refuse_without_permission(conn: &Connection, task: &Task) -> Result<(), StoreError> {
    if manager_config::permission_check(conn, &task.id, REVIEW_PERMISSION)?.allowed {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "the review was not recorded: {REVIEW_PERMISSION} is not granted for task {}",
        task.name
    ))
    .hint(format!("grant it: `conveyor manager-config {} --permit {REVIEW_PERMISSION}`", quoted(&task.name)))
    .into())
}

fn insert(
    conn: &Connection,
    review: &Review,
    (worker, manager): (&Continuation, &Continuation),
    mode: NudgeOnCompletion,
) -> Result<RecordedReview, StoreError> {
    let operator_routing_required = review.needs_operator(mode);
    let mut run = json!(review.subagent_run);
    run["nudge_on_completion"] = json!(mode);
    run["operator_routing_required"] = operator_routing_required.into();
    let review = conn
        .prepare_cached(&format!(
            "INSERT INTO continuation_reviews (task_id, worker_continuation_id, manager_continuation_id, agreement,
                 verdict, addendum, rationale, subagent_run_json, created_at, correlation_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) RETURNING {REVIEW_COLUMNS}"
        ))?
        .query_row(
            (
                &worker.task_id,
                worker.id,
                manager.id,
                review.agreement.as_str(),
                review.verdict.as_str(),
                &review.addendum,
                &review.rationale,
                run.to_string(),
                now_iso(),
                &worker.correlation_id,
            ),
            ContinuationReview::of,
        )?;
    Ok(RecordedReview { review, operator_routing_required })
}

fn tell(
    conn: &Connection,
    given: &Review,
    recorded: &RecordedReview,
    mode: NudgeOnCompletion,
) -> Result<(), StoreError> {
    let RecordedReview { review, operator_routing_required } = recorded;
    let run = &given.subagent_run;
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "continuation_review_recorded",
            task_id: Some(&review.task_id),
            correlation_id: Some(&review.correlation_id),
            payload: json!({
                "agreement": review.agreement,
                "manager_continuation_id": review.manager_continuation_id,
                "operator_routing_required": operator_routing_required,
                "review_id": review.id,
                "verdict": review.verdict,
                "worker_continuation_id": review.worker_continuation_id,
            }),
            ..Event::default()
        },
    )?;
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Manager,
            event_type: "continuation_review_recorded",
            severity: if *operator_routing_required { Severity::Warning } else { Severity::Info },
            summary: &format!("continuation review: {}, {}", review.agreement, review.verdict),
            task_id: Some(&review.task_id),
            run_id: None,
            correlation: json!({
                "correlation_id": review.correlation_id,
                "manager_continuation_id": review.manager_continuation_id,
                "review_id": review.id,
                "worker_continuation_id": review.worker_continuation_id,
            }),
            attributes: json!({
                "agreement": review.agreement,
                "allowed_context": run.allowed_context.clone().unwrap_or_default(),
                "has_addendum": review.addendum.is_some(),
                "has_rationale": true,
                "manager_rollout_access": run.manager_rollout_access,
                "manager_session_id": run.manager_session_id,
                "nudge_on_completion": mode,
                "operator_routing_required": operator_routing_required,
                "payload_redacted": true,
                "reviewer_failure_routing_forced": given.reviewer_failed(),
                "reviewer_session_distinct": run.reviewer_session_id != run.manager_session_id,
                "reviewer_session_id": run.reviewer_session_id,
                "reviewer_status": run.status,
                "verdict": review.verdict,
            }),
        },
    )?;
    Ok(())
}
