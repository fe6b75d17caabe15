//! What the processes of a session hold: its thread's lock, its rollout.

use super::{error::ProcessError, processes::ProcessTable, rollouts::rollout_for_thread};
use crate::{codex::rollout::SessionMeta, domain::time::parse_iso};
use jiff::Timestamp;
use std::{
    collections::HashSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// The directory in Codex's home with one lock file per loaded thread.
pub(super) const LOCK_DIRECTORY: &str = "thread-writer-locks";

/// How many processes of a tree are looked at. A session with its tools has a few dozen.
const MAX_PROCESSES: usize = 4096;

/// A thread that a process has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldThread {
    /// The thread.
    pub thread_id: String,
    /// The Codex home it lives in.
    pub codex_home: PathBuf,
    /// The process that holds it.
    pub pid: u32,
}

/// The threads that `pid` and the processes it started have loaded, oldest first, sub-agents
/// included. Codex makes a thread's lock when it starts, before there is a rollout.
///
/// Of a process and a child that has the same lock open, it is the process that holds it: a child
/// has its parent's files until it becomes another program.
///
/// # Errors
/// [`ProcessError`] when `pid` is gone, or nothing was found and something could not be looked into.
pub fn threads_held_by(processes: &dyn ProcessTable, pid: u32) -> Result<Vec<HeldThread>, ProcessError> {
    let mut held = find_open(processes, pid, held_thread)?;
    // Parents come before their children, and stay there.
    held.sort_by(|a, b| a.thread_id.cmp(&b.thread_id));
    held.dedup_by(|later, first| later.thread_id == first.thread_id);
    Ok(held)
}

/// Of the threads one session holds, the one a person talks to: the newest that is no sub-agent.
/// Thread ids are UUIDv7, which sort by age.
pub fn current_thread(held: Vec<HeldThread>) -> Option<HeldThread> {
    held.into_iter().filter(|thread| !is_subagent(thread)).max_by(|a, b| a.thread_id.cmp(&b.thread_id))
}

fn is_subagent(thread: &HeldThread) -> bool {
    rollout_for_thread(&thread.codex_home, &thread.thread_id)
        .and_then(|rollout| SessionMeta::read(&rollout).ok())
        .is_some_and(|meta| meta.is_subagent())
}

/// The rollouts that `pid` and the processes it started have open, each with the process, oldest
/// first by name. With `not_before`, only those whose session began then or later: what was open
/// before is another session's.
///
/// # Errors
/// As [`threads_held_by`].
pub fn rollouts_open_by(
    processes: &dyn ProcessTable,
    pid: u32,
    not_before: Option<Timestamp>,
) -> Result<Vec<(u32, PathBuf)>, ProcessError> {
    let mut open = find_open(processes, pid, |pid, path| {
        (is_rollout(path) && began_since(path, not_before)).then(|| (pid, path.to_owned()))
    })?;
    open.sort_by(|(_, a), (_, b)| a.file_name().cmp(&b.file_name()));
    open.dedup_by(|(_, later), (_, first)| later == first);
    Ok(open)
}

fn began_since(rollout: &Path, not_before: Option<Timestamp>) -> bool {
    let Some(not_before) = not_before else { return true };
    let began = || parse_iso(&SessionMeta::read(rollout).ok()?.timestamp?);
    began().is_some_and(|began| began >= not_before)
}

/// Whether `path` is `…/sessions/…/rollout-*.jsonl`.
fn is_rollout(path: &Path) -> bool {
    let is_named_so = |name: &str| name.starts_with("rollout-") && name.ends_with(".jsonl");
    path.file_name().and_then(OsStr::to_str).is_some_and(is_named_so)
        && path.components().any(|part| part.as_os_str() == "sessions")
}

