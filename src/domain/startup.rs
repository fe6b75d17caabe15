//! How far a session has come in starting, by words on its screen.

use serde::{Deserialize, Serialize};

use super::busy_wait::{self, BusyWait, Quiet, TRUST_QUESTIONS};
use super::words::words;

words! {
    /// How far a session has come.
    Startup {
        /// Asks whether its directory is trusted.
        NeedsTrust = "needs_trust",
        /// Shows its banner and its prompt.
        Ready = "ready",
        /// Runs a turn.
        Working = "working",
        /// Reports an error.
        Error = "error",
        /// None of these yet.
        Starting = "starting",
    }
}

impl Startup {
    /// The state that `screen` shows.
    pub fn of(screen: &str) -> Self {
        let screen = screen.to_lowercase();
        let says = |words: &str| screen.contains(words);
        if TRUST_QUESTIONS.into_iter().any(says) {
            Self::NeedsTrust
        } else if says("openai codex") && says("›") {
            Self::Ready
        } else if says("working") && says("esc to interrupt") {
            Self::Working
        } else if says("error") || says("failed") {
            Self::Error
        } else {
            Self::Starting
        }
    }

    /// One sentence for a person.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NeedsTrust => "the screen asks whether this directory is trusted",
            Self::Ready => "the banner and the prompt are on the screen",
            Self::Working => "a turn is running",
            Self::Error => "the screen mentions an error",
            Self::Starting => "no sign of a prompt, of work or of an error yet",
        }
    }
}

/// What the `classify` command prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// The busy-wait pattern, if any.
    pub busy_wait: Option<BusyWait>,
    /// The threshold that was used, in seconds.
    pub busy_wait_seconds: u32,
    /// How far the session has come.
    pub startup: Startup,
    /// One sentence on that.
    pub startup_reason: String,
    /// The status age that was assumed, in seconds.
    pub status_age_seconds: u32,
}

impl Classification {
    /// Runs both classifiers on `screen`, for a session without recent events.
    pub fn of(screen: &str, status_age_seconds: u32, busy_wait_seconds: u32) -> Self {
        let quiet = Quiet {
            status_age_seconds: Some(status_age_seconds.into()),
            busy_wait_seconds: busy_wait_seconds.into(),
            recent_events: 0,
        };
        let startup = Startup::of(screen);
        Self {
            busy_wait: busy_wait::classify(screen, &quiet),
            busy_wait_seconds,
            startup,
            startup_reason: startup.reason().to_owned(),
            status_age_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(screen: &str, expect: Startup) {
        assert_eq!(Startup::of(screen), expect, "{screen}");
    }

    #[test]
    fn every_state_is_found_by_its_words() {
        check("Do you trust the contents of this directory?", Startup::NeedsTrust);
        check("  Trust this folder? Codex can read\n› 1. Trust and continue", Startup::NeedsTrust);
        check("OpenAI Codex\n›", Startup::Ready);
        check("OpenAI Codex", Startup::Starting);
        check("Working\nesc to interrupt", Startup::Working);
        check("Working", Startup::Starting);
        check("Error: boom", Startup::Error);
        check("something failed", Startup::Error);
        check("hello", Startup::Starting);
        check("", Startup::Starting);
    }

    #[test]
    fn a_classification_has_the_documented_shape() {
        let found = serde_json::to_value(Classification::of("Working\nesc to interrupt", 90, 90)).unwrap();
        let expect = serde_json::json!({
            "busy_wait": {
                "pattern": "long_running_interruptible",
                "reason": found["busy_wait"]["reason"].as_str().unwrap(),
                "recommended_action": "inspect_or_interrupt",
            },
            "busy_wait_seconds": 90,
            "startup": "working",
            "startup_reason": Startup::Working.reason(),
            "status_age_seconds": 90,
        });
        assert_eq!(found, expect);
        let fresh = serde_json::to_value(Classification::of("press enter to confirm", 5, 90)).unwrap();
        assert_eq!((&fresh["busy_wait"], &fresh["startup"]), (&serde_json::Value::Null, &"starting".into()));
    }
}
