//! From cause to effect.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, ToolKind};
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::store::trace::{Node, Trace};

/// Show what led to something, and what came of it
///
/// A turn that ended, its notification and delivery, the look, the decision, the command and its evidence
/// are one chain. It is shown whole, whichever of its objects is named.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct TraceArgs {
    /// A command, a turn or a correlation by its id, or anything by kind and number: `delivery:7`
    pub id: String,
}

impl Call for TraceArgs {
    /// The trees, from their first causes on.
    type Reply = Vec<Node>;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Vec<Node>, Failure> {
        Ok(hub.store.read(Trace { id: self.id }).await?)
    }
}
