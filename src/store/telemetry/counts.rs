//! How many telemetry events there are of each kind.
//!
//! They are counted by day as they come (`telemetry_days`), so that a count does not read them all;
//! only those of a run or of a part of a day, and what other programs wrote since our last transaction,
//! are counted anew.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::filter;
use crate::domain::time::iso;
use crate::store::scope::{Filter, Scope};
use crate::store::{Query, StoreError, runs, tasks};

/// How many events of one kind there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub event_type: String,
    /// How much it matters.
    pub severity: String,
    /// How many.
    pub events: i64,
    /// Rollout lines that they tell were read.
    pub new_events: i64,
    /// Rollout lines that they tell could not be read.
    pub skipped_lines: i64,
}

impl Tally {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            actor: row.get(0)?,
            event_type: row.get(1)?,
            severity: row.get(2)?,
            events: row.get(3)?,
            new_events: row.get(4)?,
            skipped_lines: row.get(5)?,
        })
    }
}

const RAW: &str = "SELECT actor, event_type, severity, COUNT(*),
        SUM(CASE event_type WHEN 'codex_events_ingested'
            THEN COALESCE(CAST(json_extract(attributes_json, '$.new_events') AS INTEGER), 0) ELSE 0 END),
        SUM(CASE event_type WHEN 'codex_events_ingested'
            THEN COALESCE(CAST(json_extract(attributes_json, '$.skipped_lines') AS INTEGER), 0) ELSE 0 END)
    FROM telemetry_events";

const DAYS: &str = "SELECT actor, event_type, severity, SUM(events), SUM(new_events), SUM(skipped_lines)
    FROM telemetry_days";

const TOTALS: &str = "SELECT actor, event_type, severity, SUM(events), SUM(new_events), SUM(skipped_lines)
    FROM telemetry_totals";

const UNCOUNTED: &str = "SELECT actor, event_type, severity, SUM(events), SUM(new_events), SUM(skipped_lines)
    FROM telemetry_uncounted";

const KINDS: &str = "GROUP BY actor, event_type, severity";

/// Counts the events in a scope, a tally for each kind.
///
/// # Errors
/// Whatever SQLite answers.
pub fn counts(conn: &Connection, scope: &Scope) -> Result<Vec<Tally>, StoreError> {
    let tallies = match scope.since {
        _ if scope.run_id.is_some() => tally(conn, RAW, &filter(scope, Some("timestamp")))?,
        None => tally_days(conn, scope, &filter(scope, None))?,
        Some(since) => since_within_a_day(conn, scope, &iso(since))?,
    };
    Ok(sum(tallies))
}

/// The rest of the first day from the events, the days after it as they were counted.
fn since_within_a_day(conn: &Connection, scope: &Scope, since: &str) -> Result<Vec<Tally>, StoreError> {
    let first_day = since.get(..10).unwrap_or(since);
    let mut of_first_day = filter(scope, Some("timestamp"));
    // A day's instants are all before the day with a character after the last digit.
    of_first_day.add("timestamp < ?", format!("{first_day}~"));
    let mut tallies = tally(conn, RAW, &of_first_day)?;
    let mut of_days = filter(scope, None);
    of_days.add("day > ?", first_day.to_owned());
    tallies.extend(tally_days(conn, scope, &of_days)?);
    Ok(tallies)
}

/// Whole days, as they were counted by task or of all tasks together.
fn tally_days(conn: &Connection, scope: &Scope, filter: &Filter) -> Result<Vec<Tally>, StoreError> {
    let counted = if scope.task_id.is_none() && !scope.active_only { TOTALS } else { DAYS };
    let mut tallies = tally(conn, counted, filter)?;
    tallies.extend(tally(conn, UNCOUNTED, filter)?);
    Ok(tallies)
}

fn tally(conn: &Connection, select: &str, filter: &Filter) -> Result<Vec<Tally>, StoreError> {
    let sql = format!("{select} WHERE {} {KINDS}", filter.sql());
    let tallies =
        conn.prepare_cached(&sql)?.query_map(filter.values(), Tally::of)?.collect::<Result<_, _>>()?;
    Ok(tallies)
}

fn sum(tallies: Vec<Tally>) -> Vec<Tally> {
    let mut kinds: BTreeMap<(String, String, String), Tally> = BTreeMap::new();
    for tally in tallies {
        let kind = (tally.actor.clone(), tally.event_type.clone(), tally.severity.clone());
        match kinds.entry(kind) {
            Entry::Vacant(entry) => drop(entry.insert(tally)),
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                known.events += tally.events;
                known.new_events += tally.new_events;
                known.skipped_lines += tally.skipped_lines;
            }
        }
    }
    kinds.into_values().collect()
}

