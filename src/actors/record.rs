//! What is told of something that is over, when the store then fails to take it down: first how it
//! ended, for that is what nobody can look up.

use crate::domain::Failure;
use crate::store::StoreError;

/// What failed, told whether or not that was `recorded`.
pub(super) fn failed<T>(failure: Failure, recorded: Result<T, StoreError>) -> Failure {
    let Err(error) = recorded else { return failure };
    let Failure { message, hints, .. } = error.into();
    let failure = failure.hint(format!("this is not on record: {message}"));
    hints.into_iter().fold(failure, Failure::hint)
}

/// What was done, in the words of `what`, though it could not be recorded.
pub(super) fn done(what: &str, error: StoreError) -> Failure {
    let Failure { kind, message, .. } = error.into();
    Failure::new(kind, format!("{what}, but that is not on record: {message}"))
        .hint("it need not be repeated; see to the database first: `conveyor db-doctor`")
}

/// How something ended that was to be `recorded`; `what` says what was done when it went well.
///
/// # Errors
/// Its own failure, or that it was done and is not on record.
pub(super) fn ended<T, R>(
    outcome: Result<T, Failure>,
    recorded: Result<R, StoreError>,
    what: impl FnOnce(&T) -> String,
) -> Result<T, Failure> {
    match (outcome, recorded) {
        (Ok(value), Ok(_)) => Ok(value),
        (Ok(value), Err(error)) => Err(done(&what(&value), error)),
        (Err(failure), recorded) => Err(failed(failure, recorded)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FailureKind;

    #[test]
    fn how_it_ended_is_told_whatever_the_store_says() {
        fn check(
            outcome: Result<u8, Failure>,
            recorded: Result<(), StoreError>,
            message: &str,
            hints: &[&str],
        ) {
            let failure = ended(outcome, recorded, |number| format!("{number} were sent")).unwrap_err();
            assert!(failure.message.starts_with(message), "{failure}");
            assert_eq!(failure.hints.len(), hints.len(), "{failure:?}");
            for (hint, expect) in failure.hints.iter().zip(hints) {
                assert!(hint.starts_with(expect), "{failure:?}");
            }
        }
        let no = || Failure::external("tmux said no").hint("ask again");
        let full = || {
            let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
            Err(StoreError::Sql(rusqlite::Error::SqliteFailure(full, None)))
        };
        check(Err(no()), Ok(()), "tmux said no", &["ask again"]);
        check(
            Err(no()),
            full(),
            "tmux said no",
            &["ask again", "this is not on record: database", "the disk is full"],
        );
        check(
            Ok(3),
            full(),
            "3 were sent, but that is not on record: database",
            &["it need not be repeated"],
        );
        assert_eq!(ended(Ok(3), Ok(()), |_| String::new()), Ok(3));
        assert_eq!(failed(no(), full()).kind, FailureKind::External);
    }
}
