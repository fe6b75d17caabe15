//! Work that waits for files or processes, kept off the threads that serve everybody.

use std::path::PathBuf;

use super::hub::gone;
use crate::domain::Failure;

/// Runs `work` on a thread of its own and waits for it.
///
/// # Errors
/// When the work panicked, or the runtime is shutting down.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|_| gone("helper thread"))
}

/// The text of a file that a person named.
///
/// # Errors
/// A usage failure when it cannot be read.
pub async fn read_text(path: PathBuf) -> Result<String, Failure> {
    let shown = path.display().to_string();
    let bytes = blocking(move || std::fs::read(path)).await?;
    let bytes = bytes.map_err(|error| Failure::usage(format!("failed to read {shown}: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
