//! Running a command for evidence, on record before it starts and after it ended.

use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::{ExecutedEvidence, get, runners};
use crate::domain::criteria::{ADVERSARIAL_CHECK, CriterionSource, CriterionStatus};
use crate::domain::evidence::EvidenceState;
use crate::domain::loop_evidence::Receipt;
use crate::domain::shell;
use crate::domain::shell::quoted;
use crate::domain::time::now_iso;
use crate::domain::{Failure, Seconds};
use crate::store::criteria::{self, CriteriaState, CriterionMove};
use crate::store::events::{self, Event};
use crate::store::loop_evidence::{LoopPass, RecordEvidence};
use crate::store::tasks::{self, Task};
use crate::store::telemetry::{self, Actor, Severity, Telemetry};
use crate::store::{Change, StoreError, runs, sessions};

/// What evidence is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// The task as a whole.
    Task,
    /// One of its criteria.
    Criterion(i64),
    /// One pass of a loop.
    Pass {
        /// The run that holds the loop's policy, by id or name.
        run: String,
        /// Which pass.
        iteration: i64,
        /// What it is evidence of.
        evidence_type: String,
    },
}

/// A git work tree at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeState {
    /// Its top directory.
    pub worktree: String,
    /// The commit that is checked out; none before the first.
    pub commit: Option<String>,
    /// Something differs from that commit.
    pub dirty: bool,
    /// Names the content of all its files that git does not ignore.
    pub tree: String,
}

/// Records that a command is about to be run.
#[derive(Debug)]
pub struct BeginEvidence {
    /// The task, by id or name.
    pub task: String,
    /// What it is about.
    pub about: About,
    /// The command.
    pub argv: Vec<String>,
    /// Where it runs.
    pub directory: String,
    /// How long it may run.
    pub time_limit: Seconds,
    /// The Codex thread that runs it, when it is one.
    pub by_thread: Option<String>,
    /// What it runs on.
    pub tree: Option<TreeState>,
}

/// A command that is about to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The row to end with [`EndEvidence`].
    pub evidence_id: i64,
    /// The task's id.
    pub task_id: String,
}

impl Change for BeginEvidence {
    type Out = Begun;

    fn run(self, tx: &Connection) -> Result<Begun, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        let about = Columns::of(tx, &task, self.about)?;
        let run_by = match &self.by_thread {
            Some(thread_id) => sessions::find_by_thread(tx, thread_id)?.map(|session| session.id),
            None => None,
        };
        let tree = self.tree.as_ref();
        tx.prepare_cached(
            "INSERT INTO executed_evidence (task_id, criterion_id, loop_run_id, iteration, evidence_type, argv_json,
                 directory, time_limit_seconds, run_by_session_id, state, started_at, worktree, git_commit, git_dirty,
                 tree_before)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'running', ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute((
            &task.id,
            about.criterion_id,
            about.loop_run_id,
            about.iteration,
            about.evidence_type,
            json!(self.argv).to_string(),
            &self.directory,
            self.time_limit.as_f64(),
            run_by,
            now_iso(),
            tree.map(|tree| &tree.worktree),
            tree.and_then(|tree| tree.commit.as_ref()),
            tree.map(|tree| tree.dirty),
            tree.map(|tree| &tree.tree),
        ))?;
        let evidence = get(tx, tx.last_insert_rowid())?;
        runners::begin(tx, evidence.id)?;
        tell(tx, &evidence, "executed_evidence_started")?;
        Ok(Begun { evidence_id: evidence.id, task_id: task.id })
    }
}

/// What evidence is about, as columns.
#[derive(Default)]
struct Columns {
    criterion_id: Option<i64>,
    loop_run_id: Option<String>,
    iteration: Option<i64>,
    evidence_type: Option<String>,
}

