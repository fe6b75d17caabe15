//! Reads: a pool of `query_only` connections, one thread each.

use std::panic::{AssertUnwindSafe, catch_unwind};

use actix::prelude::*;
use r2d2_sqlite::SqliteConnectionManager;

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
        // A SyncArbiter thread that panics is never replaced, so a panic ends here.
        catch_unwind(AssertUnwindSafe(|| {
            let conn = self.pool.get().map_err(|error| StoreError::Open {
                path: "(reader pool)".into(),
                reason: error.to_string(),
                hint: "check the database with `conveyor db-doctor`".into(),
            })?;
            let snapshot = conn.unchecked_transaction()?;
            query.run(&snapshot)
        }))
        .unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(panic.as_ref()))))
    }
}
