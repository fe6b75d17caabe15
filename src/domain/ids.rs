//! Identifiers: a prefix that says what the thing is, and a UUID.

use uuid::Uuid;

/// A fresh identifier such as `task-0197…` (`<prefix>-<uuid>`), the form agent-conveyor uses.
///
/// Identifiers grow with time (UUID version 7), so that rows that are written together stand together
/// in every index over them: a transaction then writes few pages. The first digits are the time, so
/// shortening an identifier leaves nothing that is unique.
pub fn new_id(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::now_v7())
}

/// A fresh token that nobody guesses, in the form of an identifier.
pub fn new_token(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::new_v4())
}
