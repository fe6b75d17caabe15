//! A span of time as people and programs give it: seconds, with a fraction if need be.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A span of time between zero and a year, in seconds. Nothing else can be parsed or deserialised.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "f64")]
pub struct Seconds(#[schemars(range(min = 0.0, max = 31_536_000.0))] f64);

/// Why a number is not taken for a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a number of seconds between 0 and {MAX}, a year")]
pub struct NotSeconds(String);

/// A year.
const MAX: f64 = 31_536_000.0;

impl Seconds {
    /// A whole number of seconds; what is over a year counts as a year.
    pub const fn whole(seconds: u32) -> Self {
        let seconds = seconds as f64;
        Self(if seconds > MAX { MAX } else { seconds })
    }

    /// The number.
    pub fn as_f64(self) -> f64 {
        self.0
    }

    /// For clocks and timers.
    pub fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0)
    }
}

impl TryFrom<f64> for Seconds {
    type Error = NotSeconds;

    fn try_from(seconds: f64) -> Result<Self, NotSeconds> {
        if (0.0..=MAX).contains(&seconds) { Ok(Self(seconds)) } else { Err(NotSeconds(seconds.to_string())) }
    }
}

impl FromStr for Seconds {
    type Err = NotSeconds;

    fn from_str(text: &str) -> Result<Self, NotSeconds> {
        text.parse::<f64>().map_err(|_| NotSeconds(text.to_owned())).and_then(Self::try_from)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_span_of_time_is_one() {
        fn check(text: &str, expect: Option<f64>) {
            assert_eq!(text.parse().ok().map(Seconds::as_f64), expect, "{text}");
            if let Ok(number) = serde_json::from_str::<serde_json::Value>(text) {
                let read = serde_json::from_value::<Seconds>(number).ok();
                assert_eq!(read.map(Seconds::as_f64), expect, "{text} as JSON");
            }
        }
        check("0", Some(0.0));
        check("0.2", Some(0.2));
        check("30", Some(30.0));
        check("31536000", Some(MAX));
        check("-1", None);
        check("-0.1", None);
        check("31536001", None);
        check("1e300", None);
        check("inf", None);
        check("nan", None);
        check("soon", None);
        check("", None);
        assert_eq!(Seconds::whole(u32::MAX).as_f64(), MAX);
    }
}
