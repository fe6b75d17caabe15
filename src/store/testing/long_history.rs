//! The history that the benchmark of the views is made of, as long as a test needs it, and how much work a
//! query is on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use rusqlite::functions::{Context, FunctionFlags};

use super::TestDb;
use crate::domain::time::iso;
use crate::store::Query;

/// Instructions of SQLite's machine between two looks at its work.
const GRAIN: u64 = 10;

/// A database with a history that ends now. `t0` has a tenth of it, the other 999 tasks take turns.
pub(crate) struct LongHistory {
    db: TestDb,
    looks: Arc<AtomicU64>,
}

impl LongHistory {
    /// A history of so many rollout events, a turn of five an hour.
    pub(crate) fn new(events: i64) -> Self {
        let db = TestDb::new();
        let begin = Timestamp::now() - SignedDuration::from_mins(events * 12);
        let at = move |context: &Context<'_>| {
            Ok(iso(begin + SignedDuration::from_mins(context.get::<i64>(0)? * 12)))
        };
        let owner = |context: &Context<'_>| {
            let row: i64 = context.get(0)?;
            Ok(if row % 10 == 0 { 0 } else { 1 + (row - row / 10 - 1) % 999 })
        };
        db.conn.create_scalar_function("at", 1, FunctionFlags::SQLITE_DETERMINISTIC, at).unwrap();
        db.conn.create_scalar_function("owner", 1, FunctionFlags::SQLITE_DETERMINISTIC, owner).unwrap();
        db.conn
            .execute_batch(&format!(
                "PRAGMA synchronous = OFF;
                 CREATE TEMP TABLE number (i INTEGER PRIMARY KEY);
                 INSERT INTO number
                     WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {events})
                     SELECT i FROM n"
            ))
            .unwrap();
        db.conn.execute_batch(include_str!("../../../benches/history/generate.sql")).unwrap();
        let looks = Arc::new(AtomicU64::new(0));
        let counter = looks.clone();
        let count = move || {
            counter.fetch_add(1, Ordering::Relaxed);
            false
        };
        db.conn.progress_handler(GRAIN as i32, Some(count)).unwrap();
        Self { db, looks }
    }

    /// How many instructions a query took, about.
    pub(crate) fn work<Q: Query>(&self, query: Q) -> u64 {
        let before = self.looks.load(Ordering::Relaxed);
        query.run(&self.db.conn).unwrap();
        (self.looks.load(Ordering::Relaxed) - before) * GRAIN
    }
}
