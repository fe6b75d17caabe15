//! Taking evidence: running a command, keeping what it wrote, and seeing what it ran on.

pub mod lost;
mod tree;

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::process::Command;

use super::blocking::blocking;
use super::hub::{Caller, Hub};
use super::job::{Captured, Done, End, Job};
use super::paths::Paths;
use crate::domain::digest::sha256;
use crate::domain::evidence::EvidenceState;
use crate::domain::{Failure, Seconds};
use crate::store::Store;
use crate::store::evidence::{
    About, BeginEvidence, Begun, EndEvidence, Ended, KeptOutput, RunOutcome, Satisfy, SawTree, SeenTree,
    TreeState, WorktreesOf,
};

/// Bytes of a command's output that are kept.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// A command to run, and what it is evidence of.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The task, by id or name.
    pub task: String,
    /// What it is about.
    pub about: About,
    /// The command: a program and its arguments.
    pub argv: Vec<String>,
    /// How long it may run.
    pub time_limit: Seconds,
    /// What to say of the criterion it is about.
    pub satisfy: Satisfy,
}

/// Runs a command as its caller would, in the caller's directory, and puts it on record.
///
/// # Errors
/// When the task or what it is about does not exist; then nothing was run.
pub async fn take(evidence: Evidence, hub: &Hub, caller: &Caller) -> Result<Ended, Failure> {
    let Some((program, arguments)) = evidence.argv.split_first() else {
        return Err(Failure::usage(format!(
            "nothing was run for task {}: there is no command",
            evidence.task
        ))
        .hint("put it behind two hyphens: `-- cargo test`"));
    };
    if evidence.time_limit.duration().is_zero() {
        return Err(Failure::usage(format!(
            "nothing was run for task {}: it was given no time",
            evidence.task
        ))
        .hint("give it some with --time-limit SECONDS"));
    }
    let before = look(&caller.cwd, &hub.paths).await?;
    let begin = BeginEvidence {
        task: evidence.task,
        about: evidence.about,
        argv: evidence.argv.clone(),
        directory: caller.cwd.to_string_lossy().into_owned(),
        time_limit: evidence.time_limit,
        by_thread: caller.thread_id.clone(),
        tree: before.clone(),
    };
    let begun = hub.store.write(begin).await?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&caller.cwd);
    let job = Job {
        command,
        input: Vec::new(),
        limit: evidence.time_limit.duration(),
        keep: KEPT_BYTES,
        merge_errors: true,
    };
    let done = job.run().await;
    let after = match before {
        Some(_) => look(&caller.cwd, &hub.paths).await?,
        None => None,
    };
    let outcome = outcome(done, &begun, hub.paths.clone(), after).await?;
    let end = EndEvidence { evidence_id: begun.evidence_id, outcome, satisfy: evidence.satisfy };
    Ok(hub.store.write(end).await?)
}

async fn look(directory: &Path, paths: &Paths) -> Result<Option<TreeState>, Failure> {
    // What this program writes itself is not the work.
    let except = [vec![paths.state_root.clone()], paths.database_files().into()].concat();
    let directory = directory.to_owned();
    // Gone with this future: then nobody waits for git any more.
    let asks = Arc::new(());
    let wanted = Arc::downgrade(&asks);
    blocking(move || tree::look(&directory, &except, &|| wanted.strong_count() > 0)).await
}

async fn outcome(
    done: io::Result<Done>,
    begun: &Begun,
    paths: Paths,
    after: Option<TreeState>,
) -> Result<RunOutcome, Failure> {
    let tree_after = after.map(|after| after.tree);
    let done = match done {
        Ok(done) => done,
        Err(error) => {
            return Ok(RunOutcome {
                state: EvidenceState::NotStarted,
                exit_code: None,
                error: Some(error.to_string()),
                duration_ms: Some(0),
                output: None,
                tree_after,
            });
        }
    };
    let (state, exit_code, error) = verdict(done.end);
    let duration_ms = Some(i64::try_from(done.took.as_millis()).unwrap_or(i64::MAX));
    let file = output_file(&paths, begun);
    Ok(match blocking(move || keep(&file, &done.output)).await? {
        Ok(output) => RunOutcome { state, exit_code, error, duration_ms, output: Some(output), tree_after },
        // What nobody can look up shows nothing.
        Err(error) => RunOutcome {
            state: EvidenceState::Failed,
            exit_code,
            error: Some(format!("its output could not be kept: {error}")),
            duration_ms,
            output: None,
            tree_after,
        },
    })
}

fn verdict(end: End) -> (EvidenceState, Option<i32>, Option<String>) {
    match end {
        End::Exited(status) if status.success() => (EvidenceState::Passed, Some(0), None),
        End::Exited(status) => {
            let error = status.code().is_none().then(|| status.to_string());
            (EvidenceState::Failed, status.code(), error)
        }
        End::TimedOut => {
            (EvidenceState::TimedOut, None, Some("it did not end in time and was killed".to_owned()))
        }
        End::Interrupted => {
            (EvidenceState::Interrupted, None, Some("it was interrupted and killed".to_owned()))
        }
    }
}

fn output_file(paths: &Paths, begun: &Begun) -> PathBuf {
    let directory = paths.state_root.join("artifacts/tasks").join(&begun.task_id).join("evidence");
    directory.join(format!("{}.log", begun.evidence_id))
}

/// Writes what was captured where only its owner can read it.
fn keep(file: &Path, captured: &Captured) -> io::Result<KeptOutput> {
    DirBuilder::new().recursive(true).mode(0o700).create(file.parent().unwrap_or(Path::new("/")))?;
    let mut kept = File::options().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    kept.write_all(&captured.kept)?;
    Ok(KeptOutput {
        path: file.to_string_lossy().into_owned(),
        sha256: sha256(&captured.kept),
        bytes: i64::try_from(captured.total).unwrap_or(i64::MAX),
        kept_bytes: i64::try_from(captured.kept.len()).unwrap_or(i64::MAX),
    })
}

/// Looks again at the work trees that a task's evidence was taken on, and at who runs what has not ended.
///
/// # Errors
/// `NotFound` for an unknown task.
pub async fn look_again(task: &str, store: &Store, paths: &Paths) -> Result<(), Failure> {
    lost::conclude(store).await?;
    let worktrees = store.read(WorktreesOf { task: task.to_owned() }).await?;
    look_at(worktrees, store, paths).await
}

/// Looks at these work trees.
///
/// # Errors
/// Whatever the store answers.
pub async fn look_at(worktrees: Vec<String>, store: &Store, paths: &Paths) -> Result<(), Failure> {
    for worktree in worktrees {
        let tree = look(Path::new(&worktree), paths).await?.map(|state| state.tree);
        store.write(SawTree(SeenTree { worktree, tree })).await?;
    }
    Ok(())
}
