//! The database file: the contract schema, and what our own tables refuse.

use std::path::Path;

use rusqlite::Connection;

mod contract;
mod own_tables;

/// A new database in `dir`, as the program makes it.
fn fresh(dir: &Path) -> Connection {
    let mut conn = Connection::open(dir.join("workerctl.db")).unwrap();
    conveyor::store::schema::prepare(&mut conn).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    conn
}
