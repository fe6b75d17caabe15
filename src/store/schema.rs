//! Which databases this program opens, and how they get what it needs.
//!
//! A file carries two versions. `PRAGMA user_version` is the contract's: 22 for a file made here,
//! and never changed in one made elsewhere, so that agent-conveyor and conveyor open each other's
//! files. The history table counts our own migrations, which leave the contract's tables as they are.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior};

use super::error::sqlite_hint;

mod embedded {
    #![allow(unreachable_pub, reason = "the macro's visibility is not ours")]
    refinery::embed_migrations!("migrations");
}

/// The contract version of a database made here, and the oldest that opens.
pub const CONTRACT_VERSION: i64 = 22;
/// The newest contract version that opens. What it has beyond ours is left alone.
pub const NEWEST_CONTRACT_VERSION: i64 = 26;

const CONTRACT: &str = include_str!("../../migrations/contract/schema_22.sql");

/// Version and checksum of each migration in this program, oldest first. By heart: to read them off
/// the embedded files takes refinery longer than to open a database.
const MIGRATIONS: [(i32, &str); 16] = [
    (1, "11527261771371592546"),
    (2, "4267236508035591345"),
    (3, "18222625192320248689"),
    (4, "10973321052518167057"),
    (6, "13670267071964850240"),
    (7, "9399687641773486282"),
    (8, "17365429383881651457"),
    (9, "12668838345190106884"),
    (10, "17950734420701601283"),
    (11, "168692891952613065"),
    (12, "11589606370601580029"),
    (13, "3353396777006117182"),
    (14, "11312915896418908559"),
    (15, "12707884742251137509"),
    (16, "5170003514870112490"),
    (17, "10459595313883885866"),
];

/// What [`prepare`] found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The file's `user_version`.
    pub contract_version: i64,
    /// The file was empty, and this call made the contract schema in it.
    pub created: bool,
}

/// Why a file is not opened. Nothing was written to it.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Made by an agent-conveyor before 0.1.0.
    #[error("its schema version {0} is older than {CONTRACT_VERSION}, the oldest this program opens")]
    TooOld(i64),
    /// Made by a later agent-conveyor.
    #[error("its schema version {0} is newer than {NEWEST_CONTRACT_VERSION}, the newest this program opens")]
    TooNew(i64),
    /// Tables, but no contract version.
    #[error("it is a database of something else: {0} tables and indexes, but no schema version")]
    Foreign(i64),
    /// A later conveyor added tables this one does not know.
    #[error("a newer conveyor has changed it (migration {0})")]
    NewerConveyor(i32),
    /// One of our migrations in the file is not the one this program has.
    #[error("migration {0} in it is not the one this conveyor has")]
    Divergent(i32),
    /// The bytes are no SQLite database, or a broken one.
    #[error("it is damaged or no SQLite database ({0})")]
    Damaged(rusqlite::Error),
    /// One of our migrations failed and was rolled back.
    #[error("failed to add the tables of conveyor: {0}")]
    Migration(#[from] refinery::Error),
    /// Locked, full, read-only, or another failure of SQLite or the file system.
    #[error(transparent)]
    Sql(rusqlite::Error),
}

impl SchemaError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooOld(_) => "open it once with agent-conveyor 0.1.0, which brings it to version 22",
            Self::TooNew(_) | Self::NewerConveyor(_) => {
                "upgrade conveyor, or name another state root with CONVEYOR_STATE_ROOT"
            }
            Self::Foreign(_) => "check the path; name another state root with CONVEYOR_STATE_ROOT",
            Self::Divergent(_) => "open it with the build of conveyor that made it",
            Self::Damaged(_) | Self::Migration(_) | Self::Sql(_) => sqlite_hint(self.sqlite_code()),
        }
    }

    /// Whether somebody else held the file, so that the same call may succeed later.
    pub fn is_busy(&self) -> bool {
        matches!(self.sqlite_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    fn sqlite_code(&self) -> Option<ErrorCode> {
        let sqlite = match self {
            Self::Sql(error) | Self::Damaged(error) => Some(error),
            Self::Migration(error) => std::error::Error::source(error)?.downcast_ref(),
            _ => None,
        };
        sqlite?.sqlite_error_code()
    }
}

impl From<rusqlite::Error> for SchemaError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged(error),
            _ => Self::Sql(error),
        }
    }
}

/// A contract database that opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contract {
    /// Its `user_version`.
    pub version: i64,
    /// All of our own migrations are in it.
    pub current: bool,
}

