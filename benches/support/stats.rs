//! Distributions of durations, and the table that shows them.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// Measured durations, in order.
pub(crate) struct Distribution(Vec<Duration>);

impl FromIterator<Duration> for Distribution {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        let mut durations: Vec<Duration> = durations.into_iter().collect();
        durations.sort();
        Self(durations)
    }
}

impl Distribution {
    pub(crate) fn median(&self) -> Duration {
        self.quantile(50)
    }

    pub(crate) fn p90(&self) -> Duration {
        self.quantile(90)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.quantile(99)
    }

    pub(crate) fn max(&self) -> Duration {
        self.quantile(100)
    }

    /// The smallest duration that `percent` of all do not exceed.
    fn quantile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }
}

/// Named distributions, one a row.
#[derive(Default)]
pub(crate) struct Table(Vec<(String, [f64; 4])>);

const COLUMNS: [&str; 4] = ["median", "p90", "p99", "max"];

impl Table {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn row(mut self, name: &str, measured: &Distribution) -> Self {
        let durations = [measured.median(), measured.p90(), measured.p99(), measured.max()];
        self.0.push((name.to_owned(), durations.map(|duration| duration.as_secs_f64() * 1e3)));
        self
    }

    /// A list of objects, times in milliseconds.
    pub(crate) fn json(&self) -> Value {
        let row = |(name, times): &(String, [f64; 4])| {
            let [median, p90, p99, max] = times.map(|time| (time * 1e3).round() / 1e3);
            json!({"name": name, "median_ms": median, "p90_ms": p90, "p99_ms": p99, "max_ms": max})
        };
        self.0.iter().map(row).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let [median, p90, p99, max] = COLUMNS;
        writeln!(f, "{:width$}  {median:>8}  {p90:>8}  {p99:>8}  {max:>8}", "ms")?;
        for (name, [median, p90, p99, max]) in &self.0 {
            writeln!(f, "{name:width$}  {median:8.3}  {p90:8.3}  {p99:8.3}  {max:8.3}")?;
        }
        Ok(())
    }
}
