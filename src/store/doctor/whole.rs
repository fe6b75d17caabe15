//! The check of a whole file. It takes seconds a gigabyte, so that a large one is checked only when that
//! is asked for, and what was found last is kept.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::{Contents, FullText, PROBLEM_LIMIT, Size, Violation, has_table, unless_damaged};
use crate::domain::time::{now_iso, parse_iso};
use crate::store::{Change, StoreError};

/// A file of up to so many bytes is checked whole every time.
const SMALL_FILE: i64 = 8 << 20;

/// How much of a file is looked at.
#[derive(Debug, Clone, Copy)]
pub enum Extent {
    /// All of a small file; of a large one the ends of each table.
    Bounded,
    /// All of it.
    Whole {
        /// Tells what is looked at next.
        tell: fn(&str),
    },
}

impl Extent {
    /// Whom to tell what is looked at next, where all of a file of this size is looked at.
    pub(super) fn tell_of(self, bytes: i64) -> Option<fn(&str)> {
        match self {
            Self::Whole { tell } => Some(tell),
            Self::Bounded if bytes <= SMALL_FILE => Some(|_| ()),
            Self::Bounded => None,
        }
    }
}

/// Whether all of a file was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WholeFile {
    /// This report is about all of it.
    pub checked: bool,
    /// What was found when somebody asked for all of it last.
    pub last: Option<FileCheck>,
    /// What to do where only a part was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl WholeFile {
    /// What there is to say of a file that is looked at to this extent.
    pub(super) fn of(conn: &Connection, extent: &Extent, size: &Size) -> Self {
        let checked = extent.tell_of(size.database_bytes).is_some();
        // A file too damaged to tell is told of by the checks.
        let last = last_check(conn, Timestamp::now()).unwrap_or_default();
        let hint = (!checked).then(|| "check all of the file: conveyor db-doctor --full".to_owned());
        Self { checked, last, hint }
    }

    /// What was found last counts until all of the file is looked at again.
    pub(super) fn is_well(&self) -> bool {
        self.checked || self.last.as_ref().is_none_or(|last| last.ok)
    }
}

/// A check of a whole file that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCheck {
    /// When.
    pub at: String,
    /// How long ago, in seconds.
    pub age_seconds: i64,
    /// Everything was well.
    pub ok: bool,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// How large the file was.
    pub database_bytes: i64,
}

fn last_check(conn: &Connection, now: Timestamp) -> rusqlite::Result<Option<FileCheck>> {
    conn.prepare_cached("SELECT at, ok, took_ms, database_bytes FROM file_checks ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| {
            let at: String = row.get(0)?;
            Ok(FileCheck {
                age_seconds: parse_iso(&at).map_or(0, |at| now.duration_since(at).as_secs().max(0)),
                at,
                ok: row.get(1)?,
                took_ms: row.get(2)?,
                database_bytes: row.get(3)?,
            })
        })
        .optional()
}

/// Keeps what a check of the whole file found.
#[derive(Debug)]
pub struct RecordFileCheck {
    /// Everything was well.
    pub ok: bool,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// How large the file is.
    pub database_bytes: i64,
}

impl Change for RecordFileCheck {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        tx.prepare_cached(
            "INSERT INTO file_checks (at, ok, took_ms, database_bytes) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((now_iso(), self.ok, self.took_ms, self.database_bytes))?;
        Ok(())
    }
}

/// Reads all of it.
pub(super) fn read(conn: &Connection, size: &Size, tell: fn(&str)) -> Result<Contents, StoreError> {
    tell(&format!("checking the pages of the file, {} MB", size.database_bytes >> 20));
    let mut problems = quick_check(conn)?;
    tell("checking the references between its rows");
    let violations = unless_damaged(foreign_key_violations(conn), &mut problems)?;
    tell("comparing telemetry with its full-text index");
    let full_text = unless_damaged(full_text(conn), &mut problems)?;
    Ok(Contents { problems, violations, full_text })
}

fn quick_check(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut problems = Vec::new();
    let lines = search_anew(conn).and_then(|()| {
        let mut check = conn.prepare(&format!("PRAGMA quick_check({PROBLEM_LIMIT})"))?;
        check.query_map([], |row| row.get(0))?.collect()
    });
    let lines: Vec<String> = unless_damaged(lines, &mut problems)?;
    problems.extend(lines.into_iter().filter(|line| line != "ok"));
    Ok(problems)
}

/// SQLite's check holds the full-text index against what the connection knew of it at its last search,
/// and takes what others wrote since then for damage.
fn search_anew(conn: &Connection) -> rusqlite::Result<()> {
    if has_table(conn, "telemetry_events_fts")? {
        conn.prepare("SELECT rowid FROM telemetry_events_fts LIMIT 1")?.exists([])?;
    }
    Ok(())
}

fn foreign_key_violations(conn: &Connection) -> rusqlite::Result<Vec<Violation>> {
    conn.prepare("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check LIMIT ?1")?
        .query_map([PROBLEM_LIMIT], |row| {
            Ok(Violation { table: row.get(0)?, rowid: row.get(1)?, parent: row.get(2)? })
        })?
        .collect()
}

fn full_text(conn: &Connection) -> rusqlite::Result<FullText> {
    let events = row_count(conn, "telemetry_events")?;
    let indexed = row_count(conn, "telemetry_events_fts")?;
    Ok(FullText { events, indexed, ok: events == indexed })
}

/// Rows of a table; 0 when it is missing, which is reported elsewhere.
fn row_count(conn: &Connection, table: &str) -> rusqlite::Result<i64> {
    if !has_table(conn, table)? {
        return Ok(0);
    }
    conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
}
