//! Cycle: look at a task's worker once.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::actors::cycle;
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::domain::busy_wait::DEFAULT_BUSY_WAIT_SECONDS;
use crate::store::cycles::CycleReport;

/// Look at a task's worker once: what it does, what it last said, what its screen shows
///
/// Reads the worker's new events, takes what waits in the manager's inbox, and shows the agreed
/// frame of the work. This is how a manager begins, and what it does when it is told of something.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct CycleArgs {
    /// The task's name or id
    pub task: String,
    /// From which age the worker's screen counts as standing still, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_BUSY_WAIT_SECONDS)]
    pub busy_wait_seconds: u32,
}

impl Call for CycleArgs {
    type Reply = CycleReport;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<CycleReport, Failure> {
        cycle::run(hub, self.task, self.busy_wait_seconds).await
    }
}
