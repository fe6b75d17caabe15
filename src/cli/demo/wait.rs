//! Waiting for what must be seen.

use std::time::{Duration, Instant};

use crate::domain::Failure;

const PAUSE: Duration = Duration::from_millis(5);

/// Asks until there is an answer, but no longer than `patience`.
///
/// # Errors
/// What `ask` fails with, or that there was no answer in time.
pub(super) fn until<T>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            let seconds = patience.as_secs_f64();
            return Err(Failure::external(format!("waited {seconds} s in vain for {what}")));
        }
        std::thread::sleep(PAUSE);
    }
}
