//! Instants as the database keeps them: UTC, ISO 8601, always with milliseconds and a `Z`.

use jiff::{SignedDuration, Timestamp};

/// The instant as stored text, e.g. `2026-05-11T14:32:11.042Z`.
///
/// Always the same width, so that comparing texts compares instants.
pub fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Now, as stored text.
pub fn now_iso() -> String {
    iso(Timestamp::now())
}

/// Reads an instant written by this program, by agent-conveyor or by Codex.
/// `None` when the text is no instant.
pub fn parse_iso(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// The first instant after a stored one: a page that ends there shows everything of that one's
/// millisecond. Text that is no instant stays as it is.
pub fn just_after(instant: &str) -> String {
    let later = parse_iso(instant).map(|at| iso(at + SignedDuration::from_millis(1)));
    later.unwrap_or_else(|| instant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_text_has_a_fixed_width_and_reads_back() {
        for text in ["2026-01-01T00:00:03Z", "2026-01-01T00:00:03.5Z", "2026-01-01T02:00:03.042+02:00"] {
            let at = parse_iso(text).expect(text);
            assert_eq!(iso(at).len(), "2026-01-01T00:00:03.000Z".len(), "{text}");
            assert_eq!(parse_iso(&iso(at)), Some(at), "{text}");
        }
        assert_eq!(parse_iso("yesterday"), None);
    }
}