/// Counts of telemetry events, by each of their properties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All.
    pub total: i64,
    /// By who did it.
    pub by_actor: BTreeMap<String, i64>,
    /// By what was done.
    pub by_event_type: BTreeMap<String, i64>,
    /// By how much it matters.
    pub by_severity: BTreeMap<String, i64>,
    /// When the first one was.
    pub first_timestamp: Option<String>,
    /// When the last one was.
    pub last_timestamp: Option<String>,
    /// The run they are of.
    pub run_id: Option<String>,
    /// The task they are of: the one asked for, or the only one there is.
    pub task_id: Option<String>,
}

impl Counts {
    fn add(&mut self, tally: &Tally) {
        self.total += tally.events;
        *self.by_actor.entry(tally.actor.clone()).or_default() += tally.events;
        *self.by_event_type.entry(tally.event_type.clone()).or_default() += tally.events;
        *self.by_severity.entry(tally.severity.clone()).or_default() += tally.events;
    }
}

/// Counts the telemetry events of a task or a run, or all.
#[derive(Debug)]
pub struct ReadCounts {
    /// The task, by id or name.
    pub task: Option<String>,
    /// The run, by id or name.
    pub run: Option<String>,
    /// Only those since this instant.
    pub since: Option<Timestamp>,
}

impl Query for ReadCounts {
    type Out = Counts;

    /// # Errors
    /// `NotFound` for an unknown task or run.
    fn run(self, conn: &Connection) -> Result<Counts, StoreError> {
        let scope = Scope {
            task_id: self.task.map(|task| tasks::get(conn, &task)).transpose()?.map(|task| task.id),
            run_id: self.run.map(|run| runs::get(conn, &run)).transpose()?.map(|run| run.id),
            since: self.since,
            active_only: false,
        };
        read(conn, scope)
    }
}

/// As [`ReadCounts`], for use inside another query.
///
/// # Errors
/// Whatever SQLite answers.
pub fn read(conn: &Connection, scope: Scope) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    for tally in self::counts(conn, &scope)? {
        counts.add(&tally);
    }
    (counts.first_timestamp, counts.last_timestamp) =
        (edge(conn, &scope, "ASC")?, edge(conn, &scope, "DESC")?);
    counts.task_id = match scope.task_id {
        None => only_task(conn)?,
        given => given,
    };
    counts.run_id = scope.run_id;
    Ok(counts)
}

/// The first or last instant of a scope.
fn edge(conn: &Connection, scope: &Scope, order: &str) -> Result<Option<String>, StoreError> {
    let filter = filter(scope, Some("timestamp"));
    let sql = format!(
        "SELECT timestamp FROM telemetry_events WHERE {} ORDER BY timestamp {order} LIMIT 1",
        filter.sql()
    );
    Ok(conn.prepare_cached(&sql)?.query_row(filter.values(), |row| row.get(0)).optional()?)
}

