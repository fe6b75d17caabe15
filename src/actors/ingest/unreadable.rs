//! Whether a session's rollout can be read is on record: a session that nobody can read looks idle.

use crate::domain::{Failure, FailureKind};
use crate::store::Store;
use crate::store::unreadable::{IsUnreadable, RecordReadable, RecordUnreadable};

/// Puts on record how reading a session's rollout went. Failures of anything but the file are passed over.
///
/// # Errors
/// When the store fails.
pub async fn note(store: &Store, session_id: &str, failure: Option<&Failure>) -> Result<(), Failure> {
    let session_id = session_id.to_owned();
    match failure {
        Some(failure) if is_of_the_file(failure) => {
            let unreadable = RecordUnreadable { session_id, error: failure.message.clone() };
            store.write(unreadable).await?;
        }
        Some(_) => {}
        None => {
            if store.read(IsUnreadable(session_id.clone())).await? {
                store.write(RecordReadable(session_id)).await?;
            }
        }
    }
    Ok(())
}

fn is_of_the_file(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::NotFound | FailureKind::External)
}
