//! The rollout file of a thread.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// How many day directories are searched, newest first.
const MAX_DAYS: usize = 2000;

/// The rollout of a thread: `sessions/<year>/<month>/<day>/rollout-<time>-<thread>.jsonl`, or its
/// compressed form with `.zst`. The newest days are looked at first; a directory that cannot be
/// read counts as empty. `None` when there is no such file, as before a session's first prompt.
pub fn rollout_for_thread(codex_home: &Path, thread_id: &str) -> Option<PathBuf> {
    let plain = format!("-{thread_id}.jsonl");
    let compressed = format!("{plain}.zst");
    let is_it = |path: &PathBuf| {
        path.file_name().and_then(OsStr::to_str).is_some_and(|name| {
            name.starts_with("rollout-") && (name.ends_with(&plain) || name.ends_with(&compressed))
        })
    };
    let years = newest_first(&codex_home.join("sessions"));
    let months = years.into_iter().flat_map(|year| newest_first(&year));
    let days = months.flat_map(|month| newest_first(&month)).take(MAX_DAYS);
    days.flat_map(|day| newest_first(&day)).find(is_it)
}

/// The Codex home that a rollout lies in, when it lies where Codex puts it.
pub fn home_of_rollout(rollout: &Path) -> Option<PathBuf> {
    let sessions = rollout.ancestors().nth(4)?;
    (sessions.file_name()? == "sessions").then(|| sessions.parent().map(Path::to_owned))?
}

fn newest_first(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort_by(|a, b| b.cmp(a));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollouts_are_found_by_the_id_in_their_name() {
        let home = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = home.path().join("sessions").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        let check = |thread_id: &str, expected: Option<&PathBuf>| {
            assert_eq!(rollout_for_thread(home.path(), thread_id).as_ref(), expected, "{thread_id}");
        };
        check("a", None);
        let old = put("2024/12/31/rollout-2024-12-31T23-59-59-a.jsonl");
        let packed = put("2025/01/01/rollout-2025-01-01T00-00-00-b.jsonl.zst");
        put("2025/01/01/notes-c.jsonl");
        put("2025/01/02/rollout-2025-01-02T00-00-00-d.jsonl.tmp");
        put("stray file");
        check("a", Some(&old));
        check("b", Some(&packed));
        check("c", None);
        check("d", None);
        let newer = put("2026/02/03/rollout-2026-02-03T00-00-00-a.jsonl");
        check("a", Some(&newer));
    }

    #[test]
    fn a_rollout_in_its_place_tells_its_home() {
        fn check(rollout: &str, expect: Option<&str>) {
            assert_eq!(home_of_rollout(Path::new(rollout)).as_deref(), expect.map(Path::new), "{rollout}");
        }
        check("/h/.codex/sessions/2026/01/31/rollout-a.jsonl", Some("/h/.codex"));
        check("/h/.codex/archive/2026/01/31/rollout-a.jsonl", None);
        check("/r/w1.jsonl", None);
    }
}
