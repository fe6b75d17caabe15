//! What a person should look at first.

use serde::{Deserialize, Serialize};

use crate::store::telemetry::Severity;

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What it is.
    #[serde(rename = "type")]
    pub alert_type: String,
    /// How much it matters.
    pub severity: Severity,
    /// In words.
    pub message: String,
}

/// An alert when there are any: how many, and what of one and of several is said.
pub(super) fn when_any(
    alert_type: &str,
    severity: Severity,
    count: i64,
    of_one: &str,
    of_several: &str,
) -> Option<Alert> {
    let message = match count {
        ..=0 => return None,
        1 => format!("1 {of_one}"),
        _ => format!("{count} {of_several}"),
    };
    Some(Alert { alert_type: alert_type.to_owned(), severity, message })
}

/// What both views of failures warn of.
pub(super) fn failed_cycles(count: i64) -> Option<Alert> {
    when_any("failed_cycles", Severity::Error, count, "manager cycle failed", "manager cycles failed")
}

/// As above.
pub(super) fn failed_commands(count: i64) -> Option<Alert> {
    when_any("failed_commands", Severity::Error, count, "command failed", "commands failed")
}

/// As above.
pub(super) fn ingest_errors(count: i64) -> Option<Alert> {
    let (one, several) = ("time a rollout could not be read", "times a rollout could not be read");
    when_any("ingest_errors", Severity::Error, count, one, several)
}

/// As above.
pub(super) fn open_accepted_criteria(count: i64) -> Option<Alert> {
    let (one, several) = ("accepted criterion is not shown yet", "accepted criteria are not shown yet");
    when_any("open_accepted_criteria", Severity::Warning, count, one, several)
}

/// As above.
pub(super) fn unknown_deliveries(count: i64) -> Option<Alert> {
    let one = "delivery may or may not have arrived: `conveyor deliveries --state unknown`";
    let several = "deliveries may or may not have arrived: `conveyor deliveries --state unknown`";
    when_any("unknown_deliveries", Severity::Error, count, one, several)
}

/// As above.
pub(super) fn dead_letters(count: i64) -> Option<Alert> {
    let (one, several) = ("message was never acknowledged", "messages were never acknowledged");
    when_any("dead_letters", Severity::Error, count, one, several)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_alert() {
        let check = |count, expect: Option<&str>| {
            assert_eq!(failed_commands(count).map(|alert| alert.message).as_deref(), expect);
        };
        check(0, None);
        check(1, Some("1 command failed"));
        check(2, Some("2 commands failed"));
    }
}
