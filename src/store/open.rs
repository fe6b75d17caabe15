//! Opening connections: the pragmas, and the schema when something of it is missing.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags, ffi};

use super::error::sqlite_hint;
use super::{
    StoreError,
    schema::{self, SchemaError},
};

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts at what SQLite does not wait for by itself.
const RETRY_PAUSE: Duration = Duration::from_millis(5);
/// Prepared statements that a connection keeps; more than there are in the code. A statement that is
/// used again and again is parsed once.
const STATEMENTS: usize = 1024;
/// Without `SQLITE_OPEN_URI`, so that a path is a path even when it starts with `file:`.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// The one connection that writes. Creates the file, its directory and its schema when needed.
pub(super) fn writer(path: &Path) -> Result<Connection, StoreError> {
    writer_within(path, BUSY_TIMEOUT)
}

fn writer_within(path: &Path, patience: Duration) -> Result<Connection, StoreError> {
    make_directory(path)?;
    make_file(path);
    let deadline = Instant::now() + patience;
    loop {
        match try_writer(path, patience) {
            Err(error) if error.is_busy() && Instant::now() < deadline => std::thread::sleep(RETRY_PAUSE),
            outcome => return outcome.map_err(|error| refused(path, error.to_string(), error.hint())),
        }
    }
}

fn try_writer(path: &Path, patience: Duration) -> Result<Connection, SchemaError> {
    let mut conn = Connection::open_with_flags(path, FLAGS | OpenFlags::SQLITE_OPEN_CREATE)?;
    conn.busy_timeout(patience)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Before anything is written: a file that is refused stays as it is.
    schema::inspect(&conn)?;
    if conn.is_readonly("main")? {
        return Err(SchemaError::Sql(rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_READONLY),
            None,
        )));
    }
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         -- What a savepoint would restore, and the pages of a large batch, need no file.
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;",
    )?;
    schema::prepare(&mut conn)?;
    Ok(conn)
}

/// Makes the database's directory, for its owner alone.
fn make_directory(database: &Path) -> Result<(), StoreError> {
    let Some(directory) = database.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(());
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        let reason = format!("cannot make the directory {}: {error}", directory.display());
        refused(database, reason, sqlite_hint(Some(rusqlite::ErrorCode::CannotOpen)))
    })
}

/// Makes a database that is not there, for its owner alone; SQLite gives the files beside it the same
/// mode. One that is there keeps its own.
fn make_file(database: &Path) {
    // What is wrong with a place where no file can be made is told by SQLite.
    let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(database);
}

fn refused(path: &Path, reason: String, hint: &str) -> StoreError {
    StoreError::Open { path: path.to_owned(), reason, hint: hint.to_owned() }
}

/// One more connection to a database that is there.
pub(super) fn present(path: &str) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, FLAGS)
}

