//! What a look at a session's terminal told: a supplement to its rollout, never the truth.

use serde::{Deserialize, Serialize};

use super::busy_wait::{self, BusyWait, Quiet};

/// The `pane_signal` of a cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaneSignal {
    /// The screen was read.
    pub captured: bool,
    /// The pattern found on it.
    pub classifier: Option<BusyWait>,
    /// There should have been a screen and there was none.
    pub degraded: bool,
    /// The pattern's name, or what went wrong: `tmux_session_missing`, `pane_signal_error`.
    pub notable_pattern: Option<String>,
    /// One sentence for a person.
    pub reason: String,
    /// Seconds since the session's last state event; `None` when there was none.
    pub status_age_seconds: Option<f64>,
}

impl PaneSignal {
    /// The session has no terminal.
    pub fn no_terminal(status_age_seconds: Option<f64>) -> Self {
        Self {
            captured: false,
            classifier: None,
            degraded: false,
            notable_pattern: None,
            reason: "the session has no terminal attached".to_owned(),
            status_age_seconds,
        }
    }

    /// The session's tmux session is gone.
    pub fn session_missing(tmux_session: &str, status_age_seconds: Option<f64>) -> Self {
        Self {
            degraded: true,
            notable_pattern: Some("tmux_session_missing".to_owned()),
            reason: format!("the tmux session {tmux_session} does not exist"),
            ..Self::no_terminal(status_age_seconds)
        }
    }

    /// The screen could not be read.
    pub fn capture_failed(why: &str, status_age_seconds: Option<f64>) -> Self {
        Self {
            degraded: true,
            notable_pattern: Some("pane_signal_error".to_owned()),
            reason: format!("the screen could not be read: {why}"),
            ..Self::no_terminal(status_age_seconds)
        }
    }

    /// What the busy-wait classifier says of `screen`.
    pub fn of_screen(screen: &str, quiet: &Quiet) -> Self {
        let classifier = busy_wait::classify(screen, quiet);
        let reason = classifier.as_ref().map_or("the screen shows nothing notable", |found| &found.reason);
        Self {
            captured: true,
            degraded: false,
            notable_pattern: classifier.as_ref().map(|found| found.pattern.as_str().to_owned()),
            reason: reason.to_owned(),
            classifier,
            status_age_seconds: quiet.status_age_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(signal: &PaneSignal, captured: bool, degraded: bool, notable: Option<&str>, age: Value) {
        let mut found = serde_json::to_value(signal).unwrap();
        let classifier = found["classifier"].take();
        assert_eq!(classifier.get("pattern").and_then(Value::as_str), notable.filter(|_| captured));
        assert!(found["reason"].take().is_string());
        let expect = json!({
            "captured": captured,
            "classifier": null,
            "degraded": degraded,
            "notable_pattern": notable,
            "reason": null,
            "status_age_seconds": age,
        });
        assert_eq!(found, expect);
    }

    #[test]
    fn a_look_tells_what_it_saw_or_why_it_saw_nothing() {
        check(&PaneSignal::no_terminal(None), false, false, None, json!(null));
        let missing = PaneSignal::session_missing("codex-w1", Some(3.5));
        check(&missing, false, true, Some("tmux_session_missing"), json!(3.5));
        let failed = PaneSignal::capture_failed("tmux timed out", None);
        check(&failed, false, true, Some("pane_signal_error"), json!(null));

        let quiet = Quiet { status_age_seconds: None, busy_wait_seconds: 30.0, recent_events: 1 };
        let confirm = PaneSignal::of_screen("Press enter to confirm", &quiet);
        check(&confirm, true, false, Some("enter_to_confirm"), json!(null));
        check(&PaneSignal::of_screen("quiet", &quiet), true, false, None, json!(null));
    }
}
