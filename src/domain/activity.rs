//! Whether a session works or waits, as its newest rollout events tell.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// A turn runs.
    Busy,
    /// The last turn ended, in whatever way.
    Idle,
    /// No event has told yet.
    #[default]
    Unknown,
}

/// The `event_msg` subtypes that change a session's activity. The newest event with one of them
/// decides.
pub const STATE_SUBTYPES: [&str; 6] =
    ["task_started", "turn_started", "user_message", "task_complete", "turn_complete", "turn_aborted"];

impl Activity {
    /// The activity after an event of this subtype; `None` when the event does not tell.
    pub fn after(subtype: &str) -> Option<Self> {
        match subtype {
            "task_started" | "turn_started" | "user_message" => Some(Self::Busy),
            "task_complete" | "turn_complete" | "turn_aborted" => Some(Self::Idle),
            _ => None,
        }
    }

    /// The activity after a row of events, oldest first.
    pub fn after_all<'a>(subtypes: impl DoubleEndedIterator<Item = &'a str>) -> Self {
        subtypes.rev().find_map(Self::after).unwrap_or_default()
    }

    /// The word shown to people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether the newest event of a session, of any subtype, says that its task is complete.
pub fn task_completed(last_subtype: Option<&str>) -> bool {
    matches!(last_subtype, Some("task_complete" | "turn_complete"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(subtypes: &[&str], expect: Activity) {
        assert_eq!(Activity::after_all(subtypes.iter().copied()), expect, "{subtypes:?}");
    }

    #[test]
    fn the_newest_telling_event_decides() {
        check(&[], Activity::Unknown);
        check(&["token_count", "agent_message"], Activity::Unknown);
        check(&["task_started"], Activity::Busy);
        check(&["task_started", "agent_message"], Activity::Busy);
        check(&["task_started", "task_complete", "token_count"], Activity::Idle);
        check(&["task_complete", "user_message"], Activity::Busy);
        check(&["turn_started", "turn_aborted"], Activity::Idle);
        check(&["turn_started", "turn_complete"], Activity::Idle);
    }

    #[test]
    fn the_listed_subtypes_are_those_that_tell() {
        for subtype in STATE_SUBTYPES {
            assert!(Activity::after(subtype).is_some(), "{subtype}");
        }
    }

    #[test]
    fn a_task_is_complete_only_while_nothing_follows() {
        assert!(task_completed(Some("task_complete")));
        assert!(!task_completed(Some("token_count")));
        assert!(!task_completed(None));
    }
}
