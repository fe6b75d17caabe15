//! What a database says about its own health.

mod live;
mod pairs;
mod sample;
mod undecided;
mod whole;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use live::{
    Drift, DriftKind, LiveManager, LivePair, LiveReport, LiveSession, Sighting, SilentManager, TaskName,
};
pub use pairs::{BoundPair, BoundPairs, UnfinishedCommand};
pub use undecided::Undecided;
pub use whole::{Extent, FileCheck, RecordFileCheck, WholeFile};

use super::schema::{self, CONTRACT_VERSION, NEWEST_CONTRACT_VERSION};
use super::{Query, StoreError};

/// Problems listed at most; a broken file has thousands.
const PROBLEM_LIMIT: i64 = 20;

/// Databases that were migrated to version 22 may lack it, and nothing needs it for correctness.
const OPTIONAL_INDEX: &str = "routed_notifications_consumed_cycle";

/// The answer of `db-doctor`. The checks, their names and their order are agent-conveyor's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DbReport {
    /// Each aspect that was looked at.
    pub checks: Vec<Check>,
    /// Whether the telemetry index has every event.
    pub full_text: FullText,
    /// Whether SQLite can read its own pages.
    pub integrity: Integrity,
    /// What the sessions in it look like outside; only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_reconcile: Option<LiveReport>,
    /// Everything is well.
    pub ok: bool,
    /// The database file.
    pub path: PathBuf,
    /// The newest version its history names; 0 when it names none.
    pub schema_version: i64,
    /// How large it is.
    pub size: Size,
    /// What a person has to decide: `conveyor deliveries --state unknown`, `conveyor telemetry failures`.
    #[serde(default)]
    pub undecided: Undecided,
    /// Its `PRAGMA user_version`.
    pub user_version: i64,
    /// Whether all of the file was looked at.
    #[serde(default)]
    pub whole_file: WholeFile,
}

/// One aspect of a [`DbReport`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at, e.g. `required_indexes`.
    pub name: String,
    /// It is as it should be.
    pub ok: bool,
    /// What was found.
    #[serde(flatten)]
    pub found: Found,
}

/// What a [`Check`] found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Found {
    /// A setting.
    Setting {
        /// As SQLite tells it.
        value: Value,
    },
    /// Parts of the schema.
    Missing {
        /// Names that should be there and are not.
        missing: Vec<String>,
    },
    /// References between rows.
    References {
        /// Rows whose parent does not exist.
        violations: Vec<Violation>,
    },
    /// Sessions and commands; see [`LiveReport`].
    Live {
        /// Sessions that are not as recorded.
        drift_count: usize,
        /// Managers that were silent for too long.
        manager_liveness_warning_count: usize,
        /// Bound tasks.
        task_count: usize,
        /// Their commands that are neither done nor failed.
        unfinished_command_count: usize,
    },
}

/// A row that refers to one which does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The table of the row.
    pub table: String,
    /// Its row number; none in a table without them.
    pub rowid: Option<i64>,
    /// The table it refers to.
    pub parent: String,
}

/// How the telemetry events stand in their full-text index: all, or the newest when a part of the file
/// was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullText {
    /// Rows of `telemetry_events`.
    pub events: i64,
    /// Those of them that its index has.
    pub indexed: i64,
    /// They are as many.
    pub ok: bool,
}

/// Whether SQLite can read the file: by its own check (`PRAGMA quick_check`), or the ends of each table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integrity {
    /// No problem was found.
    pub ok: bool,
    /// What SQLite said, at most twenty lines.
    pub problems: Vec<String>,
}

/// Sizes on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Bytes of the database file.
    pub database_bytes: i64,
    /// Bytes of it that hold nothing and are used again before it grows.
    pub free_bytes: i64,
    /// Bytes of the write-ahead log.
    pub log_bytes: u64,
}

impl DbReport {
    /// The report with what was seen of the sessions. From then on it is about the work too, which is
    /// not well while somebody has to decide something.
    #[must_use]
    pub fn with_live(mut self, live: LiveReport) -> Self {
        self.ok &= live.ok && self.undecided.is_none();
        self.checks.push(live.check());
        self.live_reconcile = Some(live);
        self
    }
}

/// Looks a database over.
#[derive(Debug)]
pub struct Doctor {
    /// The database file, as it is to be named in the report.
    pub path: PathBuf,
    /// How much of it is looked at.
    pub extent: Extent,
}

/// What is found in the rows and pages of a file.
#[derive(Debug, Default)]
struct Contents {
    problems: Vec<String>,
    violations: Vec<Violation>,
    full_text: FullText,
}

impl Query for Doctor {
    type Out = DbReport;

