//! Carrying out a step of the epilogue.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{COLUMNS, EpilogueRun, configured_steps, draft};
use crate::domain::Failure;
use crate::domain::ids::new_id;
use crate::domain::shell::quoted;
use crate::domain::supervision::EpilogueStep;
use crate::domain::time::now_iso;
use crate::store::events::{self, Event};
use crate::store::tasks::{self, Task};
use crate::store::{Change, StoreError, continuations, handoffs, manager_config};

/// Begins a step. A step that only looks into the database is finished at once.
#[derive(Debug)]
pub struct BeginStep {
    /// The task, by id or name.
    pub task: String,
    /// The step; it must be configured.
    pub step: EpilogueStep,
    /// Given by the caller; otherwise a fresh `epilogue-<uuid>`.
    pub correlation_id: Option<String>,
}

/// What is left to do of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing.
    Finished,
    /// To see whether these tools answer, and to say so with [`FinishTools`].
    Tools {
        /// The run to finish.
        run_id: i64,
        /// The tools, as they are configured.
        tools: Vec<String>,
    },
}

/// How a step went: what came of it, and why it failed.
type Outcome = (Option<Value>, Option<String>);

impl Change for BeginStep {
    type Out = Begun;

    fn run(self, tx: &Connection) -> Result<Begun, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        refuse_unconfigured(tx, &task, self.step)?;
        let run_id = insert_running(tx, &task, self.step, self.correlation_id)?;
        let outcome = match self.step {
            EpilogueStep::RunTools => {
                let tools =
                    manager_config::find(tx, &task.id)?.map(|config| config.tools).unwrap_or_default();
                return Ok(Begun::Tools { run_id, tools });
            }
            EpilogueStep::DraftPr => (Some(draft::pull_request(tx, &task)?), None),
            EpilogueStep::SubagentReview => look_for_review(tx, &task)?,
            EpilogueStep::RecordHandoff => look_for_handoff(tx, &task)?,
        };
        finish(tx, run_id, outcome)?;
        Ok(Begun::Finished)
    }
}

fn refuse_unconfigured(conn: &Connection, task: &Task, step: EpilogueStep) -> Result<(), StoreError> {
    if configured_steps(conn, &task.id)?.iter().any(|configured| configured == step.as_str()) {
        return Ok(());
    }
    Err(Failure::refused(format!("{step} is not a step of the epilogue of task {}", task.name))
        .hint(format!(
            "make it one: `conveyor manager-config {} --epilogue {step}`, with the others",
            quoted(&task.name)
        ))
        .into())
}

fn insert_running(
    conn: &Connection,
    task: &Task,
    step: EpilogueStep,
    correlation_id: Option<String>,
) -> Result<i64, StoreError> {
    let correlation_id = correlation_id.unwrap_or_else(|| new_id("epilogue"));
    conn.prepare_cached(
        "INSERT INTO epilogue_runs (task_id, step_name, state, started_at, correlation_id)
         VALUES (?1, ?2, 'running', ?3, ?4)",
    )?
    .execute((&task.id, step.as_str(), now_iso(), correlation_id))?;
    Ok(conn.last_insert_rowid())
}

fn look_for_review(conn: &Connection, task: &Task) -> Result<Outcome, StoreError> {
    Ok(match continuations::latest_review(conn, &task.id)? {
        Some(review) => {
            let result = json!({
                "agreement": review.agreement, "correlation_id": review.correlation_id, "review_id": review.id,
                "verdict": review.verdict,
            });
            (Some(result), None)
        }
        None => (None, Some(format!("nobody has reviewed a continuation of task {}", task.name))),
    })
}

fn look_for_handoff(conn: &Connection, task: &Task) -> Result<Outcome, StoreError> {
    Ok(match handoffs::latest(conn, &task.id)? {
        Some(handoff) => (Some(json!({ "handoff_id": handoff.id, "summary": handoff.summary })), None),
        None => (None, Some(format!("the worker has not written a handoff for task {}", task.name))),
    })
}

/// How a tool answered to being asked for its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolOutcome {
    /// The tool, as it is configured.
    pub tool: String,
    /// Its exit code; 127 when it could not be started, none when it did not end by itself.
    pub returncode: Option<i32>,
    /// What it wrote, cut to a few lines.
    pub stdout: String,
    /// What it wrote as errors, or why it could not be asked.
    pub stderr: String,
}

/// Finishes a `run-tools` step: it succeeds when every tool answered.
#[derive(Debug)]
pub struct FinishTools {
    /// The run.
    pub run_id: i64,
    /// How the tools answered.
    pub outcomes: Vec<ToolOutcome>,
}

impl Change for FinishTools {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        let failed: Vec<&str> =
            self.outcomes.iter().filter(|outcome| outcome.returncode != Some(0)).map(|o| &*o.tool).collect();
        let error =
            (!failed.is_empty()).then(|| format!("these tools did not answer: {}", failed.join(", ")));
        let result = json!({ "tool_count": self.outcomes.len(), "tools": self.outcomes });
        finish(tx, self.run_id, (Some(result), error))
    }
}

