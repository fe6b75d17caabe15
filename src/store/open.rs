//! Opening connections: the pragmas, and the schema when something of it is missing.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
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
/// Without `SQLITE_OPEN_URI`, so that a path is a path even when it starts with `file:`.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// The one connection that writes. Creates the file, its directory and its schema when needed.
pub(super) fn writer(path: &Path) -> Result<Connection, StoreError> {
    make_directory(path)?;
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match try_writer(path) {
            Err(error) if error.is_busy() && Instant::now() < deadline => std::thread::sleep(RETRY_PAUSE),
            outcome => return outcome.map_err(|error| refused(path, error.to_string(), error.hint())),
        }
    }
}

fn try_writer(path: &Path) -> Result<Connection, SchemaError> {
    let mut conn = Connection::open_with_flags(path, FLAGS | OpenFlags::SQLITE_OPEN_CREATE)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    // Before anything is written: a file that is refused stays as it is.
    schema::inspect(&conn)?;
    if conn.is_readonly("main")? {
        return Err(SchemaError::Sql(rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_READONLY),
            None,
        )));
    }
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
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

fn refused(path: &Path, reason: String, hint: &str) -> StoreError {
    StoreError::Open { path: path.to_owned(), reason, hint: hint.to_owned() }
}

/// Connections that can only read, opened when first used.
pub(super) fn reader_pool(path: &Path, size: usize) -> r2d2::Pool<SqliteConnectionManager> {
    let manager = SqliteConnectionManager::file(path).with_flags(FLAGS).with_init(|conn| {
        conn.busy_timeout(BUSY_TIMEOUT)?;
        conn.execute_batch("PRAGMA query_only = ON; PRAGMA foreign_keys = ON;")
    });
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    r2d2::Pool::builder()
        .max_size(size)
        .min_idle(Some(0))
        .connection_timeout(BUSY_TIMEOUT)
        .build_unchecked(manager)
}
