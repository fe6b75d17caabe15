//! A stretch of time up to now, as people write it: `90s`, `30m`, `24h`, `7d`, `2w`.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Ten years: more is a typing error.
const MAX_SECONDS: i64 = 10 * 366 * 86_400;

/// A stretch of time up to now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    label: String,
    seconds: i64,
}

impl schemars::JsonSchema for Window {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Window".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

/// Why a text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a stretch of time like 90s, 30m, 24h, 7d or 2w")]
pub struct NotWindow(String);

impl Window {
    /// The last 24 hours.
    pub fn day() -> Self {
        Self { label: "24h".to_owned(), seconds: 86_400 }
    }

    /// How long it is.
    pub fn seconds(&self) -> i64 {
        self.seconds
    }

    /// When it begins, if it ends now.
    pub fn start(&self, now: Timestamp) -> Timestamp {
        now.saturating_sub(SignedDuration::from_secs(self.seconds)).unwrap_or(Timestamp::MIN)
    }
}

impl FromStr for Window {
    type Err = NotWindow;

    fn from_str(text: &str) -> Result<Self, NotWindow> {
        let refuse = || NotWindow(text.to_owned());
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(refuse)?;
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => return Err(refuse()),
        };
        let number: u32 = number.parse().map_err(|_| refuse())?;
        let seconds = i64::from(number) * unit;
        if (1..=MAX_SECONDS).contains(&seconds) {
            Ok(Self { label: text.to_owned(), seconds })
        } else {
            Err(refuse())
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.label)
    }
}

impl TryFrom<String> for Window {
    type Error = NotWindow;

    fn try_from(text: String) -> Result<Self, NotWindow> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_are_a_window() {
        fn check(text: &str, expect: Option<i64>) {
            assert_eq!(text.parse::<Window>().ok().map(|window| window.seconds()), expect, "{text:?}");
        }
        check("90s", Some(90));
        check("30m", Some(1800));
        check("24h", Some(86_400));
        check("7d", Some(604_800));
        check("2w", Some(1_209_600));
        for odd in ["", "h", "24", "-1h", "0h", "1.5h", "24 h", "24H", "99999w", "1é", "+h"] {
            check(odd, None);
        }
    }

    #[test]
    fn it_ends_now_and_keeps_its_label() {
        let window: Window = "2h".parse().unwrap();
        let now: Timestamp = "2026-01-01T02:00:00Z".parse().unwrap();
        assert_eq!(window.start(now), "2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(serde_json::to_value(&window).unwrap(), "2h");
        assert!(serde_json::from_str::<Window>("\"soon\"").is_err());
    }
}
