//! Moving work that blocks off the async threads.

use std::{future, panic};

/// Runs `work` on a thread that may block, and returns what it returns. A panic in it goes on here.
pub(super) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => panic::resume_unwind(panic),
            // The runtime is shutting down: nobody will poll this again.
            Err(_) => future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_come_back() {
        assert_eq!(off_thread(|| 7).await, 7);
    }

    #[tokio::test]
    #[should_panic(expected = "the work failed")]
    async fn panics_come_back() {
        off_thread(|| panic!("the work failed")).await
    }
}
