//! Evidence of loops: criteria of the task, one for each run, pass and type.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::criteria::{self, Criterion, CriterionMove, NewCriterion};
use super::runs::{self, Run};
use super::tasks::{self, Task};
use super::{Change, Query, StoreError, evidence};
use crate::domain::LoopPolicy;
use crate::domain::criteria::{ADVERSARIAL_CHECK, CriterionSource, is_adversarial_proof};
use crate::domain::loop_evidence::Receipt;

/// A run with the part of its policy that decides about passes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoopRun {
    /// `run-<uuid>`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The task.
    pub task_id: String,
    /// The template it was made from.
    pub preset: Option<String>,
    /// The pass that is under way.
    pub current_iteration: i64,
    /// The last pass there may be.
    pub max_iterations: i64,
    /// What happens to the worker's context between passes.
    pub cleanup_policy: Option<String>,
    /// The evidence types that must be satisfied before the next pass.
    pub required_before_continue: Vec<String>,
    /// What ends the loop, in words.
    pub stop_conditions: Vec<String>,
    /// Digest of the prompt that every pass starts from.
    pub seed_prompt_sha256: Option<String>,
    /// All that the run stores.
    pub metadata: Value,
}

impl LoopRun {
    fn of(run: Run, policy: LoopPolicy) -> Self {
        Self {
            id: run.id,
            name: run.name,
            task_id: run.task_id,
            preset: policy.preset,
            current_iteration: policy.current_iteration,
            max_iterations: policy.max_iterations,
            cleanup_policy: policy.cleanup_policy,
            required_before_continue: policy.required_before_continue,
            stop_conditions: policy.stop_conditions,
            seed_prompt_sha256: policy.seed_prompt_sha256,
            metadata: run.metadata,
        }
    }
}

/// The pass of a loop that evidence is about.
#[derive(Debug, Clone)]
pub struct LoopPass {
    /// The task, by id or name.
    pub task: String,
    /// The run, by id or name.
    pub run: String,
    /// Which pass.
    pub iteration: i64,
}

/// The run that a pass belongs to, if it holds a loop policy of this task.
#[derive(Debug)]
pub struct FindLoop(pub LoopPass);

impl Query for FindLoop {
    type Out = LoopRun;

    fn run(self, conn: &Connection) -> Result<LoopRun, StoreError> {
        Ok(Subject::of(conn, &self.0)?.run)
    }
}

/// Records a receipt of one pass. One of the same type that is on record already is replaced.
#[derive(Debug)]
pub struct RecordEvidence {
    /// The pass.
    pub pass: LoopPass,
    /// Who says so.
    pub source: CriterionSource,
    /// What is on hand.
    pub receipt: Receipt,
}

impl Change for RecordEvidence {
    type Out = (LoopRun, Criterion);

    fn run(self, tx: &Connection) -> Result<Self::Out, StoreError> {
        let subject = Subject::of(tx, &self.pass)?;
        let criterion = subject.record(tx, self.source, &self.receipt)?;
        Ok((subject.run, criterion))
    }
}

/// Records the report of a comparison together with what it means for the threshold.
#[derive(Debug)]
pub struct RecordComparison {
    /// The pass.
    pub pass: LoopPass,
    /// Who says so.
    pub source: CriterionSource,
    /// The report.
    pub report: Receipt,
    /// Whether the pictures are alike enough.
    pub verdict: Receipt,
}

impl Change for RecordComparison {
    type Out = (LoopRun, Criterion, Criterion);

    fn run(self, tx: &Connection) -> Result<Self::Out, StoreError> {
        let subject = Subject::of(tx, &self.pass)?;
        let report = subject.record(tx, self.source, &self.report)?;
        let verdict = subject.record(tx, self.source, &self.verdict)?;
        Ok((subject.run, report, verdict))
    }
}

/// The pass, found.
struct Subject {
    task: Task,
    run: LoopRun,
    iteration: i64,
}

impl Subject {
    fn of(conn: &Connection, pass: &LoopPass) -> Result<Self, StoreError> {
        let task = tasks::get(conn, &pass.task)?;
        let (run, policy) = runs::loop_run(conn, &task.id, &pass.run)?;
        Ok(Self { task, run: LoopRun::of(run, policy), iteration: pass.iteration })
    }

    fn record(
        &self,
        conn: &Connection,
        source: CriterionSource,
        receipt: &Receipt,
    ) -> Result<Criterion, StoreError> {
        let criterion = receipt.criterion(&self.run.id, self.iteration);
        let status = receipt.criterion_status();
        let evidence = receipt.evidence(&self.run.id, self.iteration);
        if let Some(id) = on_record(conn, &self.task, &criterion)? {
            let (proof, evidence) = (receipt.proof.clone(), Some(evidence));
            let change = CriterionMove { id, status, proof, rationale: None, evidence };
            return criteria::move_to(conn, &self.task, &change);
        }
        let unsaid = || format!("on record as {} evidence", receipt.evidence_type);
        let proof = Some(receipt.proof.clone().unwrap_or_else(unsaid));
        criteria::add(
            conn,
            &self.task,
            &NewCriterion { criterion, source, status, proof, rationale: None, evidence },
        )
    }
}

