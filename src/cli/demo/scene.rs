//! Where a demonstration takes place: one directory with everything in it.

use std::path::{Path, PathBuf};

use super::cast::Cast;
use crate::actors::paths::Paths;
use crate::domain::{Failure, Role};
use crate::own_dir::private_dir;

/// What the directory holds while it is there: state root, Codex home, working directory, logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scene {
    pub(super) root: PathBuf,
    pub(super) cast: Cast,
}

/// Variables that would lead out of the scene.
const LEADING_OUT: [&str; 5] =
    ["WORKERCTL_STATE_ROOT", "CODEX_THREAD_ID", "CODEX_SESSION_ID", "TMUX", "TMUX_PANE"];

impl Scene {
    /// A new scene, not made yet: below the temporary directory, or below `/tmp` where the paths of
    /// its sockets would get too long.
    pub(super) fn pick(cast: Cast) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let below =
            |directory: &Path| Self { root: directory.join(format!("conveyor-demo-{}", &id[..8])), cast };
        let picked = below(&std::env::temp_dir());
        if picked.suits_sockets() { picked } else { below(Path::new("/tmp")) }
    }

    fn suits_sockets(&self) -> bool {
        self.root.is_absolute()
            && self.paths().run_dir().starts_with(&self.root)
            && self.root.to_str().is_some()
    }

    /// Makes the directories.
    ///
    /// # Errors
    /// When one cannot be made.
    pub(super) fn make(&self) -> Result<(), Failure> {
        for directory in [self.root.clone(), self.paths().state_root, self.codex_home(), self.work()] {
            private_dir(&directory).map_err(|error| {
                Failure::external(format!("failed to make {}: {error}", directory.display()))
                    .hint("name a directory that can be written with TMPDIR")
            })?;
        }
        Ok(())
    }

    /// The files of its state root.
    pub(super) fn paths(&self) -> Paths {
        Paths::of(&self.root.join("state"), None)
    }

    /// Where the sessions work.
    pub(super) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Where the sessions' rollouts are.
    pub(super) fn codex_home(&self) -> PathBuf {
        self.root.join("codex")
    }

    /// The socket of its tmux server.
    pub(super) fn tmux_socket(&self) -> PathBuf {
        self.root.join("tmux.sock")
    }

    /// What a program of the demonstration says beside its answers.
    pub(super) fn log(&self, of: &str) -> PathBuf {
        self.root.join(format!("{of}.log"))
    }

    /// The variables that keep a program in the scene. The real Codex needs its own home.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let paths = [
            ("CONVEYOR_STATE_ROOT", Some(self.paths().state_root)),
            ("CONVEYOR_TMUX_SOCKET", Some(self.tmux_socket())),
            ("CODEX_HOME", (!self.cast.codex).then(|| self.codex_home())),
        ];
        let text = |(name, path): (&str, Option<PathBuf>)| {
            path.map(|path| (name.to_owned(), path.to_string_lossy().into_owned()))
        };
        paths.into_iter().filter_map(text).collect()
    }

    /// The variables that a program of the scene must not have.
    pub(super) fn unset_environment() -> Vec<String> {
        LEADING_OUT.map(str::to_owned).to_vec()
    }
}

/// The name of a session, and of its tmux session.
pub(super) fn session_name(role: Role) -> String {
    format!("demo-{role}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAST: Cast = Cast { codex: false, no_tmux: false };

    #[test]
    fn a_scene_holds_its_own_sockets() {
        let check = |root: &str, suits: bool| {
            assert_eq!(Scene { root: root.into(), cast: CAST }.suits_sockets(), suits, "{root}");
        };
        check("/tmp/conveyor-demo-12345678", true);
        check(&format!("/var/{}/conveyor-demo-12345678", "x".repeat(80)), false);
        check("relative/conveyor-demo-12345678", false);
        assert_ne!(Scene::pick(CAST), Scene::pick(CAST));
        assert!(Scene::pick(CAST).suits_sockets());
    }
}
