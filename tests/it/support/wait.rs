//! Waiting for a condition.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; no test waits this long unless it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(10);

/// Calls `probe` until it returns something, and returns that. Panics with `what` when `deadline`
/// has passed.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, deadline: Duration, probe: impl FnMut() -> Option<T>) -> T {
    poll(deadline, probe).unwrap_or_else(|| panic!("waited {deadline:?} in vain for {what}"))
}

/// Calls `probe` until it returns something or `deadline` has passed.
pub(crate) fn poll<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        let found = probe();
        if found.is_some() || Instant::now() >= end {
            return found;
        }
        thread::sleep(PAUSE);
    }
}
