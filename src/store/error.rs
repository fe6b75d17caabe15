//! What can go wrong between a change or query and the database file.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::domain::{Failure, FailureKind};

/// A failed change or query. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A rule of the domain refused: an unknown name, a state that does not allow it.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// The file could not be opened or is not ours to open.
    #[error("failed to open the database {path}: {reason}")]
    Open {
        /// The database file.
        path: PathBuf,
        /// What stands in the way.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// SQLite refused a statement, or the file system below it failed.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// The commit that this change shared with others failed.
    #[error("not committed: {0}")]
    NotCommitted(Arc<rusqlite::Error>),
    /// A change or query panicked; its effects are rolled back.
    #[error("the store hit a defect: {0}")]
    Panicked(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether trying again later may succeed: the file was locked by somebody else.
    pub fn is_busy(&self) -> bool {
        matches!(self.sqlite_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    fn sqlite_code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql(error) => error.sqlite_error_code(),
            Self::NotCommitted(error) => error.sqlite_error_code(),
            _ => None,
        }
    }
}

/// What to do about a failure of SQLite, or of the file system below it.
pub(super) fn sqlite_hint(code: Option<ErrorCode>) -> &'static str {
    match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process held it for more than 5 s; see who with `conveyor run --status`, then try again"
        }
        Some(ErrorCode::DiskFull) => "the disk is full: free some space and try again; nothing was lost",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "the file and its directory must be writable: check their owner and permissions; \
             inside Codex's sandbox, use conveyor's MCP tools instead"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "it was left untouched, as it is the audit record: save what is readable with \
             `sqlite3 FILE .recover`, then move it away to start anew"
        }
        _ => "check it with `conveyor db-doctor`",
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = match error {
            StoreError::Refused(failure) => return failure,
            StoreError::Panicked(_) => return Failure::internal(error.to_string()),
            StoreError::Open { ref hint, .. } => hint.clone(),
            _ => sqlite_hint(error.sqlite_code()).to_owned(),
        };
        Failure::new(FailureKind::Database, format!("database: {error}")).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_passes_through() {
        let refusal = Failure::not_found("task nope does not exist");
        assert_eq!(Failure::from(StoreError::Refused(refusal.clone())), refusal);
    }

    #[test]
    fn a_sqlite_error_says_what_to_do() {
        fn check(code: i32, advice: &str) {
            let sqlite = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            let failure = Failure::from(StoreError::Sql(sqlite));
            assert_eq!(failure.kind, FailureKind::Database);
            assert!(failure.hints[0].contains(advice), "{code}: {failure:?}");
        }
        check(rusqlite::ffi::SQLITE_NOTADB, "left untouched");
        check(rusqlite::ffi::SQLITE_CORRUPT, "left untouched");
        check(rusqlite::ffi::SQLITE_BUSY, "another process");
        check(rusqlite::ffi::SQLITE_FULL, "disk is full");
        check(rusqlite::ffi::SQLITE_READONLY, "writable");
        check(rusqlite::ffi::SQLITE_CANTOPEN, "writable");
        check(rusqlite::ffi::SQLITE_IOERR, "db-doctor");
    }
}