/// Looks at the file through `conn` without writing. `None` when it is empty.
///
/// # Errors
/// When the file is one this program does not open.
pub fn inspect(conn: &Connection) -> Result<Option<Contract>, SchemaError> {
    // One snapshot: another process may be making the schema at this moment.
    let snapshot = Transaction::new_unchecked(conn, TransactionBehavior::Deferred)?;
    let version = user_version(&snapshot)?;
    let objects = snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match version {
        0 if objects == 0 => Ok(None),
        CONTRACT_VERSION..=NEWEST_CONTRACT_VERSION => {
            Ok(Some(Contract { version, current: history_is_current(&snapshot)? }))
        }
        1..CONTRACT_VERSION => Err(SchemaError::TooOld(version)),
        i64::MIN..=0 => Err(SchemaError::Foreign(objects)),
        _ => Err(SchemaError::TooNew(version)),
    }
}

/// Makes the file ready for use: the contract schema when it is empty, then our own migrations.
///
/// Only reads when nothing is missing. Any number of processes may call this at once.
///
/// # Errors
/// When the file is one this program does not open, or cannot be written although it must be.
pub fn prepare(conn: &mut Connection) -> Result<Opened, SchemaError> {
    let Some(contract) = inspect(conn)? else {
        let created = create_contract(conn)?;
        return Ok(Opened { created, ..prepare(conn)? });
    };
    if !contract.current {
        migrate(conn)?;
    }
    Ok(Opened { contract_version: contract.version, created: false })
}

/// Whether this call made the schema; `false` when another process came first.
fn create_contract(conn: &mut Connection) -> Result<bool, SchemaError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if user_version(&tx)? != 0 {
        return Ok(false);
    }
    tx.execute_batch(CONTRACT)?;
    tx.commit()?;
    Ok(true)
}

fn migrate(conn: &mut Connection) -> Result<(), SchemaError> {
    conn.set_transaction_behavior(TransactionBehavior::Immediate);
    let outcome = embedded::migrations::runner().set_grouped(true).run(conn);
    conn.set_transaction_behavior(TransactionBehavior::Deferred);
    let Err(error) = outcome else { return Ok(()) };
    // The runner looks and applies in two transactions; another process may have applied between.
    match inspect(conn)? {
        Some(Contract { current: true, .. }) => Ok(()),
        _ => Err(error.into()),
    }
}

fn user_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Compares the migrations in the file with the ones this program has: all, or only the first few.
fn history_is_current(conn: &Connection) -> Result<bool, SchemaError> {
    let applied = applied_migrations(conn)?;
    let is_known = |((version, checksum), known): &(&(i32, String), &(i32, &str))| {
        (*version, checksum.as_str()) == **known
    };
    let same = applied.iter().zip(&MIGRATIONS).take_while(is_known).count();
    match applied.get(same) {
        None => Ok(applied.len() == MIGRATIONS.len()),
        Some(&(version, _)) if same == MIGRATIONS.len() => Err(SchemaError::NewerConveyor(version)),
        Some(&(version, _)) => Err(SchemaError::Divergent(version)),
    }
}

