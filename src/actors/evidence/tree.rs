//! What stands in a git work tree, as one name for all of its content.
//!
//! Git itself makes the name, of a tree object with every file that it does not ignore, in an index and
//! an object directory of our own: the repository is only read. The same content has the same name,
//! whether it is committed or not.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::actors::git::{command, run_while};
use crate::store::evidence::TreeState;

/// Looks at the work tree around `directory`, without `except` and what stands below it. `None` when there
/// is none, git cannot read it, or the answer is not `wanted` any more.
pub fn look(directory: &Path, except: &[PathBuf], wanted: &dyn Fn() -> bool) -> Option<TreeState> {
    let git = Git::around(directory, wanted)?;
    let scratch = tempfile::Builder::new().prefix("conveyor-tree-").tempdir().ok()?;
    let tree = git.write_tree(scratch.path(), except)?;
    let committed = git.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{tree}"]);
    Some(TreeState {
        worktree: git.top.to_str()?.to_owned(),
        commit: git.ask(&["rev-parse", "--verify", "--quiet", "HEAD"]),
        dirty: committed.is_none_or(|committed| committed != tree),
        tree,
    })
}

struct Git<'a> {
    top: PathBuf,
    index: PathBuf,
    objects: PathBuf,
    wanted: &'a dyn Fn() -> bool,
}

impl<'a> Git<'a> {
    fn around(directory: &Path, wanted: &'a dyn Fn() -> bool) -> Option<Self> {
        let question = [
            "rev-parse",
            "--path-format=absolute",
            "--show-toplevel",
            "--git-path",
            "index",
            "--git-path",
            "objects",
        ];
        let answer = run_while(command(directory).args(question), wanted)?;
        let mut paths = answer.lines().map(PathBuf::from);
        Some(Self { top: paths.next()?, index: paths.next()?, objects: paths.next()?, wanted })
    }

    fn ask(&self, question: &[&str]) -> Option<String> {
        run_while(command(&self.top).args(question), self.wanted)
    }

    fn write_tree(&self, scratch: &Path, except: &[PathBuf]) -> Option<String> {
        let (index, objects) = (scratch.join("index"), scratch.join("objects"));
        std::fs::create_dir(&objects).ok()?;
        match copy_with_its_time(&self.index, &index) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return None,
            _ => {}
        }
        let command = || {
            let mut command = command(&self.top);
            command
                .env("GIT_INDEX_FILE", &index)
                .env("GIT_OBJECT_DIRECTORY", &objects)
                .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &self.objects);
            command
        };
        run_while(command().args(["add", "--all", "--"]).args(self.pathspecs(except)), self.wanted)?;
        run_while(command().arg("write-tree"), self.wanted)
    }

    /// Everything but `except`, where that is part of it.
    fn pathspecs(&self, except: &[PathBuf]) -> Vec<OsString> {
        let excluded = except.iter().filter_map(|path| {
            let path = path.canonicalize().unwrap_or_else(|_| path.clone());
            let inner = path.strip_prefix(&self.top).ok().filter(|inner| !inner.as_os_str().is_empty())?;
            let mut pathspec = OsString::from(":(exclude,top,literal)");
            pathspec.push(inner);
            Some(pathspec)
        });
        std::iter::once(".".into()).chain(excluded).collect()
    }
}

/// With the index go the times of the files in it, so that only what changed is read. Git compares them by
/// the second, and reads a file whose time is not before the index's own: that one must stay, too.
fn copy_with_its_time(index: &Path, copy: &Path) -> io::Result<()> {
    let written = std::fs::metadata(index)?.modified()?;
    std::fs::copy(index, copy)?;
    File::options().write(true).open(copy)?.set_modified(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::git::run;

    fn git(directory: &Path, words: &str) {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        assert!(run(command(directory).args(identity).args(words.split(' '))).is_some(), "git {words}");
    }

    #[test]
    fn the_same_content_has_the_same_name_and_the_repository_is_only_read() {
        let directory = tempfile::tempdir().unwrap();
        let (top, state) = (directory.path(), directory.path().join(".codex-workers"));
        let write = |name: &str, text: &str| std::fs::write(top.join(name), text).unwrap();
        let except = [state.clone(), top.join("other.db")];
        let look = || look(top, &except, &|| true).unwrap();
        assert!(super::look(top, &except, &|| true).is_none(), "no repository yet");
        git(top, "init -q");
        write("a", "1");
        let first = look();
        assert_eq!((first.dirty, first.commit.is_some()), (true, false));
        git(top, "add a");
        git(top, "commit -qm first");
        let committed = look();
        assert_eq!((committed.dirty, &committed.tree), (false, &first.tree), "the same content");

        write("b", "new");
        let status = run(command(top).args(["status", "--porcelain"]));
        let objects = run(command(top).args(["count-objects"]));
        let changed = look();
        assert!(changed.dirty && changed.tree != first.tree);
        assert_eq!(run(command(top).args(["status", "--porcelain"])), status);
        assert_eq!(run(command(top).args(["count-objects"])), objects);

        std::fs::create_dir(&state).unwrap();
        std::fs::write(state.join("workerctl.db"), "x").unwrap();
        write("other.db", "x");
        assert_eq!(look(), changed, "the state root is no part of it");
        write(".gitignore", "target\n");
        let ignoring = look();
        write("target", "x");
        assert_eq!(look(), ignoring);
        std::fs::create_dir(top.join("sub")).unwrap();
        assert_eq!(
            super::look(&top.join("sub"), &except, &|| true).unwrap(),
            ignoring,
            "from anywhere in it"
        );
    }

    #[test]
    fn a_change_in_the_second_of_the_index_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        let then = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let back_then = |name: &str| {
            File::options().write(true).open(top.join(name)).unwrap().set_modified(then).unwrap();
        };
        git(top, "init -q");
        git(top, "config core.trustctime false");
        std::fs::write(top.join("a"), "1").unwrap();
        back_then("a");
        git(top, "add a");
        back_then(".git/index");
        let first = look(top, &[], &|| true).unwrap();
        std::fs::write(top.join("a"), "2").unwrap();
        back_then("a");
        assert_ne!(look(top, &[], &|| true).unwrap().tree, first.tree);
    }
}
