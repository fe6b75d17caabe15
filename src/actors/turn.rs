//! Whose turn it is to do something to a session: one thing at a time, and nothing any more once the
//! runtime stops.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use tokio::time::timeout;

use super::hub::gone;
use crate::domain::Failure;

/// How often whoever waits for the end of what was begun is told of it.
const STILL_WAITING: Duration = Duration::from_secs(5);

/// Held shared by whatever is being done to any session; what it holds is whether the runtime has stopped.
#[derive(Debug, Clone, Default)]
pub struct AtWork(Arc<RwLock<bool>>);

impl AtWork {
    /// Lets nothing more begin, and waits for the end of what has begun: else nobody would know how it
    /// ended. That comes, for everything that is done to a session has a deadline of its own.
    pub async fn stop(&self) {
        let end = async { *self.0.write().await = true };
        tokio::pin!(end);
        while timeout(STILL_WAITING, &mut end).await.is_err() {
            tracing::warn!("waiting for the end of what was begun with a session, a delivery as a rule");
        }
    }
}

/// The turns at one session. The lock is fair: first come, first served.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    one: Rc<Mutex<()>>,
    at_work: AtWork,
}

impl Turns {
    /// Turns that end when `at_work` is stopped.
    pub(super) fn new(at_work: AtWork) -> Self {
        Self { one: Rc::default(), at_work }
    }

    /// Waits for a turn, which lasts until what this gives is dropped.
    ///
    /// # Errors
    /// When the runtime stops meanwhile: what waited is not to begin.
    pub(super) async fn take(&self) -> Result<(MutexGuard<'_, ()>, RwLockReadGuard<'_, bool>), Failure> {
        let one = self.one.lock().await;
        // Whoever waits for the end of all is before everybody who has not begun.
        match self.at_work.0.try_read() {
            Ok(stopped) if !*stopped => Ok((one, stopped)),
            _ => Err(gone("session's actor")),
        }
    }
}
