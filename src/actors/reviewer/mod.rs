//! Having a command review a pair of proposals, out of reach of what the manager has seen.
//!
//! It is told what it may know on its standard input, and answers with a verdict. Whatever goes wrong
//! is the verdict `stop`: an answer that was not given approves of nothing.

mod surroundings;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::blocking::blocking;
use super::hub::Caller;
use super::job::{Done, End, Job};
use super::paths::Paths;
use super::sandbox::Sandbox;
use crate::domain::Failure;
use crate::domain::continuation::{Agreement, Review, SubagentRun, Verdict};
use crate::store::continuations::{Continuation, ReviewSubject};

/// What a reviewer is shown.
const ALLOWED_CONTEXT: [&str; 9] = [
    "task",
    "correlation_id",
    "worker_continuation",
    "manager_continuation",
    "acceptance_criteria",
    "manager_config_summary",
    "diff",
    "recent_pull_requests",
    "constraints",
];

/// Bytes of an answer that are read. A verdict is far shorter.
const MAX_ANSWER: usize = 1024 * 1024;

/// Characters of what went wrong that are kept.
const MAX_COMPLAINT: usize = 500;

/// The variables of this process that a reviewer keeps.
const KEPT_VARIABLES: [&str; 4] = ["PATH", "LANG", "LC_ALL", "LC_CTYPE"];

/// A command that reviews.
#[derive(Debug, Clone)]
pub struct Reviewer {
    /// The command.
    pub argv: Vec<String>,
    /// The session it speaks for.
    pub reviewer_session_id: String,
    /// The session whose proposal it reviews.
    pub manager_session_id: String,
    /// How long it may take.
    pub limit: Duration,
}

/// All that the reviewer is told.
///
/// # Errors
/// When the runtime is shutting down.
pub async fn context(subject: &ReviewSubject, caller: &Caller) -> Result<Value, Failure> {
    let (directory, may_fetch) = (caller.cwd.clone(), subject.may_fetch_pull_requests);
    let (diff, pull_requests) = blocking(move || {
        (surroundings::diff(&directory), surroundings::pull_requests(&directory, may_fetch))
    })
    .await?;
    Ok(json!({
        "acceptance_criteria": subject.criteria,
        "allowed_context": ALLOWED_CONTEXT,
        "constraints": {
            "manager_rollout_access": false,
            "read_only": true,
            "return_json_schema": {
                "addendum": "string: what is to be done differently, or nothing",
                "agreement": "match | compatible | divergent",
                "rationale": "string",
                "verdict": "proceed | amend | stop",
            },
        },
        "correlation_id": subject.worker.correlation_id,
        "diff": diff,
        "manager_config_summary": subject.contract,
        "manager_continuation": shown(&subject.manager),
        "recent_pull_requests": pull_requests,
        "task": {
            "goal": subject.task.goal,
            "id": subject.task.id,
            "name": subject.task.name,
            "state": subject.task.state,
        },
        "worker_continuation": shown(&subject.worker),
    }))
}

fn shown(proposal: &Continuation) -> Value {
    json!({
        "created_at": proposal.created_at,
        "id": proposal.id,
        "payload": proposal.payload,
        "revision": proposal.revision,
    })
}

/// What a reviewer answers.
#[derive(Debug, Deserialize)]
struct Answer {
    agreement: Agreement,
    verdict: Verdict,
    rationale: String,
    #[serde(default)]
    addendum: Option<String>,
}

/// How a run went, beside its answer.
#[derive(Default)]
struct Traces {
    sandbox: Option<Value>,
    returncode: Option<i32>,
    duration_ms: Option<u64>,
}

/// Why there is no answer, and the word for it.
struct NoAnswer {
    status: &'static str,
    why: String,
}

impl NoAnswer {
    fn failed(why: impl Into<String>) -> Self {
        Self { status: "failed", why: why.into() }
    }
}

impl Reviewer {
    /// Runs it. Whatever happens, there is a review.
    pub async fn review(
        &self,
        context: &Value,
        subject: &ReviewSubject,
        paths: &Paths,
        caller: &Caller,
    ) -> Review {
        let mut traces = Traces::default();
        let answer = self.ask(context, subject, paths, caller, &mut traces).await;
        let (answer, status) = match answer {
            Ok(answer) => (answer, "succeeded"),
            Err(NoAnswer { status, why }) => (stop(&why), status),
        };
        Review {
            agreement: answer.agreement,
            verdict: answer.verdict,
            rationale: answer.rationale,
            addendum: answer.addendum,
            subagent_run: self.account(status, &traces),
        }
    }

