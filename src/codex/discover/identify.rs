//! Which session somebody means, from whatever clue they give.

use std::path::{Path, PathBuf};

use super::{
    DiscoverError, FoundSession, LockHolder, ProcessTable, lock_holder, rollout_for_thread,
    rollouts::home_of_rollout, session_of,
};
use crate::codex::rollout::{MetaError, SessionMeta};
use crate::domain::{Failure, Recipe, time::iso};

/// What is known of a session before it is looked for. The rollout says most, then the process.
#[derive(Debug, Clone, Default)]
pub struct Clues {
    /// Its rollout file, absolute.
    pub rollout: Option<PathBuf>,
    /// The process that runs it, or one that started that.
    pub pid: Option<u32>,
    /// Its thread.
    pub thread_id: Option<String>,
    /// Where to look for the rollout of `thread_id`.
    pub codex_home: Option<PathBuf>,
}

/// A session that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What its rollout says about it.
    pub meta: SessionMeta,
    /// Its rollout file.
    pub rollout: PathBuf,
    /// Its `CODEX_HOME`, when the rollout lies where Codex puts it.
    pub codex_home: Option<PathBuf>,
    /// How it was found.
    pub recipe: Recipe,
    /// The process that runs it.
    pub pid: Option<u32>,
    /// When that process started, as stored text.
    pub pid_started_at: Option<String>,
}

/// Why nobody can be identified.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    /// Nothing to go by.
    #[error("which session is meant?")]
    NoClue,
    /// The process runs none.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// The file is no rollout.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The thread is there, its file is not.
    #[error("thread {thread_id} has no rollout yet")]
    NoRolloutYet {
        /// The thread.
        thread_id: String,
    },
    /// The thread works for another one.
    #[error("{} records a sub-agent, which nobody can talk to", rollout.display())]
    Subagent {
        /// The file.
        rollout: PathBuf,
        /// The thread it works for.
        parent: Option<String>,
    },
}

impl IdentifyError {
    /// As a failure that begins with what was not done, e.g. `session w1 was not registered`.
    pub fn failure(self, not_done: &str) -> Failure {
        let message = format!("{not_done}: {self}");
        match self {
            Self::NoClue => Failure::usage(message)
                .hint("give --pid PID, or --codex-session PATH of its rollout")
                .hint("inside the session itself neither is needed"),
            Self::Discover(error) => {
                let failure = Failure::from(error);
                Failure { message, ..failure }
                    .hint("or run the same command inside the session, without --pid")
            }
            Self::Meta(MetaError::Read(_)) => Failure::not_found(message).hint("check the path"),
            Self::Meta(MetaError::Empty { .. }) | Self::NoRolloutYet { .. } => {
                Failure::refused(message).hint("type something into the Codex prompt, then try again")
            }
            Self::Meta(_) => Failure::refused(message)
                .hint("a rollout is a file like ~/.codex/sessions/2026/01/31/rollout-….jsonl"),
            Self::Subagent { parent, .. } => {
                let failure = Failure::refused(message);
                match parent {
                    Some(parent) => failure.hint(format!("the session to register is thread {parent}")),
                    None => failure,
                }
            }
        }
    }
}

/// Finds the session that the clues lead to. Blocks.
///
/// # Errors
/// [`IdentifyError`].
pub fn identify(processes: &dyn ProcessTable, clues: Clues) -> Result<Identity, IdentifyError> {
    let Clues { rollout, pid, thread_id, codex_home } = clues;
    match (rollout, pid, thread_id, codex_home) {
        (Some(rollout), pid, ..) => by_rollout(processes, rollout, pid),
        (None, Some(pid), ..) => by_process(processes, pid),
        (None, None, Some(thread_id), Some(home)) => match rollout_for_thread(&home, &thread_id) {
            Some(rollout) => by_rollout(processes, rollout, None),
            None => Err(IdentifyError::NoRolloutYet { thread_id }),
        },
        _ => Err(IdentifyError::NoClue),
    }
}

fn by_process(processes: &dyn ProcessTable, pid: u32) -> Result<Identity, IdentifyError> {
    let found = session_of(processes, pid)?;
    let Some(rollout) = found.rollout else {
        return Err(IdentifyError::NoRolloutYet { thread_id: found.thread_id });
    };
    let meta = read_meta(&rollout)?;
    Ok(Identity {
        meta,
        codex_home: found.codex_home.or_else(|| home_of_rollout(&rollout)),
        rollout,
        recipe: found.recipe,
        pid: Some(found.pid),
        pid_started_at: started_at(processes, found.pid),
    })
}

/// The file decides. The processes only tell more about the session in it.
fn by_rollout(
    processes: &dyn ProcessTable,
    rollout: PathBuf,
    pid: Option<u32>,
) -> Result<Identity, IdentifyError> {
    let meta = read_meta(&rollout)?;
    let codex_home = home_of_rollout(&rollout);
    let confirmed = match pid {
        Some(pid) => session_of(processes, pid).ok().filter(|found| found.thread_id == meta.id),
        None => holder(codex_home.as_deref(), &meta.id),
    };
    let (recipe, pid) = match confirmed {
        Some(found) => (found.recipe, Some(found.pid)),
        None => (Recipe::Given, pid),
    };
    let pid_started_at = pid.and_then(|pid| started_at(processes, pid));
    Ok(Identity { meta, rollout, codex_home, recipe, pid, pid_started_at })
}