/// The task of all events, when there is only one.
fn only_task(conn: &Connection) -> Result<Option<String>, StoreError> {
    let ids: Vec<String> = conn
        .prepare_cached(
            "SELECT task_id FROM (SELECT DISTINCT task_id FROM telemetry_days LIMIT 2)
             UNION SELECT task_id FROM telemetry_uncounted",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(match ids.as_slice() {
        [id] if !id.is_empty() => Some(id.clone()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::telemetry::books::enter_after;
    use crate::store::telemetry::{Actor, Severity, Telemetry};
    use crate::store::testing::TestDb;

    /// Events of two tasks on three days, one of them of a run.
    fn database() -> (TestDb, String, String) {
        let mut db = TestDb::new();
        let (one, two) = (db.task("t1").id, db.task("t2").id);
        db.conn
            .execute(
                "INSERT INTO runs (id, task_id, name, status, started_at, metadata_json)
                 VALUES ('run-1', ?1, 'r', 'active', 'now', '{}')",
                [&one],
            )
            .unwrap();
        let ingested = "codex_events_ingested";
        for (id, task, run, at, event_type, severity) in [
            ("a", &one, None, "2026-01-01T10:00:00.000Z", ingested, "info"),
            ("b", &one, Some("run-1"), "2026-01-02T10:00:00.000Z", ingested, "info"),
            ("c", &two, None, "2026-01-02T20:00:00.000Z", "command_failed", "error"),
            ("d", &two, None, "2026-01-03T10:00:00.000Z", ingested, "info"),
        ] {
            db.conn
                .execute(
                    "INSERT INTO telemetry_events (id, run_id, task_id, timestamp, actor, event_type, severity, summary,
                         correlation_json, attributes_json)
                     VALUES (?1, ?2, ?3, ?4, 'workerctl', ?5, ?6, 's', '{}', '{\"new_events\": 5, \"skipped_lines\": 1}')",
                    (id, run, task, at, event_type, severity),
                )
                .unwrap();
        }
        (db, one, two)
    }

    #[test]
    fn a_count_is_the_same_however_it_is_made() {
        for enter in [|_: &TestDb| {}, |db: &TestDb| enter_after(&db.conn, 0).unwrap()] {
            let (db, one, two) = database();
            enter(&db);
            check_counts(&db, one, two);
        }
    }

    fn check_counts(db: &TestDb, one: String, two: String) {
        let check = |scope: Scope, total: i64, new_events: i64| {
            let tallies = counts(&db.conn, &scope).unwrap();
            let sum = |of: fn(&Tally) -> i64| tallies.iter().map(of).sum::<i64>();
            let found = (sum(|t| t.events), sum(|t| t.new_events), sum(|t| t.skipped_lines));
            assert_eq!(found, (total, new_events, new_events / 5), "{scope:?}");
        };
        let all = Scope::default;
        let since = |text: &str| Some(text.parse().unwrap());
        check(all(), 4, 15);
        check(Scope { since: since("2026-01-02T00:00:00Z"), ..all() }, 3, 10);
        check(Scope { since: since("2026-01-02T12:00:00Z"), ..all() }, 2, 5);
        check(Scope { since: since("2026-01-04T00:00:00Z"), ..all() }, 0, 0);
        check(Scope { task_id: Some(one.clone()), ..all() }, 2, 10);
        check(Scope { active_only: true, ..all() }, 4, 15);
        db.conn.execute("UPDATE tasks SET state = 'done' WHERE id = ?1", [&two]).unwrap();
        check(Scope { active_only: true, ..all() }, 2, 10);
        check(Scope { active_only: true, since: since("2026-01-01T12:00:00Z"), ..all() }, 1, 5);
        check(Scope { task_id: Some(two), since: since("2026-01-03T00:00:00Z"), ..all() }, 1, 5);
        check(Scope { run_id: Some("run-1".into()), ..all() }, 1, 5);
        check(Scope { run_id: Some("run-1".into()), task_id: Some(one), ..all() }, 1, 5);
    }

    #[test]
    fn what_another_program_writes_is_counted_once() {
        let (db, ..) = database();
        let check = |total: i64, counted: Option<i64>| {
            assert_eq!(db.read(ReadCounts { task: None, run: None, since: None }).total, total);
            let sum = "SELECT SUM(events) FROM telemetry_totals";
            let in_table: Option<i64> = db.conn.query_row(sum, [], |row| row.get(0)).unwrap();
            assert_eq!(in_table, counted);
        };
        check(4, None);
        db.tell(&event());
        check(5, Some(5));
        db.tell(&event());
        check(6, Some(6));
    }

    fn event() -> Telemetry<'static> {
        Telemetry {
            actor: Actor::Operator,
            event_type: "command_failed",
            severity: Severity::Error,
            summary: "s",
            task_id: None,
            run_id: None,
            correlation: serde_json::json!({}),
            attributes: serde_json::json!({}),
        }
    }

    #[test]
    fn a_summary_tells_kinds_times_and_the_only_task() {
        let (db, one, _) = database();
        let read = |task: Option<&str>| {
            db.read(ReadCounts { task: task.map(str::to_owned), run: None, since: None })
        };
        let all = read(None);
        assert_eq!((all.total, all.by_severity["info"], all.by_event_type["command_failed"]), (4, 3, 1));
        assert_eq!(all.first_timestamp.as_deref(), Some("2026-01-01T10:00:00.000Z"));
        assert_eq!(all.last_timestamp.as_deref(), Some("2026-01-03T10:00:00.000Z"));
        assert_eq!(all.task_id, None);
        assert_eq!((read(Some("t1")).total, read(Some("t1")).task_id), (2, Some(one)));
        db.conn
            .execute_batch("DELETE FROM telemetry_events WHERE task_id <> (SELECT id FROM tasks LIMIT 1)")
            .unwrap();
        assert!(read(None).task_id.is_some());
        assert_eq!(TestDb::new().read(ReadCounts { task: None, run: None, since: None }), Counts::default());
    }
}
