//! What is on record about a task, and whether decisions cover what was done.

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::page::PageArgs;
use super::{Call, ToolKind, to_value};
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::domain::redaction::redact;
use crate::store::audit::ReadAudit;
use crate::store::audit_chain::{Head, Verdict, VerifyChain};
use crate::store::cycles::{Divergence, ListDivergences};
use crate::store::mutation_audit::{AuditMutations, MutationAudit};
use crate::store::page::Page;

/// Show what is on record about a task
///
/// As text its events; with --json also its commands, notifications, deliveries, decisions, criteria,
/// acknowledgements, handoffs and captures. Messages and terminals are shown only with
/// --include-content. `audit verify` says whether somebody altered the record.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct AuditArgs {
    /// The task, by name or id
    #[arg(required = true)]
    #[schemars(required)]
    pub task: Option<String>,
    /// Show messages and terminals
    #[arg(long)]
    #[serde(default)]
    pub include_content: bool,
    /// Which part
    #[command(flatten)]
    #[serde(flatten)]
    pub page: PageArgs,
    /// What to do instead of showing it; the command line makes another call of it
    #[command(subcommand)]
    #[serde(skip)]
    pub verb: Option<AuditVerb>,
}

/// What can be done with the record beside showing it.
#[derive(Debug, Clone, Subcommand)]
#[allow(missing_docs, reason = "each variant is documented at its arguments")]
pub enum AuditVerb {
    Verify(AuditVerifyArgs),
}

/// Say whether somebody altered the record, and where
///
/// Every row that conveyor writes to the record is chained to the one before by its hash. Rows of other
/// programs are not, and are told apart. The answer names the end of the chain: noted elsewhere and given
/// as --head, it shows later that nothing up to it was taken away either. Exit code 1 when something is
/// wrong.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct AuditVerifyArgs {
    /// An end of the chain that was noted earlier
    #[arg(long, value_name = "LINK:HASH", value_parser = checked_head)]
    pub head: Option<String>,
}

fn checked_head(text: &str) -> Result<String, String> {
    match head(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("this is no end of a chain, as `conveyor audit verify` prints it".to_owned()),
    }
}

fn head(text: &str) -> Option<Head> {
    let (link, hash) = text.split_once(':')?;
    let is_hash = hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit());
    Some(Head { link: link.parse().ok()?, hash: hash.to_ascii_lowercase() }).filter(|_| is_hash)
}

impl Call for AuditVerifyArgs {
    type Reply = Verdict;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Verdict, Failure> {
        Ok(hub.store.read(VerifyChain { head: self.head.as_deref().and_then(head) }).await?)
    }
}

impl Call for AuditArgs {
    /// An [`Audit`](crate::store::audit::Audit), redacted unless the texts were asked for.
    type Reply = Value;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Value, Failure> {
        let page = Page::from(&self.page);
        let task = self.task.ok_or_else(|| Failure::usage("no task is named"))?;
        let audit = ReadAudit { task, page, include_content: self.include_content };
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
