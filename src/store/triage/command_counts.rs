//! How many commands there are, and attempts at them.
//!
//! Those that ended are counted by day as they end (`command_days`, `attempt_days`), so that a count does
//! not read them all; only those of a part of a day, and those under way, are counted anew.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::domain::time::iso;
use crate::store::StoreError;
use crate::store::scope::{Filter, Scope};

/// Counts by two words.
type ByWords = BTreeMap<String, BTreeMap<String, i64>>;

/// Where the counts of one kind come from. Each query gives the type, the state and the count.
struct Counted {
    /// By day, those that ended.
    days: &'static str,
    /// From their rows, those that ended within a part of a day.
    ended: &'static str,
    /// Which of those rows ended. The unary plus leaves the index to the instant.
    is_ended: &'static str,
    /// From their rows, those under way.
    under_way: &'static str,
    /// Which of those rows are under way.
    is_under_way: &'static str,
    /// The column with the instant of a row.
    at: &'static str,
}

const COMMANDS: Counted = Counted {
    days: "SELECT type, state, SUM(commands) FROM command_days",
    ended: "SELECT c.type, c.state, COUNT(*) FROM commands c",
    is_ended: "+c.state NOT IN ('pending', 'attempted')",
    under_way: "SELECT c.type, c.state, COUNT(*) FROM commands c",
    is_under_way: "c.state IN ('pending', 'attempted')",
    at: "c.created_at",
};

/// The command of an attempt that runs is an attempted one.
const ATTEMPTS: Counted = Counted {
    days: "SELECT type, state, SUM(attempts) FROM attempt_days",
    ended: "SELECT c.type, a.state, COUNT(*) FROM command_attempts a CROSS JOIN commands c ON c.id = a.command_id",
    is_ended: "a.state <> 'running'",
    under_way: "SELECT c.type, a.state, COUNT(*) FROM commands c CROSS JOIN command_attempts a ON a.command_id = c.id",
    is_under_way: "c.state = 'attempted' AND a.state = 'running'",
    at: "a.started_at",
};

/// How many commands are in which state.
///
/// # Errors
/// Whatever SQLite answers.
pub fn commands_by_state(conn: &Connection, scope: &Scope) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut by_state = BTreeMap::new();
    for (state, count) in commands_by_type(conn, scope)?.into_values().flatten() {
        *by_state.entry(state).or_default() += count;
    }
    Ok(by_state)
}

/// How many commands of each type are in which state.
///
/// # Errors
/// Whatever SQLite answers.
pub fn commands_by_type(conn: &Connection, scope: &Scope) -> Result<ByWords, StoreError> {
    counts(conn, &COMMANDS, scope)
}

/// How many attempts at commands of each type are in which state.
///
/// # Errors
/// Whatever SQLite answers.
pub fn attempts_by_type(conn: &Connection, scope: &Scope) -> Result<ByWords, StoreError> {
    counts(conn, &ATTEMPTS, scope)
}

fn counts(conn: &Connection, counted: &Counted, scope: &Scope) -> Result<ByWords, StoreError> {
    let rows = scope.filter("+c.task_id", Some(counted.at));
    let mut counts = ByWords::new();
    add(conn, counted.under_way, &rows.clone().and(counted.is_under_way), &mut counts)?;
    let mut days = scope.count_filter("task_id", None);
    if let Some(first_day) = first_day(scope) {
        let mut of_first_day = rows.and(counted.is_ended);
        of_first_day.add(&format!("{} < ?", counted.at), end_of(&first_day));
        add(conn, counted.ended, &of_first_day, &mut counts)?;
        days.add("day > ?", first_day);
    }
    add(conn, counted.days, &days, &mut counts)?;
    Ok(counts)
}

/// The day that the time of a scope begins in.
fn first_day(scope: &Scope) -> Option<String> {
    scope.since.map(|since| iso(since).chars().take(10).collect())
}

/// A text after all instants of a day.
fn end_of(day: &str) -> String {
    format!("{day}~")
}

