//! The newest rows about a task: a bounded page of a history that may be long.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::domain::time::iso;

/// Which part of a task's history is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The newest rows of each kind, at most so many.
    pub limit: u32,
    /// Nothing before this instant.
    pub since: Option<jiff::Timestamp>,
    /// Nothing from this instant on.
    pub until: Option<jiff::Timestamp>,
}

impl Page {
    /// Everything there is.
    pub fn everything() -> Self {
        Self { limit: u32::MAX, ..Self::default() }
    }
}

/// A list that was cut to its newest rows, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Newest<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// There are older ones.
    pub has_older: bool,
}

/// Where rows about a task come from: SQL in parts, so that each list is cut in the same way.
pub(super) struct Source<'a> {
    /// `SELECT … FROM …`.
    pub(super) select: &'a str,
    /// The condition for a row of the task `?1`.
    pub(super) of_task: &'a str,
    /// The column with the row's instant.
    pub(super) at: &'a str,
    /// The column that grows with time.
    pub(super) order: &'a str,
    /// The table that both columns are of, where rows are written about when they happened: then a
    /// page that ends long ago is found without reading what came after it.
    pub(super) written_at_once: Option<&'a str>,
}

/// How far the instants of two rows may be in the wrong order: a clock was set back, a rollout was read late.
const DISORDER: jiff::SignedDuration = jiff::SignedDuration::from_hours(12);

/// The newest rows of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub(super) fn newest<T>(
    conn: &Connection,
    source: &Source<'_>,
    task_id: &str,
    page: &Page,
    of: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Newest<T>, StoreError> {
    let Source { select, of_task, at, order, .. } = source;
    let at = format!("rtrim({at}, 'Z')");
    let newest = match (source.written_at_once, page.until) {
        (Some(table), Some(until)) => {
            newest_by(conn, source, table, task_id, until.checked_add(DISORDER).unwrap_or(until))?
        }
        _ => i64::MAX,
    };
    let place = source.written_at_once.map_or("0", |_| order);
    let sql = format!(
        "{select} WHERE {of_task} AND {place} <= ?5 AND {at} >= ?2 AND {at} < ?3 ORDER BY {order} DESC LIMIT ?4"
    );
    // Instants are text that begins with a digit.
    let since = page.since.map(bound).unwrap_or_default();
    let until = page.until.map_or_else(|| "~".to_owned(), bound);
    let mut rows: Vec<T> = conn
        .prepare_cached(&sql)?
        .query_map((task_id, since, until, i64::from(page.limit) + 1, newest), of)?
        .collect::<Result<_, _>>()?;
    let has_older = rows.len() > page.limit as usize;
    rows.truncate(page.limit as usize);
    rows.reverse();
    Ok(Newest { rows, has_older })
}

/// A place behind all rows that were there by an instant, found by halving.
fn newest_by(
    conn: &Connection,
    source: &Source<'_>,
    table: &str,
    task_id: &str,
    by: jiff::Timestamp,
) -> Result<i64, StoreError> {
    let Source { of_task, at, order, .. } = source;
    let end = format!("SELECT {order} FROM {table} WHERE {of_task} ORDER BY {order} DESC LIMIT 1");
    let later = format!(
        "SELECT {order}, rtrim({at}, 'Z') > ?3 FROM {table} WHERE {of_task} AND {order} >= ?2 ORDER BY {order} LIMIT 1"
    );
    let (mut end, mut later) = (conn.prepare_cached(&end)?, conn.prepare_cached(&later)?);
    let Some(end) = end.query_row([task_id], |row| row.get::<_, i64>(0)).optional()? else { return Ok(0) };
    let (mut low, mut high) = (0, end + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let (row, is_later): (i64, bool) =
            later.query_row((task_id, middle, bound(by)), |row| row.try_into())?;
        if is_later {
            high = middle;
        } else {
            low = row + 1;
        }
    }
    Ok(low)
}

/// An instant to compare stored ones with. Those of agent-conveyor may have no milliseconds; without
/// the `Z` at their ends, texts are in the order of the instants all the same.
fn bound(at: jiff::Timestamp) -> String {
    let text = iso(at);
    let text = text.trim_end_matches('Z');
    text.strip_suffix(".000").unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    #[test]
    fn a_page_is_the_newest_rows_in_their_order() {
        // The instants of agent-conveyor have no milliseconds.
        let instant = |second| match second {
            2 => "2026-01-01T00:00:02Z".to_owned(),
            _ => format!("2026-01-01T00:00:0{second}.000Z"),
        };
        let mut db = TestDb::new();
        let task_id = db.task("t1").id;
        let other = db.task("t2").id;
        for (task, second) in [(&task_id, 1), (&task_id, 2), (&other, 3), (&task_id, 4)] {
            db.conn
                .execute(
                    "INSERT INTO manager_decisions (task_id, decision, reason, created_at, payload_json)
                     VALUES (?1, 'wait', ?2, ?3, '{}')",
                    (task, second.to_string(), instant(second)),
                )
                .unwrap();
        }
        let source = Source {
            select: "SELECT reason FROM manager_decisions",
            of_task: "task_id = ?1",
            at: "created_at",
            order: "id",
            written_at_once: Some("manager_decisions"),
        };
        let at = |second: u32| Some(format!("2026-01-01T00:00:0{second}Z").parse().unwrap());
        let check = |limit, since, until, expect: &[&str], has_older| {
            let page = Page { limit, since, until };
            let found = newest(&db.conn, &source, &task_id, &page, |row| row.get::<_, String>(0)).unwrap();
            assert_eq!(
                (found.rows, found.has_older),
                (expect.iter().map(ToString::to_string).collect(), has_older)
            );
        };
        check(9, None, None, &["1", "2", "4"], false);
        check(2, None, None, &["2", "4"], true);
        check(9, at(2), None, &["2", "4"], false);
        check(9, None, at(4), &["1", "2"], false);
        check(1, None, at(4), &["2"], true);
        let half_past_two = Some("2026-01-01T00:00:02.500Z".parse().unwrap());
        check(9, half_past_two, None, &["4"], false);
        check(9, None, half_past_two, &["1", "2"], false);
        check(0, None, None, &[], true);
    }

    #[test]
    fn a_page_that_ends_long_ago_is_the_same_however_it_is_found() {
        let mut db = TestDb::new();
        let task_id = db.task("t1").id;
        let begin: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let minutes = |minutes: i64| begin + jiff::SignedDuration::from_mins(minutes);
        // Each third one is by a clock that was set back.
        for row in 0..40 {
            let at = iso(minutes(row * 20 - if row % 3 == 2 { 50 } else { 0 }));
            db.conn
                .execute(
                    "INSERT INTO manager_decisions (task_id, decision, reason, created_at, payload_json)
                     VALUES (?1, 'wait', ?2, ?3, '{}')",
                    (&task_id, row.to_string(), at),
                )
                .unwrap();
        }
        let page = |written_at_once, until| {
            let (select, of_task) = ("SELECT reason FROM manager_decisions", "task_id = ?1");
            let source = Source { select, of_task, at: "created_at", order: "id", written_at_once };
            let page = Page { limit: 5, since: None, until: Some(minutes(until)) };
            newest(&db.conn, &source, &task_id, &page, |row| row.get::<_, String>(0)).unwrap()
        };
        for until in (-60..900).step_by(7) {
            assert_eq!(page(Some("manager_decisions"), until), page(None, until), "{until}");
        }
    }
}
