//! Reads: a pool of `query_only` connections, one thread each.

use std::panic::{AssertUnwindSafe, catch_unwind};

use actix::prelude::*;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use super::{Query, StoreError, writer::panic_text};

/// A reader thread.
pub(super) struct Reader {
    pool: r2d2::Pool<SqliteConnectionManager>,
}

impl Reader {
    pub(super) fn new(pool: r2d2::Pool<SqliteConnectionManager>) -> Self {
        Self { pool }
    }
}

impl Actor for Reader {
    type Context = SyncContext<Self>;
}

/// Carries a query to a reader thread.
pub(super) struct Read<Q>(pub(super) Q);

impl<Q: Query> Message for Read<Q> {
    type Result = Result<Q::Out, StoreError>;
}

impl<Q: Query> Handler<Read<Q>> for Reader {
    type Result = Result<Q::Out, StoreError>;

    fn handle(&mut self, Read(query): Read<Q>, _: &mut SyncContext<Self>) -> Self::Result {
        let conn = self.pool.get().map_err(|error| StoreError::Open {
            path: "(reader pool)".into(),
            reason: error.to_string(),
            hint: "check the database with `conveyor db-doctor`".into(),
        })?;
        answer(&conn, query)
    }
}

/// Runs a query on one snapshot. A panic ends here: neither a SyncArbiter thread nor the writer's is
/// ever replaced.
pub(super) fn answer<Q: Query>(conn: &Connection, query: Q) -> Result<Q::Out, StoreError> {
    catch_unwind(AssertUnwindSafe(|| query.run(&*conn.unchecked_transaction()?)))
        .unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(panic.as_ref()))))
}