/// Connections that can only read, opened when first used.
pub(super) fn reader_pool(path: &Path, size: usize) -> r2d2::Pool<SqliteConnectionManager> {
    let manager = SqliteConnectionManager::file(path).with_flags(FLAGS).with_init(|conn| {
        conn.busy_timeout(BUSY_TIMEOUT)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        conn.execute_batch("PRAGMA query_only = ON; PRAGMA foreign_keys = ON;")
    });
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    r2d2::Pool::builder()
        .max_size(size)
        .min_idle(Some(0))
        .connection_timeout(BUSY_TIMEOUT)
        .build_unchecked(manager)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::domain::{Failure, FailureKind};

    fn failure(path: &Path) -> Failure {
        writer(path).unwrap_err().into()
    }

    fn pragma<T: rusqlite::types::FromSql>(conn: &Connection, name: &str) -> T {
        conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_writer_makes_a_durable_private_database_in_a_private_directory() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        let conn = writer(&directory.join("workerctl.db")).unwrap();
        assert_eq!(pragma::<String>(&conn, "journal_mode"), "wal");
        assert_eq!(pragma::<i64>(&conn, "synchronous"), 2);
        assert_eq!(pragma::<i64>(&conn, "foreign_keys"), 1);
        assert_eq!(pragma::<i64>(&conn, "busy_timeout"), 5000);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        conn.execute_batch("INSERT INTO thread_forks VALUES ('child', 'parent')").unwrap();
        for file in ["workerctl.db", "workerctl.db-wal", "workerctl.db-shm"] {
            assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
        }
    }

    #[test]
    fn a_reader_cannot_write() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("workerctl.db");
        writer(&path).unwrap();
        let reader = reader_pool(&path, 1).get().unwrap();
        assert_eq!(pragma::<i64>(&reader, "query_only"), 1);
        let error = reader.execute_batch("DELETE FROM tasks").unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::ReadOnly));
    }

    #[test]
    fn thirty_two_openers_of_a_new_database_all_get_a_write_ahead_log() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state/workerctl.db");
        let start = Barrier::new(32);
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    start.wait();
                    let conn = writer(&path).unwrap();
                    assert_eq!(pragma::<String>(&conn, "journal_mode"), "wal");
                });
            }
        });
    }

    #[test]
    fn a_file_that_is_refused_stays_as_it_is() {
        fn check(content: &[u8], message: &str, advice: &str) {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("workerctl.db");
            std::fs::write(&path, content).unwrap();

            let failure = failure(&path);
            assert_eq!(failure.kind, FailureKind::Database);
            assert!(failure.message.contains(message), "{failure:?}");
            assert!(failure.message.contains(path.to_str().unwrap()), "{failure:?}");
            assert!(failure.hints[0].contains(advice), "{failure:?}");
            assert_eq!(std::fs::read(&path).unwrap(), content, "{message}");
            let names: Vec<_> =
                std::fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(names, ["workerctl.db"], "{message}");
        }
        /// A rollback-journal database with `version` in it, as bytes.
        fn database(version: i64) -> Vec<u8> {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("made.db");
            let conn = Connection::open(&path).unwrap();
            conn.execute_batch("CREATE TABLE tasks (id TEXT); INSERT INTO tasks VALUES ('kept')").unwrap();
            conn.pragma_update(None, "user_version", version).unwrap();
            drop(conn);
            std::fs::read(&path).unwrap()
        }
        fn with_broken_schema_page() -> Vec<u8> {
            let mut bytes = database(22);
            bytes[100..200].fill(0xff);
            bytes
        }
        check(
            b"this is a text file, and a long one at that: no database begins so\n",
            "no SQLite database",
            "untouched",
        );
        check(&database(22)[..60], "no SQLite database", "untouched");
        check(&with_broken_schema_page(), "damaged", "untouched");
        check(&database(21), "version 21 is older", "agent-conveyor 0.1.0");
        check(&database(27), "version 27 is newer", "upgrade conveyor");
        check(&database(0), "something else", "check the path");
    }

    #[test]
    fn a_state_root_that_cannot_be_made_or_written_is_named() {
        fn check(path: &Path, message: &str) {
            let failure = failure(path);
            assert_eq!(failure.kind, FailureKind::Database);
            assert!(failure.message.contains(message), "{failure:?}");
            assert!(failure.hints[0].contains("must be writable"), "{failure:?}");
        }
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        check(&file.join("state/workerctl.db"), "cannot make the directory");
        check(root.path(), "unable to open database file");
        // Nobody may write here, root included.
        check(Path::new("/proc/workerctl.db"), "unable to open database file");
    }

    #[test]
    fn a_database_that_somebody_keeps_locked_is_reported_as_held() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("workerctl.db");
        let holder = Connection::open(&path).unwrap();
        holder.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
        let failure = Failure::from(writer_within(&path, Duration::from_millis(20)).unwrap_err());
        assert!(failure.message.contains("locked"), "{failure:?}");
        assert!(failure.hints[0].contains("another process"), "{failure:?}");
    }
}