impl Columns {
    fn of(conn: &Connection, task: &Task, about: About) -> Result<Self, StoreError> {
        Ok(match about {
            About::Task => Self::default(),
            About::Criterion(id) => {
                Self { criterion_id: Some(criteria::get(conn, task, id)?.id), ..Self::default() }
            }
            About::Pass { run, iteration, evidence_type } if evidence_type == ADVERSARIAL_CHECK => {
                return Err(Failure::usage(format!(
                    "nothing was run: {ADVERSARIAL_CHECK} evidence of task {} tells in words what was tried",
                    task.name
                ))
                .hint(format!(
                    "run the check as evidence of the task, `conveyor evidence run {0} -- COMMAND`, and tell of it: \
                     `conveyor loop-evidence adversarial-check {0} --loop-run {run} --iteration {iteration} \
                     --failure-mode TEXT --check TEXT --result TEXT`",
                    quoted(&task.name)
                ))
                .into());
            }
            About::Pass { evidence_type, .. } if evidence_type.trim().is_empty() => {
                return Err(Failure::usage(format!(
                    "nothing was run for task {}: the evidence has no type",
                    task.name
                ))
                .hint("name one that the loop's policy asks for with --evidence-type TYPE")
                .into());
            }
            About::Pass { run, iteration, evidence_type } => Self {
                loop_run_id: Some(runs::loop_policy(conn, &task.id, &run)?.run_id),
                iteration: Some(iteration),
                evidence_type: Some(evidence_type),
                ..Self::default()
            },
        })
    }
}

/// What a command wrote, as far as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptOutput {
    /// The file.
    pub path: String,
    /// The digest of the file.
    pub sha256: String,
    /// How much was written.
    pub bytes: i64,
    /// How much of that the file holds.
    pub kept_bytes: i64,
}

/// How a command went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutcome {
    /// In a word.
    pub state: EvidenceState,
    /// What it exited with.
    pub exit_code: Option<i32>,
    /// Why there is no exit code.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// What it wrote.
    pub output: Option<KeptOutput>,
    /// The tree after it.
    pub tree_after: Option<String>,
}

/// What is said of the criterion that the evidence satisfies, should it pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Satisfy {
    /// What shows that it holds; otherwise the command is named.
    pub proof: Option<String>,
    /// Why it stands there.
    pub rationale: Option<String>,
}

/// Records how a command went. One that passed satisfies the criterion it is about.
#[derive(Debug)]
pub struct EndEvidence {
    /// The row.
    pub evidence_id: i64,
    /// How it went.
    pub outcome: RunOutcome,
    /// What to say of the criterion.
    pub satisfy: Satisfy,
}

/// Evidence on record.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The row.
    pub evidence: ExecutedEvidence,
    /// The task's criteria, when one of them is satisfied by it.
    pub criteria: Option<CriteriaState>,
}

impl Change for EndEvidence {
    type Out = Ended;

    fn run(self, tx: &Connection) -> Result<Ended, StoreError> {
        let (outcome, output) = (&self.outcome, self.outcome.output.as_ref());
        let ended = tx
            .prepare_cached(
                "UPDATE executed_evidence SET state = ?2, ended_at = ?3, duration_ms = ?4, exit_code = ?5, error = ?6,
                     output_path = ?7, output_sha256 = ?8, output_bytes = ?9, output_kept_bytes = ?10,
                     tree_after = ?11, tree_seen = ?11, tree_seen_at = iif(?11 IS NULL, NULL, ?3)
                 WHERE id = ?1 AND state = 'running'",
            )?
            .execute((
                self.evidence_id,
                outcome.state.as_str(),
                now_iso(),
                outcome.duration_ms,
                outcome.exit_code,
                &outcome.error,
                output.map(|output| &output.path),
                output.map(|output| &output.sha256),
                output.map(|output| output.bytes),
                output.map(|output| output.kept_bytes),
                &outcome.tree_after,
            ))?;
        let evidence = get(tx, self.evidence_id)?;
        if ended == 0 {
            return Err(Failure::internal(format!("evidence {} has ended before", evidence.id)).into());
        }
        runners::end(tx, evidence.id)?;
        tell(tx, &evidence, "executed_evidence_recorded")?;
        if let (Some(run), Some(iteration)) = (evidence.loop_run_id.clone(), evidence.iteration) {
            leave_receipt(tx, &evidence, run, iteration)?;
        }
        let criteria = match evidence.criterion_id.filter(|_| evidence.state == EvidenceState::Passed) {
            Some(id) => Some(satisfy(tx, &evidence, id, self.satisfy)?),
            None => None,
        };
        Ok(Ended { evidence, criteria })
    }
}

