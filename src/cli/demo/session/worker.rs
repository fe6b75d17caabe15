//! The worker: writes a haiku, not quite at the first go.

use std::fs;
use std::time::Duration;

use super::Session;
use crate::domain::Failure;

/// The file it writes, in its working directory.
pub(super) const FILE: &str = "haiku.txt";

const HAIKU: [&str; 3] = ["a belt in the dark", "carries what was done today", "to whoever asks"];

/// Long enough to be seen at work.
const PACE: Duration = Duration::from_millis(600);

/// Writes two lines at first, and the missing one when it is told about it.
pub(super) fn answer(session: &mut Session) -> Result<String, Failure> {
    std::thread::sleep(PACE);
    let file = session.work.join(FILE);
    let lines = if file.exists() { HAIKU.len() } else { HAIKU.len() - 1 };
    fs::write(&file, HAIKU[..lines].join("\n") + "\n")
        .map_err(|error| Failure::external(format!("failed to write {FILE}: {error}")))?;
    Ok(format!("{FILE} is written: {lines} lines"))
}
