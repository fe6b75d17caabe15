//! All bound pairs at a glance.

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, ToolKind};
use crate::actors::{Caller, Hub};
use crate::domain::{Failure, Seconds};
use crate::store::top::{ReadTop, TopFrame};

/// Watch all bound pairs in the terminal, and act on them
///
/// Keys: up and down choose a pair, Tab its worker or its manager; Enter attaches to its terminal, n
/// sends a text, i interrupts, c looks at the task, q ends. With --json, or where there is no
/// terminal, one look is printed.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct TopArgs {
    /// Print one look and end
    #[arg(long)]
    #[serde(default)]
    pub once: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    #[serde(default = "one_second")]
    pub interval: Seconds,
}

fn one_second() -> Seconds {
    Seconds::whole(1)
}

impl Call for TopArgs {
    type Reply = TopFrame;
    const TOOL: ToolKind = ToolKind::Hidden;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<TopFrame, Failure> {
        Ok(hub.store.read(ReadTop { supervised: hub.supervises, now: Timestamp::now() }).await?)
    }
}
