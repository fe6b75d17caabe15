//! What is on record about a task, and whether decisions cover what was done.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::page::PageArgs;
use super::{Call, ToolKind, to_value};
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::domain::redaction::redact;
use crate::store::audit::ReadAudit;
use crate::store::cycles::{Divergence, ListDivergences};
use crate::store::mutation_audit::{AuditMutations, MutationAudit};
use crate::store::page::Page;

/// Show what is on record about a task
///
/// As text its events; with --json also its commands, notifications, deliveries, decisions, criteria,
/// acknowledgements, handoffs and captures. Messages and terminals are shown only with
/// --include-content.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct AuditArgs {
    /// The task, by name or id
    pub task: String,
    /// Show messages and terminals
    #[arg(long)]
    #[serde(default)]
    pub include_content: bool,
    /// Which part
    #[command(flatten)]
    #[serde(flatten)]
    pub page: PageArgs,
}

impl Call for AuditArgs {
    /// An [`Audit`](crate::store::audit::Audit), redacted unless the texts were asked for.
    type Reply = Value;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Value, Failure> {
        let page = Page::from(&self.page);
        let audit = ReadAudit { task: self.task, page, include_content: self.include_content };
        let audit = to_value(hub.store.read(audit).await?)?;
        Ok(if self.include_content { audit } else { redact(audit) })
    }
}

/// Hold what was done to a task against the decisions that should cover it
///
/// Exit code 1 when something is not covered.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct MutationAuditArgs {
    /// The task, by name or id
    pub task: String,
}

impl Call for MutationAuditArgs {
    type Reply = MutationAudit;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<MutationAudit, Failure> {
        Ok(hub.store.read(AuditMutations { task: self.task }).await?)
    }
}

/// List the cycles that saw something on the worker's screen that its rollout does not tell
///
/// Newest first: trust, approval and rate-limit questions, a missing terminal, a turn that stands
/// still.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct DivergencesArgs {
    /// The task, by name or id
    pub task: String,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(default = "default_divergences")]
    pub limit: u32,
}

fn default_divergences() -> u32 {
    50
}

impl Call for DivergencesArgs {
    type Reply = Vec<Divergence>;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Vec<Divergence>, Failure> {
        Ok(hub.store.read(ListDivergences { task: self.task, limit: self.limit }).await?)
    }
}
