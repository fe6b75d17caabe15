//! Opening connections: the pragmas, and the schema when it is missing or old.

use std::path::Path;
use std::time::Duration;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};

use super::{StoreError, schema};

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The one connection that writes. Creates the file and its schema when needed.
pub(super) fn writer(path: &Path) -> Result<Connection, StoreError> {
    let mut conn = Connection::open(path)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;")?;
    schema::prepare(&mut conn)?;
    Ok(conn)
}

/// Connections that can only read, opened when first used.
pub(super) fn reader_pool(path: &Path, size: usize) -> r2d2::Pool<SqliteConnectionManager> {
    let manager = SqliteConnectionManager::file(path)
        .with_flags(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .with_init(|conn| {
            conn.busy_timeout(BUSY_TIMEOUT)?;
            conn.execute_batch("PRAGMA query_only=ON; PRAGMA foreign_keys=ON;")
        });
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    r2d2::Pool::builder()
        .max_size(size)
        .min_idle(Some(0))
        .connection_timeout(BUSY_TIMEOUT)
        .build_unchecked(manager)
}
