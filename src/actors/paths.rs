//! Where a runtime keeps its files.

use std::path::{Path, PathBuf};

use crate::domain::digest::sha256;
use crate::own_dir::own_temporary;

/// Variables that name the state root, in the order they are looked at.
const STATE_ROOT_VARIABLES: [&str; 2] = ["CONVEYOR_STATE_ROOT", "WORKERCTL_STATE_ROOT"];

/// The directory of the state root when no variable names one.
const STATE_ROOT_DIRECTORY: &str = ".codex-workers";

/// The database's file name below the state root.
const DATABASE_NAME: &str = "workerctl.db";

/// A Unix socket's path must fit `sun_path`, which holds 108 bytes on Linux and 104 on macOS.
const SOCKET_PATH_LIMIT: usize = 100;

/// The files of one state root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The state root, absolute.
    pub state_root: PathBuf,
    /// The database, absolute. Below the state root unless `--path` names another.
    pub database: PathBuf,
}

impl Paths {
    /// The paths for a command invoked in `cwd`: `$CONVEYOR_STATE_ROOT`, else
    /// `$WORKERCTL_STATE_ROOT`, else `.codex-workers` in `cwd`. `database` overrides the file.
    pub fn resolve(cwd: &Path, database: Option<&Path>) -> Self {
        let named = STATE_ROOT_VARIABLES
            .iter()
            .find_map(|name| std::env::var_os(name).filter(|value| !value.is_empty()));
        Self::of(
            &named.map_or_else(|| cwd.join(STATE_ROOT_DIRECTORY), |named| cwd.join(named)),
            database.map(|path| cwd.join(path)),
        )
    }

    /// The paths below `state_root`, with the database in its usual place unless given.
    pub fn of(state_root: &Path, database: Option<PathBuf>) -> Self {
        Self {
            state_root: state_root.to_owned(),
            database: database.unwrap_or_else(|| state_root.join(DATABASE_NAME)),
        }
    }

    /// The database, when it is not the one below the state root: whoever is to find it must be told.
    pub fn other_database(&self) -> Option<&Path> {
        (self.database != self.state_root.join(DATABASE_NAME)).then_some(&*self.database)
    }

    /// The database and the files that SQLite keeps beside it.
    pub fn database_files(&self) -> [PathBuf; 3] {
        ["", "-wal", "-shm"].map(|suffix| {
            let mut file = self.database.clone().into_os_string();
            file.push(suffix);
            file.into()
        })
    }

    /// The 0700 directory for sockets, locks and process ids. Below the state root, or, where a
    /// socket's path would be too long there, below the temporary directory, private to the user.
    pub fn run_dir(&self) -> PathBuf {
        let near = self.state_root.join("run");
        if near.join("app-server-00000000.sock").as_os_str().len() <= SOCKET_PATH_LIMIT {
            return near;
        }
        let digest = sha256(self.state_root.as_os_str().as_encoded_bytes());
        own_temporary().join(&digest[..16])
    }

    /// The supervisor's socket.
    pub fn socket(&self) -> PathBuf {
        self.run_dir().join("conveyor.sock")
    }

    /// Held locked by the supervisor for as long as it lives; its text says who that is.
    pub fn lock(&self) -> PathBuf {
        self.run_dir().join("supervisor.lock")
    }

    /// The directory of the supervisor's log files.
    pub fn logs(&self) -> PathBuf {
        self.state_root.join("logs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_stay_near_until_the_path_would_not_fit() {
        let near = Paths::of(Path::new("/home/u/project/.codex-workers"), None);
        assert_eq!(near.socket(), Path::new("/home/u/project/.codex-workers/run/conveyor.sock"));
        let far = Paths::of(Path::new(&format!("/home/{}", "x".repeat(120))), None);
        assert!(far.socket().as_os_str().len() <= SOCKET_PATH_LIMIT, "{:?}", far.socket());
        let other = Paths::of(Path::new(&format!("/home/{}", "y".repeat(120))), None);
        assert_ne!(far.socket(), other.socket());
    }

    #[test]
    fn a_database_has_files_beside_it() {
        let paths = Paths::of(Path::new("/r"), Some("/d/other.db".into()));
        let expect = ["/d/other.db", "/d/other.db-wal", "/d/other.db-shm"].map(PathBuf::from);
        assert_eq!(paths.database_files(), expect);
    }
}
