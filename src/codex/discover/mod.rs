//! Which session runs in a process: by the locks it holds, else by the rollout it has open.
//!
//! Everything here blocks on the file system or on other programs: call it off the async threads.

mod error;
mod held;
mod identify;
mod locks;
mod lsof;
#[cfg(target_os = "linux")]
mod proc_fs;
mod processes;
mod rollouts;
#[cfg(test)]
mod testing;

pub use error::{DiscoverError, ProcessError};
pub use held::{HeldThread, current_thread, rollouts_open_by, threads_held_by};
pub use identify::{Clues, IdentifyError, Identity, identify};
pub use locks::{LockHolder, lock_holder};
pub use lsof::Lsof;
#[cfg(target_os = "linux")]
pub use proc_fs::ProcFs;
pub use processes::{ProcessTable, Tty, system_processes};
pub use rollouts::{home_of_rollout, rollout_for_thread};

use super::rollout::SessionMeta;
use crate::domain::Recipe;
use std::{env, path::PathBuf};

/// A Codex session that was found in a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSession {
    /// Its thread.
    pub thread_id: String,
    /// Its rollout; `None` until the first prompt writes it.
    pub rollout: Option<PathBuf>,
    /// The process that has the thread: the given one or a descendant of it.
    pub pid: u32,
    /// The Codex home it lives in, when that shows.
    pub codex_home: Option<PathBuf>,
    /// [`Recipe::Embedded`] by its lock, [`Recipe::OpenFiles`] by its rollout.
    pub recipe: Recipe,
}

/// The thread of the session that runs this program as a command, if one does.
pub fn self_thread() -> Option<String> {
    env::var("CODEX_THREAD_ID").ok().filter(|id| !id.is_empty())
}

/// The session that runs in `pid` or a process it started, sub-agents aside. When the session has
/// moved on to another thread, as `/clear` does, it is the newest one.
///
/// # Errors
/// [`DiscoverError::NoSession`] when there is none, [`DiscoverError::Several`] when it is not clear
/// which is meant; [`DiscoverError::Process`] when the processes cannot be looked into.
pub fn session_of(processes: &dyn ProcessTable, pid: u32) -> Result<FoundSession, DiscoverError> {
    let held = threads_held_by(processes, pid)?;
    let mut runners: Vec<u32> = held.iter().map(|thread| thread.pid).collect();
    runners.sort_unstable();
    runners.dedup();
    if runners.len() > 1 {
        return Err(DiscoverError::Several { pid, runners });
    }
    if let Some(held) = current_thread(held) {
        let rollout = rollout_for_thread(&held.codex_home, &held.thread_id);
        return Ok(FoundSession {
            thread_id: held.thread_id,
            rollout,
            pid: held.pid,
            codex_home: Some(held.codex_home),
            recipe: Recipe::Embedded,
        });
    }
    let open = rollouts_open_by(processes, pid, None)?;
    let newest = open.into_iter().rev().find_map(|(pid, path)| {
        let meta = SessionMeta::read(&path).ok().filter(|meta| !meta.is_subagent())?;
        let codex_home = home_of_rollout(&path);
        Some(FoundSession {
            thread_id: meta.id,
            rollout: Some(path),
            pid,
            codex_home,
            recipe: Recipe::OpenFiles,
        })
    });
    newest.ok_or(DiscoverError::NoSession { pid })
}

/// The threads with a rollout that the session in `pid` went through from `thread_id` on, oldest
/// first: a session that moves on keeps the threads it left.
///
/// # Errors
/// As [`session_of`].
pub fn threads_since(
    processes: &dyn ProcessTable,
    pid: u32,
    thread_id: &str,
) -> Result<Vec<(String, PathBuf)>, DiscoverError> {
    let now = session_of(processes, pid)?;
    if now.recipe == Recipe::OpenFiles {
        return Ok(now.rollout.map(|rollout| (now.thread_id, rollout)).into_iter().collect());
    }
    let held = threads_held_by(processes, pid)?;
    let since = held.into_iter().filter(|thread| thread.thread_id.as_str() >= thread_id);
    let with_rollout = |thread: HeldThread| {
        let rollout = rollout_for_thread(&thread.codex_home, &thread.thread_id)?;
        let is_subagent = SessionMeta::read(&rollout).is_ok_and(|meta| meta.is_subagent());
        (!is_subagent).then_some((thread.thread_id, rollout))
    };
    Ok(since.filter_map(with_rollout).collect())
}

