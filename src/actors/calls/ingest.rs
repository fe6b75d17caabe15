//! Ingest: read what is new in a session's rollout.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::actors::ingest::{Ingested, ingest_session};
use crate::actors::{Caller, Hub};
use crate::domain::Failure;

/// Read what is new in a session's rollout
///
/// The supervisor does this by itself; `cycle` does it for the task's worker.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct IngestArgs {
    /// The session's name or id
    pub name: String,
}

impl Call for IngestArgs {
    type Reply = Ingested;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Ingested, Failure> {
        ingest_session(hub, &self.name).await
    }
}