    async fn ask(
        &self,
        context: &Value,
        subject: &ReviewSubject,
        paths: &Paths,
        caller: &Caller,
        traces: &mut Traces,
    ) -> Result<Answer, NoAnswer> {
        let scratch = tempfile::Builder::new()
            .prefix("conveyor-review-")
            .tempdir()
            .map_err(|error| NoAnswer::failed(format!("no directory could be made for it: {error}")))?;
        let sandbox = Sandbox { denied: kept_from_it(subject, paths), scratch: scratch.path().to_owned() };
        let mut command = sandbox
            .command(&resolved(&self.argv, &caller.cwd))
            .map_err(|failure| NoAnswer::failed(failure.message))?;
        command.env_clear().envs(environment(scratch.path())).current_dir(scratch.path());
        let input = context.to_string().into_bytes();
        let job = Job { command, input, limit: self.limit, keep: MAX_ANSWER, merge_errors: false };
        let done =
            job.run().await.map_err(|error| NoAnswer::failed(format!("it could not be run: {error}")))?;
        traces.duration_ms = u64::try_from(done.took.as_millis()).ok();
        judge(&sandbox, &done, self.limit, traces)
    }

    fn account(&self, status: &str, traces: &Traces) -> SubagentRun {
        let more = json!({
            "duration_ms": traces.duration_ms,
            "returncode": traces.returncode,
            "runner": self.argv.first(),
            "runner_arg_count": self.argv.len(),
            "sandbox": traces.sandbox,
        });
        SubagentRun {
            reviewer_session_id: self.reviewer_session_id.clone(),
            manager_session_id: self.manager_session_id.clone(),
            manager_rollout_access: false,
            status: Some(status.to_owned()),
            allowed_context: Some(ALLOWED_CONTEXT.map(str::to_owned).to_vec()),
            more: more.as_object().cloned().unwrap_or_else(Map::new),
        }
    }
}

/// What counts when there is no answer.
fn stop(why: &str) -> Answer {
    Answer {
        agreement: Agreement::Divergent,
        verdict: Verdict::Stop,
        rationale: format!("the reviewer gave no verdict: {why}"),
        addendum: None,
    }
}

/// Reads an answer, where the command ended well and gave one.
fn judge(sandbox: &Sandbox, done: &Done, limit: Duration, traces: &mut Traces) -> Result<Answer, NoAnswer> {
    let complaint = || done.errors.text().trim().chars().take(MAX_COMPLAINT).collect::<String>();
    let (report, answer) = sandbox
        .report(&done.output.kept)
        .map_err(|failure| NoAnswer::failed(format!("{}: {}", failure.message, complaint())))?;
    traces.sandbox = Some(report);
    match done.end {
        End::TimedOut => {
            let why = format!("it did not end within {} s and was killed", limit.as_secs_f64());
            return Err(NoAnswer { status: "timeout", why });
        }
        End::Interrupted => return Err(NoAnswer { status: "cancelled", why: "it was interrupted".into() }),
        End::Exited(status) => {
            traces.returncode = status.code();
            if !status.success() {
                return Err(NoAnswer::failed(format!("it ended with {status}: {}", complaint())));
            }
        }
    }
    if done.output.total > done.output.kept.len() as u64 {
        return Err(NoAnswer::failed(format!("its answer is longer than {MAX_ANSWER} bytes")));
    }
    let answer: Answer = serde_json::from_slice(answer).map_err(|error| {
        NoAnswer::failed(format!("its answer is not the JSON that was asked for: {error}"))
    })?;
    if answer.rationale.trim().is_empty() {
        return Err(NoAnswer::failed("its answer has an empty rationale"));
    }
    Ok(answer)
}

/// Where everything stands that the reviewer must not see.
fn kept_from_it(subject: &ReviewSubject, paths: &Paths) -> Vec<PathBuf> {
    let own = [paths.state_root.clone(), paths.run_dir()].into_iter().chain(paths.database_files());
    own.chain(subject.rollouts.iter().map(PathBuf::from)).collect()
}

/// A program that is named by a path is meant from where the caller is: it will run elsewhere.
fn resolved(argv: &[String], cwd: &Path) -> Vec<String> {
    let mut argv = argv.to_vec();
    if let Some(program) = argv.first_mut().filter(|program| program.contains('/')) {
        *program = cwd.join(&*program).to_string_lossy().into_owned();
    }
    argv
}

fn environment(scratch: &Path) -> Vec<(OsString, OsString)> {
    let kept = KEPT_VARIABLES.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
    kept.chain([("TMPDIR".into(), scratch.into())]).collect()
}