/// Adds how many rows there are of each pair of words; `select` has the words and the count.
fn add(conn: &Connection, select: &str, filter: &Filter, counts: &mut ByWords) -> Result<(), StoreError> {
    let sql = format!("{select} WHERE {} GROUP BY 1, 2", filter.sql());
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(filter.values())?;
    while let Some(row) = rows.next()? {
        let (of_type, state, count): (String, String, i64) = row.try_into()?;
        // A day's count may have become none.
        if count > 0 {
            *counts.entry(of_type).or_default().entry(state).or_default() += count;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::QueuedCommand;
    use crate::store::testing::TestDb;

    /// Commands of two tasks on three days, all but one ended, each with an attempt.
    fn database() -> (TestDb, String) {
        let mut db = TestDb::new();
        let one = db.pair("one").task.id;
        db.pair("two");
        for (task, at, state, attempt) in [
            ("one", "2026-01-01T10:00:00.000Z", "succeeded", "succeeded"),
            ("one", "2026-01-02T10:00:00.000Z", "failed", "failed"),
            ("two", "2026-01-02T20:00:00.000Z", "succeeded", "succeeded"),
            ("two", "2026-01-03T10:00:00.000Z", "attempted", "running"),
        ] {
            let id = db.enqueue(QueuedCommand::NudgeWorker, task, "a").id;
            db.conn.execute("UPDATE commands SET created_at = ?2 WHERE id = ?1", [&*id, at]).unwrap();
            db.conn
                .execute(
                    "INSERT INTO command_attempts (command_id, correlation_id, dispatcher_id, started_at, state)
                     VALUES (?1, 'c', 'd', ?2, 'running')",
                    [&*id, at],
                )
                .unwrap();
            db.conn.execute("UPDATE commands SET state = ?2 WHERE id = ?1", [&*id, state]).unwrap();
            db.conn
                .execute("UPDATE command_attempts SET state = ?2 WHERE command_id = ?1", [&*id, attempt])
                .unwrap();
        }
        (db, one)
    }

    fn total(counts: &ByWords) -> i64 {
        counts.values().flat_map(BTreeMap::values).sum()
    }

    #[test]
    fn a_count_is_the_same_however_it_is_made() {
        let (db, one) = database();
        let check = |scope: Scope, expect: i64| {
            let by_type = commands_by_type(&db.conn, &scope).unwrap();
            let attempts = attempts_by_type(&db.conn, &scope).unwrap();
            let by_state: i64 = commands_by_state(&db.conn, &scope).unwrap().values().sum();
            assert_eq!((total(&by_type), total(&attempts), by_state), (expect, expect, expect), "{scope:?}");
        };
        let all = Scope::default;
        let since = |text: &str| Some(text.parse().unwrap());
        check(all(), 4);
        check(Scope { since: since("2026-01-02T00:00:00Z"), ..all() }, 3);
        check(Scope { since: since("2026-01-02T12:00:00Z"), ..all() }, 2);
        check(Scope { since: since("2026-01-04T00:00:00Z"), ..all() }, 0);
        check(Scope { task_id: Some(one.clone()), ..all() }, 2);
        check(Scope { task_id: Some(one), since: since("2026-01-01T12:00:00Z"), ..all() }, 1);
        check(Scope { active_only: true, ..all() }, 4);
        db.conn.execute("UPDATE tasks SET state = 'done' WHERE name = 'two'", []).unwrap();
        check(Scope { active_only: true, since: since("2026-01-01T00:00:00Z"), ..all() }, 2);
    }

    #[test]
    fn what_changes_its_end_is_counted_where_it_ended_last() {
        let (db, _) = database();
        db.conn
            .execute_batch(
                "UPDATE commands SET state = 'blocked' WHERE state = 'failed';
                 UPDATE command_attempts SET state = 'abandoned' WHERE state = 'failed';
                 UPDATE commands SET state = 'attempted' WHERE state = 'succeeded' AND created_at < '2026-01-02'",
            )
            .unwrap();
        let by_state = commands_by_state(&db.conn, &Scope::default()).unwrap();
        let expect = [("attempted", 2), ("blocked", 1), ("succeeded", 1)];
        assert_eq!(by_state, expect.map(|(state, count)| (state.to_owned(), count)).into());
        let attempts = attempts_by_type(&db.conn, &Scope::default()).unwrap();
        let expect = [("abandoned", 1), ("running", 1), ("succeeded", 2)];
        assert_eq!(attempts["nudge_worker"], expect.map(|(state, count)| (state.to_owned(), count)).into());
    }
}