    fn run(self, conn: &Connection) -> Result<DbReport, StoreError> {
        let size = size(conn, &self.path)?;
        let contents = match self.extent.tell_of(size.database_bytes) {
            Some(tell) => whole::read(conn, &size, tell)?,
            None => sample::read(conn)?,
        };
        let whole_file = WholeFile::of(conn, &self.extent, &size);
        let Contents { problems, violations, full_text } = contents;
        let schema_version = schema_version(conn)?;
        let user_version = pragma(conn, "user_version")?;
        let mut checks = settings(conn, schema_version, user_version)?;
        checks.extend(missing_parts(conn)?);
        checks.push(Check {
            name: "foreign_key_check".to_owned(),
            ok: violations.is_empty(),
            found: Found::References { violations },
        });
        // Where it cannot be counted the file is damaged, which the checks above tell.
        let undecided = undecided::count(conn).unwrap_or_default();
        let integrity = Integrity { ok: problems.is_empty(), problems };
        let is_well = integrity.ok && full_text.ok && whole_file.is_well();
        Ok(DbReport {
            ok: is_well && checks.iter().all(|check| check.ok),
            size,
            path: self.path,
            live_reconcile: None,
            checks,
            full_text,
            integrity,
            schema_version,
            undecided,
            user_version,
            whole_file,
        })
    }
}

/// What could not be read because of damage is a problem found, not a failure to look.
fn unless_damaged<T: Default>(found: rusqlite::Result<T>, problems: &mut Vec<String>) -> rusqlite::Result<T> {
    match found {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
            problems.push(error.to_string());
            Ok(T::default())
        }
        found => found,
    }
}

fn settings(conn: &Connection, schema_version: i64, user_version: i64) -> rusqlite::Result<Vec<Check>> {
    let foreign_keys: i64 = pragma(conn, "foreign_keys")?;
    let journal_mode: String = pragma(conn, "journal_mode")?;
    let busy_timeout: i64 = pragma(conn, "busy_timeout")?;
    let opens = |version| (CONTRACT_VERSION..=NEWEST_CONTRACT_VERSION).contains(&version);
    Ok(vec![
        setting("foreign_keys", foreign_keys == 1, foreign_keys),
        setting("journal_mode_wal", journal_mode == "wal", journal_mode),
        setting("busy_timeout", busy_timeout >= 5000, busy_timeout),
        setting("schema_version", opens(schema_version), schema_version),
        setting("user_version", opens(user_version), user_version),
    ])
}

fn setting(name: &str, ok: bool, value: impl Into<Value>) -> Check {
    Check { name: name.to_owned(), ok, found: Found::Setting { value: value.into() } }
}

fn pragma<T: rusqlite::types::FromSql>(conn: &Connection, name: &str) -> rusqlite::Result<T> {
    conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

fn schema_version(conn: &Connection) -> rusqlite::Result<i64> {
    if !has_table(conn, "schema_migrations")? {
        return Ok(0);
    }
    conn.query_row("SELECT coalesce(max(version), 0) FROM schema_migrations", [], |row| row.get(0))
}

fn has_table(conn: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    Ok(conn.query_row(sql, [name], |_| Ok(())).optional()?.is_some())
}

/// Compares the file with what a new one has.
fn missing_parts(conn: &Connection) -> Result<Vec<Check>, StoreError> {
    let mut new = Connection::open_in_memory()?;
    schema::prepare(&mut new).map_err(|error| StoreError::Open {
        path: PathBuf::from("(in memory)"),
        reason: error.to_string(),
        hint: error.hint().to_owned(),
    })?;
    let mut checks = Vec::new();
    for (name, kind) in
        [("required_tables", "table"), ("required_indexes", "index"), ("required_triggers", "trigger")]
    {
        let present = names(conn, kind)?;
        let missing: Vec<String> =
            names(&new, kind)?.into_iter().filter(|required| !present.contains(required)).collect();
        checks.push(Check {
            name: name.to_owned(),
            ok: missing.is_empty(),
            found: Found::Missing { missing },
        });
    }
    Ok(checks)
}

/// Names of one kind of schema part, sorted, without those that SQLite makes by itself.
fn names(conn: &Connection, kind: &str) -> rusqlite::Result<Vec<String>> {
    conn.prepare(
        "SELECT name FROM sqlite_schema WHERE type = ?1 AND name <> ?2
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'telemetry\\_events\\_fts\\_%' ESCAPE '\\'
         ORDER BY name",
    )?
    .query_map([kind, OPTIONAL_INDEX], |row| row.get(0))?
    .collect()
}

fn size(conn: &Connection, path: &Path) -> rusqlite::Result<Size> {
    let page_bytes: i64 = pragma(conn, "page_size")?;
    let pages: i64 = pragma(conn, "page_count")?;
    let free_pages: i64 = pragma(conn, "freelist_count")?;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    Ok(Size {
        database_bytes: page_bytes * pages,
        free_bytes: page_bytes * free_pages,
        // No log is an empty log.
        log_bytes: std::fs::metadata(log).map_or(0, |log| log.len()),
    })
}

#[cfg(test)]
mod tests;
