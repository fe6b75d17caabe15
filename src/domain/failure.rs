//! The one error that reaches a person: what happened, to which object, and what to try next.

use serde::{Deserialize, Serialize};

use super::name;

/// What kind of refusal or fault this is. It decides the exit code and lets a program branch
/// without reading prose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The request itself is malformed: exit code 2.
    Usage,
    /// A named object does not exist.
    NotFound,
    /// The object exists but its state does not allow the request.
    Refused,
    /// Something outside this program (tmux, Codex, the file system) failed.
    External,
    /// The effect may or may not have happened; nobody may repeat it blindly.
    Unknown,
    /// The database is locked, full, damaged or of a version this program does not open.
    Database,
    /// A defect of this program.
    Internal,
}

/// A refusal or fault, as it is shown, logged and sent over the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The class of the failure.
    pub kind: FailureKind,
    /// One sentence without a trailing full stop: what happened, to which object.
    pub message: String,
    /// Commands or facts that help, most useful first. May be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure of `kind` with no hint yet.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new() }
    }

    /// The request is malformed.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    /// A named object does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(FailureKind::NotFound, message)
    }

    /// The state of the object does not allow the request.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Refused, message)
    }

    /// Something outside this program failed and nothing happened.
    pub fn external(message: impl Into<String>) -> Self {
        Self::new(FailureKind::External, message)
    }

    /// The effect may have happened.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unknown, message)
    }

    /// A defect of this program.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Internal, message)
    }

    /// A `what` (session, task …) that nobody knows by `name`, with the nearest of the `known` ones.
    pub fn unknown_name(what: &str, name: &str, known: &[String]) -> Self {
        let failure = Self::not_found(format!("{what} {} does not exist", name::shown(name)));
        let nearest = known
            .iter()
            .map(|known| (strsim::jaro_winkler(name, known), known))
            .filter(|(similarity, _)| *similarity > 0.75)
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        match nearest {
            Some((_, nearest)) => failure.hint(format!("did you mean {nearest}?")),
            None => failure,
        }
    }

    /// Adds something to try next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Tells of another failure with it.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.message = format!("{}; {}", self.message, other.message);
        self.hints.extend(other.hints);
        self
    }

    /// The process exit code that tells a script what happened: 2 for bad usage, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        if self.kind == FailureKind::Usage { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_suggests_only_a_near_one() {
        let known = ["auth-worker".to_owned(), "docs".to_owned()];
        assert_eq!(
            Failure::unknown_name("session", "auth-wroker", &known).hints,
            ["did you mean auth-worker?"]
        );
        assert!(Failure::unknown_name("session", "zzz", &known).hints.is_empty());
        assert_eq!(Failure::unknown_name("task", "", &known).message, "task \"\" does not exist");
    }
}
