//! Whether a worker does what it was told: it writes down how it stands.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Worker;
use super::start::Started;
use crate::actors::Hub;
use crate::actors::blocking::blocking;
use crate::domain::Failure;
use crate::domain::legacy::{WorkerState, WorkerStatus};
use crate::store::workers::{LatestStatus, RecordStatus};
use crate::tmux::TmuxServer;

/// The pause between two looks at its status.
const POLL: Duration = Duration::from_millis(200);

/// What was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// It was seen to write down how it stands.
    pub ok: bool,
    /// What was seen, in a sentence.
    pub reason: String,
    /// What it says it is doing.
    pub state: WorkerState,
    /// What it says it works on.
    pub current_task: Option<String>,
}

/// What a look shows.
struct Seen {
    status: Option<WorkerStatus>,
    running: bool,
}

/// Waits until a worker that was just started writes down how it stands, and puts that on record.
///
/// # Errors
/// When its files or its terminal cannot be looked at. That it writes nothing is an answer.
pub async fn verify(
    started: &Started,
    server: TmuxServer,
    timeout: Duration,
    hub: &Hub,
) -> Result<Verification, Failure> {
    let (paths, name) = (hub.paths.clone(), started.name.clone());
    let worker = blocking(move || Worker::get(&paths, &name)).await??;
    let deadline = Instant::now() + timeout;
    let (said, reason) = loop {
        let Seen { status, running } = look(&worker, &server).await?;
        if let Some(status) = status.filter(|status| *status != started.status) {
            break (Some(status), "it has written down how it stands".to_owned());
        }
        if !running {
            break (None, "its terminal has closed".to_owned());
        }
        if Instant::now() >= deadline {
            break (None, format!("it has written down nothing within {} s", timeout.as_secs()));
        }
        tokio::time::sleep(POLL).await;
    };
    if let Some(status) = &said {
        put_on_record(&worker, status, hub).await?;
    }
    let ok = said.is_some();
    let WorkerStatus { state, current_task, .. } = said.unwrap_or_else(|| started.status.clone());
    let log = worker.log();
    let event = json!({ "ok": ok, "reason": reason, "state": state });
    blocking(move || log.note("verify", event)).await??;
    Ok(Verification { ok, reason, state, current_task })
}

async fn look(worker: &Worker, server: &TmuxServer) -> Result<Seen, Failure> {
    let (worker, server) = (worker.clone(), server.clone());
    // Its status last: what it writes before it ends counts.
    blocking(move || {
        let running = worker.is_running(&server)?;
        Ok(Seen { status: worker.said(), running })
    })
    .await?
}

/// A worker may have written its file without this program.
async fn put_on_record(worker: &Worker, status: &WorkerStatus, hub: &Hub) -> Result<(), Failure> {
    if hub.store.read(LatestStatus(worker.name.clone())).await?.as_ref() == Some(status) {
        return Ok(());
    }
    hub.store.write(RecordStatus { worker: worker.into(), status: status.clone() }).await?;
    Ok(())
}
