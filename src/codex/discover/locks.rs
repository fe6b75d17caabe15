//! Who has a thread loaded.

use super::{
    error::ProcessError,
    held::LOCK_DIRECTORY,
    lsof,
    processes::{ProcessTable, system_processes},
};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Who has a thread loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockHolder {
    /// Nobody: a turn that is still open there has crashed.
    Nobody,
    /// This process.
    Process(u32),
    /// Somebody whom this program cannot see, as in another container.
    Hidden,
}

/// Who holds the lock of a thread. It is only looked at: taking it would keep Codex out.
///
/// # Errors
/// When the system does not tell.
pub fn lock_holder(codex_home: &Path, thread_id: &str) -> Result<LockHolder, ProcessError> {
    let lock = codex_home.join(LOCK_DIRECTORY).join(format!("{thread_id}.lock"));
    let failed = |error: io::Error| ProcessError::from_io(0, &error);
    let (lock, found) = match lock.canonicalize().and_then(|lock| Ok((fs::metadata(&lock)?, lock))) {
        Ok((found, lock)) => (lock, found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockHolder::Nobody),
        Err(error) => return Err(failed(error)),
    };
    match fs::read_to_string("/proc/locks") {
        Ok(table) => Ok(holder_in(&table, found.ino(), &lock, &*system_processes())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let holder = lsof::users_of(&lock)?.first().copied();
            Ok(holder.map_or(LockHolder::Nobody, LockHolder::Process))
        }
        Err(error) => Err(failed(error)),
    }
}

/// The process that by the text of `/proc/locks` has an exclusive lock on the file `inode`.
///
/// The device in that table is not the one `stat` reports on every file system, so the inode
/// decides, and then whether the process has this very file open, where that can be seen.
fn holder_in(table: &str, inode: u64, lock: &PathBuf, processes: &dyn ProcessTable) -> LockHolder {
    for pid in table.lines().filter_map(|line| exclusive_lock(line, inode)) {
        match processes.open_files(pid) {
            Ok(files) if files.contains(lock) => return LockHolder::Process(pid),
            Ok(_) => {}
            Err(ProcessError::Gone { .. }) => return LockHolder::Hidden,
            Err(_) => return LockHolder::Process(pid),
        }
    }
    LockHolder::Nobody
}

/// The process in a line such as `3: FLOCK  ADVISORY  WRITE 652 00:14:16763 0 EOF`, if it is about
/// `inode`; 0 for one that cannot be seen. A line with `->` is about somebody who waits.
fn exclusive_lock(line: &str, inode: u64) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    let (kind, _mode, access) = (words.next()?, words.next()?, words.next()?);
    let (pid, file) = (words.next()?, words.next()?);
    let is_this_one = kind == "FLOCK" && access == "WRITE" && file.rsplit(':').next()?.parse() == Ok(inode);
    is_this_one.then(|| pid.parse().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use rustix::fs::{FlockOperation, flock};
    use std::time::{Duration, Instant};

    #[test]
    fn lines_of_the_lock_table() {
        let lock = PathBuf::from("/h/thread-writer-locks/a.lock");
        let mut processes = FakeProcesses::of(&[], &[(652, &[&lock]), (9, &[]), (12, &[])]);
        processes.forbid(12);
        let check = |table: &str, expected: LockHolder| {
            assert_eq!(holder_in(table, 16763, &lock, &processes), expected, "{table}");
        };
        check("", LockHolder::Nobody);
        check("2: FLOCK  ADVISORY  WRITE 652 00:14:16763 0 EOF", LockHolder::Process(652));
        check("2: FLOCK  ADVISORY  WRITE 652 00:14:16764 0 EOF", LockHolder::Nobody);
        check("2: FLOCK  ADVISORY  READ 652 00:14:16763 0 EOF", LockHolder::Nobody);
        check("2: POSIX  ADVISORY  WRITE 652 00:14:16763 0 EOF", LockHolder::Nobody);
        check("2: -> FLOCK  ADVISORY  WRITE 652 00:14:16763 0 EOF", LockHolder::Nobody);
        check("2: FLOCK  ADVISORY  WRITE 0 00:14:16763 0 EOF", LockHolder::Hidden);
        check("2: FLOCK  ADVISORY  WRITE 12 00:14:16763 0 EOF", LockHolder::Process(12));
        let same_inode_elsewhere = "1: FLOCK  ADVISORY  WRITE 9 00:13:16763 0 EOF\n\
             2: FLOCK  ADVISORY  WRITE 652 00:14:16763 0 EOF";
        check(same_inode_elsewhere, LockHolder::Process(652));
        check("7: OFDLCK ADVISORY  WRITE  -1 <none>:0 0 EOF\nnonsense\n", LockHolder::Nobody);
    }

    #[test]
    fn a_real_lock() {
        let home = tempfile::tempdir().unwrap();
        let id = thread_id(1);
        let holder = || lock_holder(home.path(), &id).unwrap();
        assert_eq!(holder(), LockHolder::Nobody);

        let path = lock_path(home.path(), &id);
        fs::create_dir(path.parent().unwrap()).unwrap();
        let file = fs::File::create(&path).unwrap();
        assert_eq!(holder(), LockHolder::Nobody);
        flock(&file, FlockOperation::LockExclusive).unwrap();
        assert_eq!(holder(), LockHolder::Process(std::process::id()));
        drop(file);
        // A child that another test is just starting may share the lock for a moment.
        let end = Instant::now() + Duration::from_secs(20);
        while holder() != LockHolder::Nobody {
            assert!(Instant::now() < end, "the lock is still held");
        }
    }
}