#[cfg(test)]
mod tests {
    use super::{testing::*, *};
    use std::{fs, path::Path};

    #[test]
    fn the_lock_says_more_than_the_open_rollout() {
        let home = tempfile::tempdir().unwrap();
        let (old, new) = (thread_id(1), thread_id(2));
        let rollout = write_rollout(home.path(), &old, None);
        let open_only = FakeProcesses::of(&[(7, &[8])], &[(8, &[&rollout])]);
        let expected = FoundSession {
            thread_id: old.clone(),
            rollout: Some(rollout.clone()),
            pid: 8,
            codex_home: Some(home.path().to_owned()),
            recipe: Recipe::OpenFiles,
        };
        assert_eq!(session_of(&open_only, 7).unwrap(), expected);

        let lock = lock_path(home.path(), &new);
        let cleared = FakeProcesses::of(&[(7, &[8])], &[(8, &[&rollout, &lock])]);
        let expected =
            FoundSession { thread_id: new.clone(), rollout: None, recipe: Recipe::Embedded, ..expected };
        assert_eq!(session_of(&cleared, 7).unwrap(), expected);

        let rollout = write_rollout(home.path(), &new, None);
        assert_eq!(session_of(&cleared, 7).unwrap().rollout, Some(rollout));
    }

    #[test]
    fn a_session_that_moved_on_twice_went_through_both_threads() {
        let home = tempfile::tempdir().unwrap();
        let ids: Vec<String> = (1..=5).map(thread_id).collect();
        let locks: Vec<PathBuf> = ids.iter().map(|id| lock_path(home.path(), id)).collect();
        let mut rollouts: Vec<PathBuf> =
            ids[..3].iter().map(|id| write_rollout(home.path(), id, None)).collect();
        rollouts.push(write_rollout(home.path(), &ids[3], Some(&ids[2])));
        let locks: Vec<&Path> = locks.iter().map(PathBuf::as_path).collect();
        let check = |held: &[&Path], since: usize, expect: &[usize]| {
            let processes = FakeProcesses::of(&[], &[(7, held)]);
            let threads = threads_since(&processes, 7, &ids[since]).unwrap();
            let expect: Vec<_> = expect.iter().map(|n| (ids[*n].clone(), rollouts[*n].clone())).collect();
            assert_eq!(threads, expect);
        };
        // The fourth is a sub-agent's, the fifth has no rollout yet.
        check(&locks, 0, &[0, 1, 2]);
        check(&locks, 1, &[1, 2]);
        check(&locks[4..], 0, &[]);
        check(&[&rollouts[2]], 0, &[2]);
    }

    #[test]
    fn two_sessions_side_by_side_are_not_mixed_up() {
        let home = Path::new("/h");
        let (a, b) = (lock_path(home, &thread_id(1)), lock_path(home, &thread_id(2)));
        let processes = FakeProcesses::of(&[(1, &[8, 9])], &[(8, &[&a]), (9, &[&b])]);
        let error = session_of(&processes, 1).unwrap_err();
        assert!(
            matches!(&error, DiscoverError::Several { pid: 1, runners } if runners == &[8, 9]),
            "{error}"
        );
        assert_eq!(session_of(&processes, 9).unwrap().thread_id, thread_id(2));
    }

    #[test]
    fn what_is_no_rollout_is_no_session() {
        let home = tempfile::tempdir().unwrap();
        let rollout = write_rollout(home.path(), &thread_id(1), None);
        fs::write(&rollout, "hello\n").unwrap();
        let processes = FakeProcesses::of(&[], &[(7, &[&rollout])]);
        assert!(matches!(session_of(&processes, 7), Err(DiscoverError::NoSession { pid: 7 })));
        let gone = session_of(&processes, 9).unwrap_err();
        assert!(matches!(gone, DiscoverError::Process(ProcessError::Gone { pid: 9 })), "{gone}");
    }
}