/// Version and checksum of each migration in the file, oldest first.
fn applied_migrations(conn: &Connection) -> rusqlite::Result<Vec<(i32, String)>> {
    let history = "SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history'";
    if conn.query_row(history, [], |_| Ok(())).optional()?.is_none() {
        return Ok(Vec::new());
    }
    conn.prepare("SELECT version, checksum FROM refinery_schema_history ORDER BY version")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn connect(path: &Path) -> Connection {
        let conn = Connection::open(path).unwrap();
        conn.busy_timeout(Duration::from_secs(5)).unwrap();
        conn
    }

    fn count(conn: &Connection, table: &str) -> i64 {
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn every_migration_file_is_embedded_and_known_by_heart() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
        let files = files.filter(|file| file.as_ref().unwrap().path().is_file()).count();
        let runner = embedded::migrations::runner();
        let mut embedded: Vec<_> =
            runner.get_migrations().iter().map(|m| (m.version(), m.checksum().to_string())).collect();
        embedded.sort();
        assert_eq!(embedded.len(), files, "touch src/store/schema.rs after adding a migration");
        let by_heart = MIGRATIONS.map(|(version, checksum)| (version, checksum.to_owned()));
        assert_eq!(embedded, by_heart, "a new migration has a line in MIGRATIONS");
    }

    #[test]
    fn an_empty_file_gets_everything_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.db");
        let mut conn = connect(&path);
        assert_eq!(inspect(&conn).unwrap(), None);
        assert_eq!(prepare(&mut conn).unwrap(), Opened { contract_version: 22, created: true });
        assert_eq!(count(&conn, "refinery_schema_history"), MIGRATIONS.len() as i64);

        let before = std::fs::read(&path).unwrap();
        assert_eq!(prepare(&mut conn).unwrap(), Opened { contract_version: 22, created: false });
        assert_eq!(std::fs::read(&path).unwrap(), before, "an up-to-date file is only read");
    }

    #[test]
    fn a_current_file_opens_while_another_process_writes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.db");
        let mut busy = connect(&path);
        prepare(&mut busy).unwrap();
        busy.execute_batch("BEGIN IMMEDIATE; DELETE FROM deliveries").unwrap();

        let mut second = Connection::open(&path).unwrap();
        second.busy_timeout(Duration::ZERO).unwrap();
        assert_eq!(prepare(&mut second).unwrap(), Opened { contract_version: 22, created: false });
    }

    #[test]
    fn thirty_two_openers_of_a_new_file_all_succeed_and_one_of_them_makes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.db");
        let start = std::sync::Barrier::new(32);
        let open = || {
            let mut conn = connect(&path);
            start.wait();
            prepare(&mut conn).unwrap().created
        };
        let makers = std::thread::scope(|scope| {
            let openers: Vec<_> = (0..32).map(|_| scope.spawn(open)).collect();
            openers.into_iter().map(|opener| opener.join().unwrap()).filter(|made| *made).count()
        });
        assert_eq!(makers, 1);
        let conn = connect(&path);
        assert_eq!(count(&conn, "refinery_schema_history"), MIGRATIONS.len() as i64);
        assert_eq!(count(&conn, "schema_migrations"), 1);
    }

    #[test]
    fn what_is_not_ours_is_refused_untouched_with_advice() {
        fn check(make: &str, message: &str, advice: &str) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("w.db");
            connect(&path).execute_batch(make).unwrap();
            let before = std::fs::read(&path).unwrap();

            let error = prepare(&mut connect(&path)).unwrap_err();
            assert!(error.to_string().contains(message), "{make}: {error}");
            assert!(error.hint().contains(advice), "{make}: {}", error.hint());
            assert_eq!(std::fs::read(&path).unwrap(), before, "{make}");
        }
        let ours = format!("{CONTRACT}; CREATE TABLE refinery_schema_history (version, checksum);");
        let known = MIGRATIONS.iter().fold(String::new(), |sql, (version, checksum)| {
            format!("{sql} INSERT INTO refinery_schema_history VALUES ({version}, '{checksum}');")
        });
        check("CREATE TABLE t (x); PRAGMA user_version = 21", "version 21 is older", "agent-conveyor");
        check("CREATE TABLE t (x); PRAGMA user_version = 27", "version 27 is newer", "upgrade conveyor");
        check("PRAGMA user_version = 27", "version 27 is newer", "upgrade conveyor");
        check("CREATE TABLE t (x)", "something else", "check the path");
        check(
            &format!("{ours} {known} INSERT INTO refinery_schema_history VALUES (99, '1')"),
            "newer conveyor has changed it (migration 99)",
            "upgrade conveyor",
        );
        check(
            &format!("{ours} INSERT INTO refinery_schema_history VALUES (1, '1')"),
            "migration 1 in it",
            "the build of conveyor that made it",
        );
    }

    #[test]
    fn facts_about_sessions_outlive_the_table_they_were_in() {
        let dir = tempfile::tempdir().unwrap();
        let mut conn = connect(&dir.path().join("w.db"));
        conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        conn.execute_batch(CONTRACT).unwrap();
        embedded::migrations::runner().set_target(refinery::Target::Version(15)).run(&mut conn).unwrap();
        conn.execute_batch(
            "INSERT INTO sessions (id, name, role, identity_token, cwd, registered_at, state)
             VALUES ('s', 'w1', 'worker', 't', '/', 'now', 'active');
             INSERT INTO session_facts VALUES (7, 's', 'waiting', 'k', '{}', 'a', 'b', 'c')",
        )
        .unwrap();
        prepare(&mut conn).unwrap();
        let whole = "SELECT id || session_id || kind || dedupe_key || detail_json || recorded_at || routed_at || cleared_at
                     FROM session_facts";
        let kept: String = conn.query_row(whole, [], |row| row.get(0)).unwrap();
        assert_eq!(kept, "7swaitingk{}abc");
    }

    #[test]
    fn a_file_of_agent_conveyor_keeps_its_version_and_content() {
        fn check(version: i64, extra: &str) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("w.db");
            let mut conn = connect(&path);
            conn.execute_batch(CONTRACT).unwrap();
            conn.execute_batch(extra).unwrap();
            conn.pragma_update(None, "user_version", version).unwrap();
            conn.execute_batch(
                "INSERT INTO tasks (id, name, goal, state, created_at, updated_at)
                 VALUES ('task-1', 't1', 'Ship it', 'candidate', 'now', 'now')",
            )
            .unwrap();

            assert_eq!(prepare(&mut conn).unwrap(), Opened { contract_version: version, created: false });
            assert_eq!(user_version(&conn).unwrap(), version);
            assert_eq!(count(&conn, "tasks"), 1);
            assert_eq!(count(&conn, "turn_facts"), 0);
        }
        check(22, "");
        check(
            26,
            "ALTER TABLE tasks ADD COLUMN priority TEXT DEFAULT 'high';
             CREATE TABLE later (x TEXT); INSERT INTO later VALUES ('kept');
             INSERT INTO schema_migrations VALUES (26, 'now')",
        );
    }
}
