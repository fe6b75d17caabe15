//! How a turn of a session ended.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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

/// What tells one turn of a thread from the others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TurnKey {
    /// Codex's own id of the turn.
    Id(String),
    /// The byte of the rollout line that tells of the turn, where Codex wrote no id.
    Offset(u64),
}

const OFFSET_PREFIX: &str = "offset:";

impl TurnKey {
    /// The turn with this id, or, without one, of the line at `offset`.
    pub fn new(turn_id: Option<String>, offset: u64) -> Self {
        turn_id.map_or(Self::Offset(offset), Self::Id)
    }

    /// Reads back what `Display` writes.
    pub fn parse(text: &str) -> Self {
        let offset = text.strip_prefix(OFFSET_PREFIX).and_then(|digits| digits.parse().ok());
        offset.map_or_else(|| Self::Id(text.to_owned()), Self::Offset)
    }

    /// Whether the turn began before the thread did, so that it is another one's, whose history the
    /// thread continues. Ids of today's Codex tell when they were made; of others nothing is known.
    pub fn is_older_than(&self, thread_id: &str) -> bool {
        let made = |id: &str| Some(Uuid::parse_str(id).ok()?.get_timestamp()?.to_unix());
        let turn = self.id().and_then(made);
        turn.zip(made(thread_id)).is_some_and(|(turn, thread)| turn < thread)
    }

    /// Codex's own id, if the turn has one.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Id(id) => Some(id),
            Self::Offset(_) => None,
        }
    }
}

impl fmt::Display for TurnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Offset(offset) => write!(f, "{OFFSET_PREFIX}{offset}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_a_thread_did_not_begin_is_known_by_its_age() {
        let (early, late) = ("01890000-0000-7000-8000-000000000000", "01900000-0000-7000-8000-000000000000");
        let check = |turn: &str, thread: &str, older: bool| {
            assert_eq!(TurnKey::parse(turn).is_older_than(thread), older, "{turn} {thread}");
        };
        check(early, late, true);
        check(late, early, false);
        check(late, late, false);
        check("7", late, false);
        check(early, "thread", false);
        check("offset:7", late, false);
    }

    #[test]
    fn every_turn_key_reads_back() {
        for key in [TurnKey::Id("019a-b".into()), TurnKey::Offset(574), TurnKey::Id("offset:x".into())] {
            assert_eq!(TurnKey::parse(&key.to_string()), key);
        }
        assert_eq!(TurnKey::new(None, 7).to_string(), "offset:7");
        assert_eq!(TurnKey::new(Some("a".into()), 7).to_string(), "a");
    }

    #[test]
    fn every_outcome_reads_back() {
        for outcome in [TurnOutcome::Completed, TurnOutcome::Interrupted, TurnOutcome::Failed] {
            assert_eq!(TurnOutcome::parse(outcome.as_str()), Some(outcome));
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.to_string());
        }
        assert_eq!(TurnOutcome::parse("done"), None);
    }
}
