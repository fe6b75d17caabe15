//! Bound managers that sit idle while something waits for them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::Failure;
use crate::store::Store;
use crate::store::idle_managers::{IdleManagersChanged, RecordIdleManagers};

/// How long an idle manager may leave something lying. One that polls looks more often, and a push is
/// there within seconds.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// Between two looks.
const SWEEP: Duration = Duration::from_secs(5);

/// Records who sits idle, for as long as the runtime lives.
pub(super) async fn sweep(store: Store) {
    loop {
        if let Err(failure) = sweep_once(&store).await {
            tracing::warn!(%failure, "failed to look for idle managers; trying again");
        }
        tokio::time::sleep(SWEEP).await;
    }
}

async fn sweep_once(store: &Store) -> Result<(), Failure> {
    let before = Timestamp::now() - PATIENCE;
    if store.read(IdleManagersChanged { before }).await? {
        for manager in store.write(RecordIdleManagers { before }).await? {
            tracing::warn!(manager, "sits idle while something waits for it");
        }
    }
    Ok(())
}
