//! Deliveries: what was sent to sessions, and whether it was seen to arrive.

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, ToolKind};
use crate::actors::{Caller, Hub};
use crate::domain::{DeliveryState, Failure, Settlement};
use crate::store::deliveries::{Delivery, ListDeliveries, SettleDelivery};

/// List what was sent to sessions, and whether it was seen to arrive
///
/// Newest first. `sent` means that the transport took the text, `observed` that the target's rollout
/// shows it, `unknown` that it may have arrived: it is not sent again, and `deliveries settle` lets
/// you decide.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DeliveriesArgs {
    /// Show only those of this task, by name or id
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// Show only those to this session, by name or id
    #[arg(long, value_name = "NAME")]
    pub session: Option<String>,
    /// Show only those in this state
    #[arg(long)]
    pub state: Option<DeliveryState>,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = Self::LIMIT, value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(default = "DeliveriesArgs::default_limit")]
    pub limit: u32,
    /// What to do instead of listing; the command line makes another call of it
    #[command(subcommand)]
    #[serde(skip)]
    pub verb: Option<DeliveriesVerb>,
}

impl DeliveriesArgs {
    const LIMIT: u32 = 20;

    fn default_limit() -> u32 {
        Self::LIMIT
    }
}

/// What can be done with deliveries beside listing them.
#[derive(Debug, Clone, Subcommand)]
#[allow(missing_docs, reason = "each variant is documented at its arguments")]
pub enum DeliveriesVerb {
    Settle(DeliveriesSettleArgs),
}

/// Decide whether an unknown delivery arrived
///
/// Look at the target first: `conveyor tail NAME`, or its terminal.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct DeliveriesSettleArgs {
    /// The delivery's id
    pub id: i64,
    /// What became of it
    #[arg(long = "as", value_name = "OUTCOME")]
    pub outcome: Settlement,
    /// Why you think so; it is kept
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = super::values::text)]
    pub reason: String,
}

impl Call for DeliveriesArgs {
    type Reply = Vec<Delivery>;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Vec<Delivery>, Failure> {
        let list =
            ListDeliveries { task: self.task, session: self.session, state: self.state, limit: self.limit };
        Ok(hub.store.read(list).await?)
    }
}

/// A settled delivery.
#[derive(Debug, Serialize, Deserialize)]
pub struct SettledReply {
    /// It, as it is now.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Who settled it: a session's name, or `operator`.
    pub settled_by: String,
    /// It is a fact, and is delivered again.
    pub delivered_again: bool,
}

impl Call for DeliveriesSettleArgs {
    type Reply = SettledReply;
    /// It is a person's to decide.
    const TOOL: ToolKind = ToolKind::Hidden;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<SettledReply, Failure> {
        if self.reason.trim().is_empty() {
            return Err(Failure::usage("a decision needs a reason: say what you saw with --reason"));
        }
        let settle = SettleDelivery {
            id: self.id,
            settlement: self.outcome,
            reason: self.reason,
            by_thread: caller.thread_id.clone(),
        };
        let settled = hub.store.write(settle).await?;
        Ok(SettledReply {
            delivery: settled.delivery,
            settled_by: settled.settled_by,
            delivered_again: settled.delivered_again,
        })
    }
}
