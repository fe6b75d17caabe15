//! Work that waits for files or processes, kept off the threads that serve everybody.

use super::hub::gone;
use crate::domain::Failure;

/// Runs `work` on a thread of its own and waits for it.
///
/// # Errors
/// When the work panicked, or the runtime is shutting down.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|_| gone("helper thread"))
}
