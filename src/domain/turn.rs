//! How a turn of a session ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a turn ended. That a turn ended does not mean that it succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnOutcome {
    /// The session finished what it was asked.
    Completed,
    /// Somebody stopped it.
    Interrupted,
    /// It gave up on an error.
    Failed,
}

impl TurnOutcome {
    /// The word stored in the database and shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }

    /// Reads [`TurnOutcome::as_str`] back.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Completed, Self::Interrupted, Self::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

impl fmt::Display for TurnOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_reads_back() {
        for outcome in [TurnOutcome::Completed, TurnOutcome::Interrupted, TurnOutcome::Failed] {
            assert_eq!(TurnOutcome::parse(outcome.as_str()), Some(outcome));
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.to_string());
        }
        assert_eq!(TurnOutcome::parse("done"), None);
    }
}
