//! How much verbatim text one answer carries.

use super::StoreError;
use crate::domain::Failure;

/// Bytes of verbatim text in one answer. A single line of a rollout may have more than a hundred
/// times the bytes of an ordinary answer.
const MAX_TEXT_BYTES: i64 = 16 << 20;

/// Refuses an answer of more; `what` says what would be in it.
///
/// # Errors
/// `Refused`, with what to ask for instead.
pub(super) fn refuse_too_much(bytes: i64, what: &str) -> Result<(), StoreError> {
    if bytes <= MAX_TEXT_BYTES {
        return Ok(());
    }
    Err(Failure::refused(format!("{what} hold {bytes} bytes of text, more than one answer carries"))
        .hint("ask for fewer with --limit, or leave out --include-content")
        .into())
}
