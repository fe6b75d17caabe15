//! How long something took, in words.

use super::time::parse_iso;

/// How long it was from one instant to another, in words: `850ms`, `12s`, `3m12s`, `2h05m`, `3d04h`.
pub fn span(from: &str, until: &str) -> Option<String> {
    let (from, until) = (parse_iso(from)?, parse_iso(until)?);
    Some(words_for((until.as_millisecond() - from.as_millisecond()).max(0)))
}

/// A number of milliseconds in words.
pub fn words_for(milliseconds: i64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..10 => format!("{}.{}s", seconds, milliseconds % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_two_units_at_most() {
        for (milliseconds, expect) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_550, "1.5s"),
            (59_999, "59s"),
            (61_000, "1m01s"),
            (7_500_000, "2h05m"),
            (273_600_000, "3d04h"),
        ] {
            assert_eq!(words_for(milliseconds), expect);
        }
    }
}
