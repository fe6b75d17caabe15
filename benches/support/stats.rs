//! Durations of something that was done often.

use std::time::{Duration, Instant};

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
    pub(crate) fn median_ms(&self) -> f64 {
        self.quantile_ms(50)
    }

    pub(crate) fn p99_ms(&self) -> f64 {
        self.quantile_ms(99)
    }

    /// The smallest duration that `percent` of all do not exceed.
    fn quantile_ms(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1].as_secs_f64() * 1e3
    }
}

/// How long `operation` takes, each time.
pub(crate) fn measure(samples: u32, mut operation: impl FnMut()) -> Distribution {
    let sample = |_| {
        let begun = Instant::now();
        operation();
        begun.elapsed()
    };
    (0..samples).map(sample).collect()
}
