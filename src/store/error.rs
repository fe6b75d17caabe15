//! What can go wrong between a change or query and the database file.

use std::path::PathBuf;
use std::sync::Arc;

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
        matches!(
            self.sqlite_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
        )
    }

    fn sqlite_code(&self) -> Option<rusqlite::ErrorCode> {
        match self {
            Self::Sql(error) => error.sqlite_error_code(),
            Self::NotCommitted(error) => error.sqlite_error_code(),
            _ => None,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        use rusqlite::ErrorCode as Code;
        let hint = match (&error, error.sqlite_code()) {
            (StoreError::Refused(_), _) => {
                let StoreError::Refused(failure) = error else { unreachable!("matched above") };
                return failure;
            }
            (StoreError::Open { hint, .. }, _) => hint.clone(),
            (StoreError::Panicked(_), _) => return Failure::internal(error.to_string()),
            (_, Some(Code::DatabaseBusy | Code::DatabaseLocked)) => {
                "another process held the database for more than 5 s; see who with `conveyor run --status`, then try again".into()
            }
            (_, Some(Code::DiskFull)) => "the disk is full: free some space and try again; nothing was lost".into(),
            (_, Some(Code::ReadOnly)) => "the database or its directory is read-only; check its permissions".into(),
            (_, Some(Code::DatabaseCorrupt | Code::NotADatabase)) => {
                "the file is damaged; it was left untouched. Copy it away, then check it with `conveyor db-doctor`".into()
            }
            _ => "check the database with `conveyor db-doctor`".into(),
        };
        Failure::new(FailureKind::Database, format!("database: {error}")).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_passes_through_and_a_sqlite_error_gets_a_hint() {
        let refusal = Failure::not_found("task nope does not exist");
        assert_eq!(Failure::from(StoreError::Refused(refusal.clone())), refusal);
        let full =
            rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None);
        let failure = Failure::from(StoreError::Sql(full));
        assert_eq!(failure.kind, FailureKind::Database);
        assert!(failure.hints[0].contains("disk is full"), "{failure:?}");
    }
}
