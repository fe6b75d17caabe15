//! Identifiers: a prefix that says what the thing is, and a UUID.

/// A fresh identifier such as `task-6f1c…` (`<prefix>-<uuid v4>`), the form agent-conveyor uses.
pub fn new_id(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::new_v4())
}