/// Writes the outcome of a run and its audit event.
fn finish(conn: &Connection, run_id: i64, (result, error): Outcome) -> Result<(), StoreError> {
    let state = if error.is_none() { "succeeded" } else { "failed" };
    let run: EpilogueRun = conn
        .prepare_cached(&format!(
            "UPDATE epilogue_runs SET state = ?2, finished_at = ?3, result_json = ?4, error = ?5
             WHERE id = ?1 RETURNING {COLUMNS}"
        ))?
        .query_row(
            (run_id, state, now_iso(), result.map(|result| result.to_string()), &error),
            EpilogueRun::of,
        )?;
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "epilogue_step_recorded",
            task_id: Some(&run.task_id),
            correlation_id: run.correlation_id.as_deref(),
            payload: json!({
                "epilogue_run_id": run.id, "error": run.error, "state": run.state, "step_name": run.step_name,
            }),
            ..Event::default()
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::store::epilogue::GetEpilogue;
    use crate::store::handoffs::RecordHandoff;
    use crate::store::manager_config::{ConfigChange, Configure};
    use crate::store::testing::TestDb;

    fn with_steps(steps: &[EpilogueStep]) -> TestDb {
        let mut db = TestDb::new();
        db.task("one");
        let tools = vec!["cargo".into(), "gh".into()];
        let change = ConfigChange { epilogues: steps.to_vec(), tools, ..ConfigChange::default() };
        db.write(Configure { task: "one".into(), change }).unwrap();
        db
    }

    fn begin(step: EpilogueStep) -> BeginStep {
        BeginStep { task: "one".into(), step, correlation_id: None }
    }

    fn outcome(tool: &str, returncode: Option<i32>) -> ToolOutcome {
        ToolOutcome { tool: tool.into(), returncode, stdout: String::new(), stderr: String::new() }
    }

    #[test]
    fn only_a_configured_step_is_carried_out() {
        let mut db = with_steps(&[EpilogueStep::DraftPr]);
        assert!(db.refusal(begin(EpilogueStep::RunTools)).message.contains("run-tools"));
        assert!(db.read(GetEpilogue("one".into())).runs.is_empty());
        assert_eq!(db.read(GetEpilogue("one".into())).status.steps[0].state, "missing");
    }

    #[test]
    fn the_latest_run_of_a_step_counts() {
        let mut db = with_steps(&[EpilogueStep::RecordHandoff]);
        db.write(begin(EpilogueStep::RecordHandoff)).unwrap();
        let report = db.read(GetEpilogue("one".into()));
        assert_eq!((report.status.ok, &*report.runs[0].state), (false, "failed"));
        assert_eq!(report.status.missing_or_incomplete, ["record-handoff"]);

        let payload = Map::new();
        let handoff =
            RecordHandoff { task: "one".into(), summary: "done".into(), next_steps: Vec::new(), payload };
        db.write(handoff).unwrap();
        db.write(begin(EpilogueStep::RecordHandoff)).unwrap();
        let report = db.read(GetEpilogue("one".into()));
        assert!(report.status.ok && report.runs.len() == 2);
        assert_eq!(report.runs[1].result, Some(json!({"handoff_id": 1, "summary": "done"})));
        let events = db.jsons("SELECT payload_json FROM events WHERE type = 'epilogue_step_recorded'");
        assert_eq!((&events[0]["state"], &events[1]["state"]), (&json!("failed"), &json!("succeeded")));
    }

    #[test]
    fn the_tools_step_is_open_until_they_answered() {
        let mut db = with_steps(&[EpilogueStep::RunTools]);
        let begun = db.write(begin(EpilogueStep::RunTools)).unwrap();
        assert_eq!(begun, Begun::Tools { run_id: 1, tools: vec!["cargo".into(), "gh".into()] });
        assert_eq!(db.read(GetEpilogue("one".into())).status.steps[0].state, "running");

        let outcomes = vec![outcome("cargo", Some(0)), outcome("gh", None)];
        db.write(FinishTools { run_id: 1, outcomes }).unwrap();
        let run = db.read(GetEpilogue("one".into())).runs.remove(0);
        assert_eq!((&*run.state, run.error.as_deref()), ("failed", Some("these tools did not answer: gh")));
        assert_eq!(run.result.unwrap()["tool_count"], 2);
        db.write(FinishTools { run_id: 1, outcomes: Vec::new() }).unwrap();
        assert!(db.read(GetEpilogue("one".into())).status.ok, "no tools, none that fails");
    }

    #[test]
    fn a_review_is_needed_and_a_draft_always_succeeds() {
        let mut db = with_steps(&[EpilogueStep::SubagentReview, EpilogueStep::DraftPr]);
        db.write(begin(EpilogueStep::SubagentReview)).unwrap();
        db.write(begin(EpilogueStep::DraftPr)).unwrap();
        let report = db.read(GetEpilogue("one".into()));
        assert_eq!(report.status.missing_or_incomplete, ["subagent-review"]);
        let draft = report.runs[1].result.clone().unwrap();
        assert_eq!(draft["title"], "Ship it");
        assert_eq!(draft["criteria"]["accepted"], 0);
    }
}