/// The thread of `<home>/thread-writer-locks/<id>.lock`.
fn held_thread(pid: u32, path: &Path) -> Option<HeldThread> {
    let directory = path.parent().filter(|dir| dir.file_name() == Some(OsStr::new(LOCK_DIRECTORY)))?;
    let thread_id = path.file_name()?.to_str()?.strip_suffix(".lock")?;
    uuid::Uuid::parse_str(thread_id).ok()?;
    Some(HeldThread { thread_id: thread_id.to_owned(), codex_home: directory.parent()?.to_owned(), pid })
}

/// What `pick` finds among the open files of `root`; of its children, when `root` has none; of
/// theirs, when they have none. What is further down was started by the session: its tools may run
/// a Codex of their own.
fn find_open<T>(
    processes: &dyn ProcessTable,
    root: u32,
    pick: impl Fn(u32, &Path) -> Option<T>,
) -> Result<Vec<T>, ProcessError> {
    let mut failure = None;
    let mut seen = HashSet::from([root]);
    let mut generation = vec![root];
    while !generation.is_empty() && seen.len() <= MAX_PROCESSES {
        let mut found = Vec::new();
        for pid in generation.iter().filter(|pid| !is_shared_server(processes, **pid)) {
            match processes.open_files(*pid) {
                Ok(files) => found.extend(files.iter().filter_map(|path| pick(*pid, path))),
                Err(ProcessError::Gone { .. }) if *pid != root => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        generation = next_generation(processes, root, &generation)?;
        generation.retain(|pid| seen.insert(*pid));
    }
    failure.map_or(Ok(Vec::new()), Err)
}

/// The children of a generation. Those that end meanwhile, or hide their children, have none.
fn next_generation(
    processes: &dyn ProcessTable,
    root: u32,
    generation: &[u32],
) -> Result<Vec<u32>, ProcessError> {
    let mut children = Vec::new();
    for pid in generation {
        match processes.children(*pid) {
            Ok(found) => children.extend(found),
            Err(error) if *pid == root => return Err(error),
            Err(_) => {}
        }
    }
    Ok(children)
}

/// Whether a process is the server that all sessions of a Codex home share. It is a child of the
/// first of them, and nothing tells which of its threads belongs to which terminal.
fn is_shared_server(processes: &dyn ProcessTable, pid: u32) -> bool {
    let arguments = processes.arguments(pid).unwrap_or_default();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    has("app-server") && (has("--managed-daemon") || has("unix://"))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn threads_of_a_tree() {
        let home = Path::new("/home/me/.codex");
        let (a, b) = (thread_id(1), thread_id(2));
        let (lock_a, lock_b) = (lock_path(home, &a), lock_path(home, &b));
        let coordination = home.join(LOCK_DIRECTORY).join(".coordination.lock");
        let check = |open: &[(u32, &[&Path])], expected: &[(u32, &str)]| {
            let processes = FakeProcesses::of(&[(1, &[2]), (2, &[3, 1])], open);
            let held = threads_held_by(&processes, 1).unwrap();
            let held: Vec<_> = held.iter().map(|held| (held.pid, held.thread_id.as_str())).collect();
            assert_eq!(held, expected);
        };
        check(&[(3, &[&lock_a])], &[(3, &a)]);
        check(&[(3, &[&lock_b, &lock_a, &coordination])], &[(3, &a), (3, &b)]);
        check(&[(2, &[&lock_a]), (3, &[&lock_b])], &[(2, &a)]);
        check(&[(1, &[Path::new("/dev/null")])], &[]);
        check(&[(9, &[&lock_a])], &[]);
        check(&[(1, &[&home.join("elsewhere").join(format!("{a}.lock"))])], &[]);
    }

    #[test]
    fn a_server_that_many_sessions_share_is_nobodys() {
        let lock = lock_path(Path::new("/h"), &thread_id(1));
        let check = |arguments: &[&str], expected: usize| {
            let mut processes = FakeProcesses::of(&[(1, &[2])], &[(2, &[&lock])]);
            processes.start_with(2, arguments);
            for root in [1, 2] {
                assert_eq!(threads_held_by(&processes, root).unwrap().len(), expected, "{arguments:?}");
            }
        };
        check(&["codex", "app-server", "--listen", "unix://", "--managed-daemon"], 0);
        check(&["codex", "app-server", "--listen", "unix://"], 0);
        check(&["codex", "app-server", "--listen", "unix:///run/as.sock"], 1);
        check(&["codex", "--no-daemon"], 1);
    }

    #[test]
    fn the_current_thread_is_the_newest_that_is_no_subagent() {
        let home = tempfile::tempdir().unwrap();
        let (first, second, agent) = (thread_id(1), thread_id(2), thread_id(3));
        write_rollout(home.path(), &first, None);
        write_rollout(home.path(), &agent, Some(&first));
        let check = |ids: &[&String], expected: Option<&String>| {
            let held = ids.iter().map(|id| HeldThread {
                thread_id: (*id).clone(),
                codex_home: home.path().to_owned(),
                pid: 1,
            });
            assert_eq!(current_thread(held.collect()).map(|held| held.thread_id).as_ref(), expected);
        };
        check(&[&first], Some(&first));
        check(&[&first, &agent], Some(&first));
        check(&[&first, &second, &agent], Some(&second));
        check(&[&agent], None);
        check(&[], None);
    }

    #[test]
    fn open_rollouts() {
        fn check(path: &str, expected: bool) {
            assert_eq!(is_rollout(Path::new(path)), expected, "{path}");
        }
        check("/h/.codex/sessions/2026/01/01/rollout-2026-01-01T00-00-00-x.jsonl", true);
        check("/h/sessions/rollout-x.jsonl", true);
        check("/h/.codex/archived/rollout-x.jsonl", false);
        check("/h/.codex/sessions/2026/01/01/rollout-x.jsonl (deleted)", false);
        check("/h/.codex/sessions/history.jsonl", false);
    }

    #[test]
    fn rollouts_that_began_before_are_left_out_when_asked() {
        let home = tempfile::tempdir().unwrap();
        let rollout = write_rollout(home.path(), &thread_id(1), None);
        let processes = FakeProcesses::of(&[], &[(1, &[&rollout])]);
        let check = |not_before: Option<&str>, expected: usize| {
            let not_before = not_before.map(|text| text.parse().unwrap());
            assert_eq!(rollouts_open_by(&processes, 1, not_before).unwrap().len(), expected);
        };
        check(None, 1);
        check(Some("2026-01-01T00:00:00Z"), 1);
        check(Some("2026-01-01T00:00:00.001Z"), 0);
    }

    #[test]
    fn a_child_with_its_parents_files_holds_nothing() {
        let home = tempfile::tempdir().unwrap();
        let rollout = write_rollout(home.path(), &thread_id(1), None);
        let lock = lock_path(home.path(), &thread_id(1));
        let processes = FakeProcesses::of(
            &[(1, &[2]), (2, &[9, 3])],
            &[(2, &[&lock, &rollout]), (3, &[&lock, &rollout]), (9, &[&lock, &rollout])],
        );
        let held = threads_held_by(&processes, 1).unwrap();
        assert_eq!(held.iter().map(|held| held.pid).collect::<Vec<_>>(), [2]);
        assert_eq!(rollouts_open_by(&processes, 1, None).unwrap(), [(2, rollout)]);
    }

    #[test]
    fn what_cannot_be_looked_into_matters_when_nothing_is_found() {
        let lock = lock_path(Path::new("/h"), &thread_id(1));
        let mut processes = FakeProcesses::of(&[(1, &[2, 3])], &[(3, &[&lock])]);
        processes.forbid(2);
        assert_eq!(threads_held_by(&processes, 1).unwrap().len(), 1);
        processes.forbid(3);
        let error = threads_held_by(&processes, 1).unwrap_err();
        assert!(matches!(error, ProcessError::Forbidden { pid: 2, .. }), "{error}");
        assert_eq!(threads_held_by(&processes, 7), Err(ProcessError::Gone { pid: 7 }));
    }
}
