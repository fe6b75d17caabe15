//! Notices what other processes write into the database.
//!
//! A command that is served by itself closes the log when it ends, of which Linux tells. Of what a
//! process writes that goes on, nothing tells: its bytes come into the log before they are committed,
//! and the commit itself is a word in shared memory. So the writer's thread looks there every so often.

use std::path::Path;

use super::writer::Writer;

/// Ends the watch when dropped.
#[derive(Debug)]
pub(super) struct LogWatch {
    #[cfg(target_os = "linux")]
    task: Option<tokio::task::JoinHandle<()>>,
}

/// Has the writer's thread look for what others have written, from now on. Must be called inside an
/// actix system.
#[cfg(target_os = "linux")]
pub(super) fn watch_log(database: &Path, writer: &Writer) -> LogWatch {
    writer.look_for_foreign_writes();
    let task = linux::tell_of_closes(database, writer.clone())
        .inspect_err(|error| tracing::warn!(%error, "failed to watch the database's log; looking is slower"))
        .ok();
    LogWatch { task }
}

/// As on Linux, but without the word of those that end.
#[cfg(not(target_os = "linux"))]
pub(super) fn watch_log(_: &Path, writer: &Writer) -> LogWatch {
    writer.look_for_foreign_writes();
    LogWatch {}
}

#[cfg(target_os = "linux")]
impl Drop for LogWatch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::path::Path;

    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    use tokio::task::JoinHandle;

    use crate::store::writer::Writer;

    /// The log stays the same file for as long as the writer has it open.
    #[allow(
        deprecated,
        reason = "sound for an `OwnedFd`, which keeps its descriptor; the successor is unsafe"
    )]
    pub(super) fn tell_of_closes(database: &Path, writer: Writer) -> io::Result<JoinHandle<()>> {
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        let closes = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        inotify::add_watch(&closes, log, WatchFlags::CLOSE_WRITE)?;
        let closes = AsyncFd::with_interest(closes, Interest::READABLE)?;
        Ok(tokio::spawn(async move {
            while let Ok(mut ready) = closes.readable().await {
                let mut events = [0_u8; 1024];
                // They say nothing that is not known by their coming.
                while rustix::io::read(&closes, &mut events).is_ok_and(|read| read > 0) {}
                ready.clear_ready();
                writer.look_for_foreign_writes();
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch::Receiver;
    use tokio::time::timeout;

    use crate::store::tasks::CreateTask;
    use crate::store::testing::TestDb;
    use crate::store::{Store, Topic};

    /// Long enough for a loaded machine; only a failing test waits this long.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Another process, that writes something.
    fn another(db: &TestDb) -> rusqlite::Connection {
        let other = db.connect();
        other.execute("INSERT INTO thread_forks VALUES (hex(randomblob(8)), 'parent')", []).unwrap();
        other
    }

    async fn is_noticed(work: &mut Receiver<u64>) {
        timeout(PATIENCE, work.changed()).await.expect("it was not noticed").unwrap();
    }

    #[actix::test]
    async fn who_goes_on_is_noticed() {
        let db = TestDb::new();
        let store = Store::open(db.path(), 0).unwrap();
        let mut work = store.watch(Topic::Work);
        for _ in 0..2 {
            let _goes_on = another(&db);
            is_noticed(&mut work).await;
        }
    }

    #[cfg(target_os = "linux")]
    #[actix::test]
    async fn who_ends_is_noticed_without_looking_every_so_often() {
        let db = TestDb::new();
        let store = Store::open(db.path(), 0).unwrap();
        let mut work = store.signals.watch(Topic::Work);
        super::linux::tell_of_closes(db.path(), store.writer.clone()).unwrap();
        drop(another(&db));
        is_noticed(&mut work).await;
    }

    #[actix::test]
    async fn who_only_reads_and_what_is_written_here_wake_nobody() {
        let db = TestDb::new();
        let store = Store::open(db.path(), 0).unwrap();
        let work = store.watch(Topic::Work);
        let create = || CreateTask { name: "t".into(), goal: "g".into(), summary: None };
        store.write(create()).await.unwrap();
        let reader = db.connect();
        let tasks: i64 = reader.query_row("SELECT count(*) FROM tasks", [], |row| row.get(0)).unwrap();
        drop(reader);
        // The writer's thread looks after each of these.
        for _ in 0..3 {
            store.write(create()).await.unwrap_err();
        }
        assert_eq!((tasks, work.has_changed().unwrap()), (1, false));
    }
}