fn on_record(conn: &Connection, task: &Task, criterion: &str) -> Result<Option<i64>, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT id FROM acceptance_criteria WHERE task_id = ?1 AND criterion = ?2 ORDER BY id LIMIT 1",
        )?
        .query_row((&task.id, criterion), |row| row.get(0))
        .optional()?)
}

/// The types of the evidence that counts for one iteration of the policy's run: what is recorded as
/// satisfied, and, where the policy demands it, was shown by an executed command and still holds.
///
/// # Errors
/// Whatever SQLite answers.
pub fn on_hand(
    conn: &Connection,
    task_id: &str,
    policy: &LoopPolicy,
    iteration: i64,
) -> Result<Vec<String>, StoreError> {
    let mut types = Vec::new();
    for evidence_type in reported(conn, task_id, &policy.run_id, iteration)? {
        let counts = policy.takes_word_for(&evidence_type)
            || evidence::fresh_for_pass(conn, task_id, &policy.run_id, iteration, &evidence_type)?.is_some();
        types.extend(counts.then_some(evidence_type));
    }
    Ok(types)
}

/// The types of the complete evidence that somebody recorded as satisfied.
fn reported(
    conn: &Connection,
    task_id: &str,
    run_id: &str,
    iteration: i64,
) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT evidence_json FROM acceptance_criteria WHERE task_id = ?1 AND status = 'satisfied'
           AND json_extract(evidence_json, '$.ralph_loop_run_id') = ?2
           AND json_extract(evidence_json, '$.iteration') = ?3",
    )?;
    let rows: Vec<String> =
        statement.query_map((task_id, run_id, iteration), |row| row.get(0))?.collect::<Result<_, _>>()?;
    let evidence = rows.iter().filter_map(|row| serde_json::from_str::<Value>(row).ok());
    Ok(evidence
        .filter_map(|evidence| {
            let kind = evidence.get("evidence_type")?.as_str()?.to_owned();
            (kind != ADVERSARIAL_CHECK || is_adversarial_proof(&evidence)).then_some(kind)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::domain::FailureKind;
    use crate::domain::criteria::CriterionStatus;
    use crate::domain::loop_templates::NewLoop;
    use crate::store::loop_runs::CreateLoop;
    use crate::store::testing::{TestDb, builtin_template};

    fn db_with_loop() -> TestDb {
        let mut db = TestDb::new();
        db.task("one");
        let new = NewLoop { template: Some(builtin_template("build_then_clear")), ..NewLoop::default() };
        db.write(CreateLoop { task: "one".into(), name: Some("loop".into()), new }).unwrap();
        db
    }

    fn of(task: &str, run: &str, kind: &str, status: &str) -> RecordEvidence {
        RecordEvidence {
            pass: LoopPass { task: task.into(), run: run.into(), iteration: 1 },
            source: CriterionSource::WorkerProposed,
            receipt: receipt(kind, status),
        }
    }

    fn receipt(kind: &str, status: &str) -> Receipt {
        Receipt::new(kind, status, None, Map::new()).unwrap()
    }

    fn recorded(db: &TestDb) -> usize {
        db.texts("SELECT criterion FROM acceptance_criteria").len()
    }

    #[test]
    fn a_later_receipt_of_the_same_pass_replaces_the_earlier_one() {
        let mut db = db_with_loop();
        let (run, first) = db.write(of("one", "loop", "build_passed", "fail")).unwrap();
        assert_eq!((run.name.as_str(), run.max_iterations), ("loop", 2));
        assert_eq!(first.status, CriterionStatus::Rejected);

        let mut again = of("one", "loop", "build_passed", "green");
        again.source = CriterionSource::ManagerInferred;
        let (_, again) = db.write(again).unwrap();
        assert_eq!((again.id, again.status), (first.id, CriterionStatus::Satisfied));
        assert_eq!(again.source, CriterionSource::WorkerProposed, "whoever said so first");
        assert_eq!(again.proof, first.proof, "a proof stays until there is another");
        assert_eq!(recorded(&db), 1);

        let mut other_pass = of("one", "loop", "build_passed", "green");
        other_pass.pass.iteration = 2;
        db.write(other_pass).unwrap();
        db.write(of("one", "loop", "cleanup", "green")).unwrap();
        assert_eq!(recorded(&db), 3);
    }

    #[test]
    fn a_comparison_is_two_criteria() {
        let mut db = db_with_loop();
        let RecordEvidence { pass, source, receipt: report } =
            of("one", "loop", "visual_diff_report", "pass");
        let verdict = receipt("diff_below_threshold", "fail");
        let (_, report, verdict) = db.write(RecordComparison { pass, source, report, verdict }).unwrap();
        assert_eq!((report.status, verdict.status), (CriterionStatus::Satisfied, CriterionStatus::Rejected));
    }

    #[test]
    fn a_refusal_leaves_nothing() {
        let mut db = db_with_loop();
        db.task("two");
        assert_eq!(db.refusal(of("one", "lop", "x", "ok")).kind, FailureKind::NotFound);
        assert_eq!(db.refusal(of("two", "loop", "x", "ok")).kind, FailureKind::Refused);
        assert_eq!(db.refusal(of("three", "loop", "x", "ok")).kind, FailureKind::NotFound);
        assert_eq!(recorded(&db), 0);
    }
}
