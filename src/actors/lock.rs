//! One supervisor per state root: a lock file, held for as long as the supervisor lives.
//!
//! The lock is the kernel's, so it is free the instant its holder dies, however it dies. The
//! file's text says who the holder is.

use std::fs::{File, Metadata, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::domain::Failure;
use crate::own_dir::private_dir;

/// Longer than any look at the lock takes.
const LOOK_PATIENCE: Duration = Duration::from_millis(100);

/// Who supervises a state root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The protocol its socket speaks.
    pub protocol: u32,
    /// When it started.
    pub started_at: String,
    /// The id under which it dispatches.
    pub dispatcher_id: String,
    /// The database it serves.
    pub database: PathBuf,
}

/// The held lock. Dropping it, or dying, frees it.
#[derive(Debug)]
pub struct SupervisorLock(File);

/// What became of an attempt to take the lock.
#[derive(Debug)]
pub enum Taken {
    /// It is ours now.
    Ours(SupervisorLock),
    /// Somebody else holds it; unknown who only in the instant before they have said so.
    Theirs(Option<Holder>),
}

/// Tries to take the lock and, if it is free, writes who we are.
///
/// # Errors
/// When the lock file cannot be made or written.
pub fn take(path: &Path, holder: &Holder) -> Result<Taken, Failure> {
    let failed = |error: io::Error| {
        Failure::external(format!("failed to lock {}: {error}", path.display()))
            .hint("the state root must be writable; name another with CONVEYOR_STATE_ROOT")
    };
    if let Some(directory) = path.parent() {
        private_dir(directory).map_err(failed)?;
    }
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path).map_err(failed)?;
    // One that an earlier version made is narrowed.
    file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    match try_lock_patiently(&file) {
        Ok(()) => {
            file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
            let text = serde_json::to_vec(holder).map_err(|error| failed(error.into()))?;
            file.write_all(&text).map_err(failed)?;
            Ok(Taken::Ours(SupervisorLock(file)))
        }
        Err(TryLockError::WouldBlock) => Ok(Taken::Theirs(read(&mut file))),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// A look at who holds the lock holds it shared for an instant, which is not yet a supervisor.
fn try_lock_patiently(file: &File) -> Result<(), TryLockError> {
    let deadline = Instant::now() + LOOK_PATIENCE;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(LOOK_PATIENCE / 20)
            }
            outcome => return outcome,
        }
    }
}

/// Who holds the lock now; `None` when nobody does.
pub fn holder(path: &Path) -> Option<Holder> {
    let mut file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read(&mut file),
        _ => None,
    }
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

impl SupervisorLock {
    /// Whether its file is not at `path` any more: then nobody finds whoever holds it.
    pub fn is_lost(&self, path: &Path) -> bool {
        let file = |metadata: io::Result<Metadata>| metadata.map(|file| (file.dev(), file.ino())).ok();
        file(self.0.metadata()) != file(std::fs::metadata(path))
    }

    /// Keeps the lock until the process ends.
    pub fn keep(self) {
        std::mem::forget(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me(pid: u32) -> Holder {
        Holder {
            pid,
            version: "1".into(),
            protocol: 1,
            started_at: "now".into(),
            dispatcher_id: "d".into(),
            database: "db".into(),
        }
    }

    #[test]
    fn the_second_taker_learns_who_the_first_is_until_it_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/supervisor.lock");
        assert!(holder(&path).is_none());
        let Taken::Ours(lock) = take(&path, &me(1)).unwrap() else { panic!("the lock was free") };
        let Taken::Theirs(Some(first)) = take(&path, &me(2)).unwrap() else { panic!("the lock was taken") };
        assert_eq!(first, me(1));
        assert_eq!(holder(&path), Some(me(1)));
        drop(lock);
        assert!(holder(&path).is_none());
        assert!(matches!(take(&path, &me(2)).unwrap(), Taken::Ours(_)));
    }
}
