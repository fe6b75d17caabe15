//! A look at a file too large to be checked whole each time: the oldest and the newest rows of each table,
//! what the newest refer to, and whether the newest telemetry can be found.

use rusqlite::Connection;

use super::{Contents, FullText, PROBLEM_LIMIT, Violation, has_table, unless_damaged};
use crate::store::StoreError;

/// Rows that are read at each end of a table.
const ROWS: u32 = 50;

/// Reads it.
pub(super) fn read(conn: &Connection) -> Result<Contents, StoreError> {
    let mut found = Contents::default();
    for table in unless_damaged(tables(conn), &mut found.problems)? {
        unless_damaged(read_ends(conn, &table), &mut found.problems)?;
        let violations = unless_damaged(violations(conn, &table), &mut found.problems)?;
        found.violations.extend(violations);
    }
    found.violations.truncate(PROBLEM_LIMIT as usize);
    found.full_text = unless_damaged(full_text(conn), &mut found.problems)?;
    Ok(found)
}

/// A table of the file.
struct Table {
    name: String,
    has_rowid: bool,
}

impl Table {
    /// Its newest rows, with their numbers.
    fn newest(&self) -> String {
        let Self { name, has_rowid } = self;
        match has_rowid {
            true => format!("SELECT rowid AS number, * FROM \"{name}\" ORDER BY rowid DESC LIMIT {ROWS}"),
            false => format!("SELECT NULL AS number, * FROM \"{name}\" LIMIT {ROWS}"),
        }
    }
}

fn tables(conn: &Connection) -> rusqlite::Result<Vec<Table>> {
    conn.prepare(
        "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' ORDER BY name",
    )?
    .query_map([], |row| Ok(Table { name: row.get(0)?, has_rowid: !row.get::<_, bool>(1)? }))?
    .collect()
}

/// Reads every value of the rows at both ends: what cannot be read is an error.
fn read_ends(conn: &Connection, table: &Table) -> rusqlite::Result<()> {
    for sql in [format!("SELECT * FROM \"{}\" LIMIT {ROWS}", table.name), table.newest()] {
        let mut statement = conn.prepare(&sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                row.get_ref(column)?;
            }
        }
    }
    Ok(())
}

/// The newest rows that refer to what does not exist.
fn violations(conn: &Connection, table: &Table) -> rusqlite::Result<Vec<Violation>> {
    let references: Vec<(String, String, String)> = conn
        .prepare("SELECT \"table\", \"from\", \"to\" FROM pragma_foreign_key_list(?1)")?
        .query_map([&table.name], |row| row.try_into())?
        .collect::<Result<_, _>>()?;
    let mut violations = Vec::new();
    for (parent, from, to) in references {
        // A missing table is reported elsewhere.
        if !has_table(conn, &parent)? {
            continue;
        }
        let sql = format!(
            "SELECT number FROM ({}) WHERE \"{from}\" IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM \"{parent}\" parent WHERE parent.\"{to}\" = \"{from}\")",
            table.newest()
        );
        let mut statement = conn.prepare(&sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Violation { table: table.name.clone(), rowid: row.get(0)?, parent: parent.clone() })
        })?;
        violations.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(violations)
}

/// How many of the newest events are among the newer ones of the index: each is written with its entry,
/// several together in any order.
fn full_text(conn: &Connection) -> rusqlite::Result<FullText> {
    if !has_table(conn, "telemetry_events")? || !has_table(conn, "telemetry_events_fts")? {
        return Ok(FullText::default());
    }
    let newest = format!("SELECT id FROM telemetry_events ORDER BY rowid DESC LIMIT {ROWS}");
    let newer = 10 * ROWS;
    let indexed = format!("SELECT event_id FROM telemetry_events_fts ORDER BY rowid DESC LIMIT {newer}");
    let sql = format!("SELECT COUNT(*), COUNT(*) FILTER (WHERE id IN ({indexed})) FROM ({newest})");
    let (events, indexed) = conn.query_row(&sql, [], |row| row.try_into())?;
    Ok(FullText { events, indexed, ok: events == indexed })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::telemetry::{Actor, Severity, Telemetry};
    use crate::store::testing::TestDb;

    fn database() -> TestDb {
        let mut db = TestDb::new();
        let pair = db.pair("t1");
        db.deliver(&pair, "go on");
        for number in 0..2 * ROWS {
            let telemetry = Telemetry {
                actor: Actor::System,
                event_type: "x",
                severity: Severity::Info,
                summary: &number.to_string(),
                task_id: None,
                run_id: None,
                correlation: json!({}),
                attributes: json!({}),
            };
            db.tell(&telemetry);
        }
        db
    }

    #[test]
    fn a_sound_file_shows_nothing_at_its_ends() {
        let db = database();
        let found = read(&db.conn).unwrap();
        assert_eq!((found.problems, found.violations), (vec![], vec![]));
        assert_eq!(found.full_text, FullText { events: 50, indexed: 50, ok: true });
    }

    #[test]
    fn what_is_wrong_with_the_newest_rows_is_found() {
        let db = database();
        db.conn
            .execute_batch(
                "PRAGMA foreign_keys = OFF;
                 UPDATE routed_notifications SET task_id = 'nothing';
                 DELETE FROM telemetry_events_fts WHERE rowid = 2 * 50 - 3",
            )
            .unwrap();
        let found = read(&db.conn).unwrap();
        let violation = |parent: &str| Violation {
            table: "routed_notifications".into(),
            rowid: Some(1),
            parent: parent.into(),
        };
        assert_eq!(found.violations, [violation("tasks")]);
        assert_eq!((found.full_text.events, found.full_text.indexed, found.full_text.ok), (50, 49, false));
    }

    #[test]
    fn a_table_that_cannot_be_read_is_a_problem() {
        let db = database();
        db.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let root = db.number("SELECT rootpage FROM sqlite_schema WHERE name = 'routed_notifications'");
        let path = db.path().to_owned();
        let mut bytes = std::fs::read(&path).unwrap();
        let page = usize::try_from(root).unwrap();
        bytes[(page - 1) * 4096..page * 4096].fill(0xff);
        std::fs::write(&path, &bytes).unwrap();
        let found = read(&crate::store::testing::connect(&path)).unwrap();
        assert!(found.problems.iter().any(|problem| problem.contains("malformed")), "{:?}", found.problems);
    }
}
