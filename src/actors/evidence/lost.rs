//! Evidence whose runner was killed: no end of it would ever be recorded.

use std::time::Duration;

use crate::actors::blocking::blocking;
use crate::codex::exit::Process;
use crate::domain::Failure;
use crate::domain::time::parse_iso;
use crate::store::Store;
use crate::store::evidence::{EndLost, EvidenceRunner, EvidenceRunners};

/// Between two looks.
const SWEEP: Duration = Duration::from_secs(5);

/// Concludes lost evidence, for as long as the runtime lives.
pub async fn sweep(store: Store) {
    loop {
        if let Err(failure) = conclude(&store).await {
            tracing::warn!(%failure, "failed to conclude evidence whose runner is gone; trying again");
        }
        tokio::time::sleep(SWEEP).await;
    }
}

/// Records that evidence failed whose runner is gone.
///
/// # Errors
/// Whatever the store answers.
pub async fn conclude(store: &Store) -> Result<(), Failure> {
    let runners = store.read(EvidenceRunners).await?;
    if runners.is_empty() {
        return Ok(());
    }
    let lost = blocking(move || runners.into_iter().filter(is_gone).collect::<Vec<_>>()).await?;
    for runner in lost {
        let evidence_id = runner.evidence_id;
        match store.write(EndLost(runner)).await {
            Ok(true) => tracing::warn!(evidence_id, "evidence failed: its runner is gone"),
            Ok(false) => {}
            // It counts for nothing, so nobody else has to wait for this.
            Err(error) => tracing::warn!(evidence_id, %error, "failed to conclude lost evidence"),
        }
    }
    Ok(())
}

/// Blocks for a moment.
fn is_gone(runner: &EvidenceRunner) -> bool {
    let Some(pid) = runner.pid else { return true };
    !Process { pid, began: None, ran_at: parse_iso(&runner.started_at) }.is_running()
}