/// What the loop's own gate reads.
fn leave_receipt(
    conn: &Connection,
    evidence: &ExecutedEvidence,
    run: String,
    iteration: i64,
) -> Result<(), StoreError> {
    let passed = evidence.state == EvidenceState::Passed;
    let proof = format!("`{}` came to: {}", shell::command_line(&evidence.argv), evidence.state);
    let receipt = Receipt::new(
        evidence.evidence_type.as_deref().unwrap_or_default(),
        if passed { "pass" } else { "fail" },
        Some(proof),
        reference(evidence),
    )?;
    let pass = LoopPass { task: evidence.task_id.clone(), run, iteration };
    RecordEvidence { pass, source: CriterionSource::ManagerInferred, receipt }.run(conn)?;
    Ok(())
}

fn satisfy(
    conn: &Connection,
    evidence: &ExecutedEvidence,
    id: i64,
    said: Satisfy,
) -> Result<CriteriaState, StoreError> {
    let task = tasks::get(conn, &evidence.task_id)?;
    // What was said of it before stays, such as what somebody tried in order to disprove it.
    let mut facts = criteria::get(conn, &task, id)?.evidence.as_object().cloned().unwrap_or_default();
    facts.extend(reference(evidence));
    let proof =
        said.proof.unwrap_or_else(|| format!("`{}` exited with 0", shell::command_line(&evidence.argv)));
    let change = CriterionMove {
        id,
        status: CriterionStatus::Satisfied,
        proof: Some(proof),
        rationale: said.rationale,
        evidence: Some(facts),
    };
    let affected = criteria::move_to(conn, &task, &change)?;
    criteria::state(conn, task, Some(affected), &[])
}

/// What a criterion's own evidence says of the run that satisfied it.
fn reference(evidence: &ExecutedEvidence) -> Map<String, Value> {
    let fields = json!({
        "command": shell::command_line(&evidence.argv),
        "executed_evidence_id": evidence.id,
        "exit_code": evidence.exit_code,
        "git_commit": evidence.git_commit,
        "git_dirty": evidence.git_dirty,
        "output_sha256": evidence.output_sha256,
        "status": if evidence.state == EvidenceState::Passed { "pass" } else { "fail" },
    });
    fields.as_object().cloned().unwrap_or_default()
}

fn tell(conn: &Connection, evidence: &ExecutedEvidence, event_type: &str) -> Result<(), StoreError> {
    let facts = json!({
        "argv": evidence.argv,
        "criterion_id": evidence.criterion_id,
        "directory": evidence.directory,
        "duration_ms": evidence.duration_ms,
        "error": evidence.error,
        "evidence_id": evidence.id,
        "evidence_type": evidence.evidence_type,
        "exit_code": evidence.exit_code,
        "git_commit": evidence.git_commit,
        "git_dirty": evidence.git_dirty,
        "iteration": evidence.iteration,
        "loop_run_id": evidence.loop_run_id,
        "output_sha256": evidence.output_sha256,
        "run_by_session_id": evidence.run_by_session_id,
        "state": evidence.state,
        "tree": evidence.tree_before,
    });
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type,
            task_id: Some(&evidence.task_id),
            payload: facts,
            ..Event::default()
        },
    )?;
    let severity = match evidence.state {
        EvidenceState::Running | EvidenceState::Passed => Severity::Info,
        _ => Severity::Warning,
    };
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Workerctl,
            event_type,
            severity,
            summary: &format!("executed evidence {} {}", evidence.id, evidence.state),
            task_id: Some(&evidence.task_id),
            run_id: None,
            correlation: json!({ "criterion_id": evidence.criterion_id, "evidence_id": evidence.id }),
            attributes: json!({
                "duration_ms": evidence.duration_ms,
                "exit_code": evidence.exit_code,
                "output_bytes": evidence.output_bytes,
                "state": evidence.state,
            }),
        },
    )?;
    Ok(())
}