fn holder(codex_home: Option<&Path>, thread_id: &str) -> Option<FoundSession> {
    match lock_holder(codex_home?, thread_id) {
        Ok(LockHolder::Process(pid)) => Some(FoundSession {
            thread_id: thread_id.to_owned(),
            rollout: None,
            pid,
            codex_home: codex_home.map(Path::to_owned),
            recipe: Recipe::Embedded,
        }),
        // Not loaded anywhere, or not to be seen from here: the file is still the session's.
        _ => None,
    }
}

fn read_meta(rollout: &Path) -> Result<SessionMeta, IdentifyError> {
    let meta = SessionMeta::read(rollout)?;
    if meta.is_subagent() {
        let parent = meta.parent_thread_id;
        return Err(IdentifyError::Subagent { rollout: rollout.to_owned(), parent });
    }
    Ok(meta)
}

fn started_at(processes: &dyn ProcessTable, pid: u32) -> Option<String> {
    processes.started_at(pid).ok().map(iso)
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn clues() -> Clues {
        Clues::default()
    }

    #[test]
    fn a_process_leads_to_its_session() {
        let home = tempfile::tempdir().unwrap();
        let id = thread_id(1);
        let rollout = write_rollout(home.path(), &id, None);
        let lock = lock_path(home.path(), &id);
        let check = |open: &Path, recipe: Recipe| {
            let processes = FakeProcesses::of(&[(7, &[8])], &[(8, &[open])]);
            let found = identify(&processes, Clues { pid: Some(7), ..clues() }).unwrap();
            assert_eq!((&found.meta.id, &found.rollout, found.recipe), (&id, &rollout, recipe));
            assert_eq!((found.pid, found.codex_home), (Some(8), Some(home.path().to_owned())));
            assert_eq!(found.pid_started_at.as_deref(), Some("1970-01-01T00:00:00.000Z"));
        };
        check(&lock, Recipe::Embedded);
        check(&rollout, Recipe::OpenFiles);
    }

    #[test]
    fn a_rollout_is_believed_and_its_process_only_when_it_runs_that_thread() {
        let home = tempfile::tempdir().unwrap();
        let rollout = write_rollout(home.path(), &thread_id(1), None);
        let lock = lock_path(home.path(), &thread_id(1));
        let processes = FakeProcesses::of(&[(7, &[]), (9, &[])], &[(7, &[&lock])]);
        let check = |pid: Option<u32>, recipe: Recipe| {
            let found =
                identify(&processes, Clues { rollout: Some(rollout.clone()), pid, ..clues() }).unwrap();
            assert_eq!((found.recipe, found.pid), (recipe, pid));
        };
        check(Some(7), Recipe::Embedded);
        check(Some(9), Recipe::Given);
        check(Some(99), Recipe::Given);
        check(None, Recipe::Given);
    }

    #[test]
    fn a_session_is_found_by_its_own_thread_id() {
        let home = tempfile::tempdir().unwrap();
        let by_thread = |id: String| {
            let codex_home = Some(home.path().to_owned());
            identify(&FakeProcesses::default(), Clues { thread_id: Some(id), codex_home, ..clues() })
        };
        assert!(matches!(by_thread(thread_id(1)), Err(IdentifyError::NoRolloutYet { .. })));
        let rollout = write_rollout(home.path(), &thread_id(1), None);
        assert_eq!(by_thread(thread_id(1)).unwrap().rollout, rollout);
    }

    #[test]
    fn what_leads_nowhere_says_what_to_try() {
        let home = tempfile::tempdir().unwrap();
        let child = write_rollout(home.path(), &thread_id(2), Some(&thread_id(1)));
        let lock = lock_path(home.path(), &thread_id(3));
        let processes = FakeProcesses::of(&[(9, &[])], &[(7, &[&lock])]);
        let check = |clues: Clues, kind: &str, hint: &str| {
            let failure = identify(&processes, clues).unwrap_err().failure("session w1 was not registered");
            assert!(failure.message.starts_with("session w1 was not registered: "), "{failure:?}");
            assert!(failure.message.contains(kind), "{failure:?}");
            assert!(failure.hints.iter().any(|given| given.contains(hint)), "{failure:?}");
        };
        check(clues(), "which session", "--pid PID");
        check(Clues { pid: Some(7), ..clues() }, "has no rollout yet", "type something");
        check(Clues { pid: Some(9), ..clues() }, "runs no Codex session", "--codex-session");
        check(Clues { pid: Some(99), ..clues() }, "no process 99", "--codex-session");
        check(Clues { rollout: Some(child), ..clues() }, "sub-agent", &thread_id(1));
        check(Clues { rollout: Some("/nowhere".into()), ..clues() }, "/nowhere", "check the path");
    }
}
