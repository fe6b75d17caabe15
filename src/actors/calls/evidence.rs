//! Executed evidence: run a command for it, list what there is, look at one piece.

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, Place, ToolKind};
use crate::actors::blocking::read_text;
use crate::actors::evidence::{self, Evidence};
use crate::actors::{Caller, Hub};
use crate::domain::evidence::EvidenceState;
use crate::domain::{Failure, Seconds};
use crate::store::evidence::{About, ExecutedEvidence, GetEvidence, ListEvidence, Satisfy};

/// How long a command may run, unless somebody says otherwise.
pub const EVIDENCE_LIMIT: Seconds = Seconds::whole(600);

/// How the command came out, after its name.
pub(super) fn came_to(evidence: &ExecutedEvidence) -> String {
    match (evidence.state, evidence.exit_code, &evidence.error) {
        (_, Some(_), Some(error)) => format!("shows nothing: {error} (evidence {})", evidence.id),
        (_, Some(code), _) => format!("exited with {code} (evidence {})", evidence.id),
        (EvidenceState::NotStarted, _, Some(error)) => {
            format!("could not be started: {error} (evidence {})", evidence.id)
        }
        (_, _, Some(error)) => format!("has no exit code: {error} (evidence {})", evidence.id),
        _ => format!("has not ended (evidence {})", evidence.id),
    }
}

/// List the commands that were run for evidence, and whether what they showed still counts
///
/// Newest first. Evidence is `fresh` while the git work tree it was taken on has the content it had
/// then, committed or not. With --task, the listing looks at it again.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[command(args_conflicts_with_subcommands = true)]
pub struct EvidenceArgs {
    /// Show only that of this task, by name or id
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// Show only that about this criterion
    #[arg(long, value_name = "ID")]
    pub criterion: Option<i64>,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = Self::LIMIT, value_parser = clap::value_parser!(u32).range(1..=1000))]
    #[serde(default = "EvidenceArgs::default_limit")]
    pub limit: u32,
    /// What to do instead of listing; the command line makes another call of it
    #[command(subcommand)]
    #[serde(skip)]
    pub verb: Option<EvidenceVerb>,
}

impl EvidenceArgs {
    const LIMIT: u32 = 20;

    fn default_limit() -> u32 {
        Self::LIMIT
    }
}

/// What can be done with evidence beside listing it.
#[derive(Debug, Clone, Subcommand)]
#[allow(missing_docs, reason = "each variant is documented at its arguments")]
pub enum EvidenceVerb {
    Run(EvidenceRunArgs),
    Show(EvidenceShowArgs),
}

impl Call for EvidenceArgs {
    type Reply = Vec<ExecutedEvidence>;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Vec<ExecutedEvidence>, Failure> {
        if let Some(task) = &self.task {
            evidence::look_again(task, &hub.store, &hub.paths).await?;
        }
        let list = ListEvidence { task: self.task, criterion: self.criterion, limit: self.limit };
        Ok(hub.store.read(list).await?)
    }
}

/// Run a command as evidence of the work, and keep how it went
///
/// It runs here, as you would run it, but without a shell. What is kept: the command, the directory,
/// its exit code, how long it took, its output, the git commit and what else stood in the work tree.
/// The exit code of this command is 0 only when that command's is.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceRunArgs {
    /// The task, by name or id
    pub task: String,
    /// The command and its arguments, behind `--`
    #[arg(value_name = "COMMAND", required = true)]
    pub command: Vec<String>,
    /// It is evidence of a pass of the loop that this run holds, by id or name
    #[arg(long, value_name = "RUN", requires = "iteration", requires = "evidence_type")]
    #[serde(default)]
    pub loop_run: Option<String>,
    /// Of which pass
    #[arg(long, value_name = "N", requires = "loop_run", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(default)]
    pub iteration: Option<u32>,
    /// Of what, as the loop's policy names it
    #[arg(long, value_name = "TYPE", requires = "loop_run")]
    #[serde(default)]
    pub evidence_type: Option<String>,
    /// Seconds the command may run
    #[arg(long, value_name = "SECONDS", default_value_t = EVIDENCE_LIMIT)]
    pub time_limit: Seconds,
}

impl EvidenceRunArgs {
    fn about(&self) -> About {
        match (self.loop_run.clone(), self.iteration, self.evidence_type.clone()) {
            (Some(run), Some(iteration), Some(evidence_type)) => {
                About::Pass { run, iteration: iteration.into(), evidence_type }
            }
            _ => About::Task,
        }
    }
}

impl Call for EvidenceRunArgs {
    type Reply = ExecutedEvidence;
    /// The command is the caller's. As a tool it would run outside the sandbox of the session that asks.
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<ExecutedEvidence, Failure> {
        let evidence = Evidence {
            about: self.about(),
            task: self.task,
            argv: self.command,
            time_limit: self.time_limit,
            satisfy: Satisfy::default(),
        };
        Ok(evidence::take(evidence, hub, caller).await?.evidence)
    }
}

/// Show one piece of evidence
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceShowArgs {
    /// The evidence's id
    pub id: i64,
    /// Show what the command wrote
    #[arg(long)]
    #[serde(default)]
    pub include_content: bool,
}

/// One piece of evidence.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownEvidence {
    /// What is on record.
    #[serde(flatten)]
    pub evidence: ExecutedEvidence,
    /// What the command wrote, as far as it was kept, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

impl Call for EvidenceShowArgs {
    type Reply = ShownEvidence;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<ShownEvidence, Failure> {
        let evidence = hub.store.read(GetEvidence(self.id)).await?;
        evidence::look_again(&evidence.task_id, &hub.store, &hub.paths).await?;
        let evidence = hub.store.read(GetEvidence(self.id)).await?;
        let output = match &evidence.output_path {
            Some(path) if self.include_content => Some(read_text(path.into()).await?),
            _ => None,
        };
        Ok(ShownEvidence { evidence, output })
    }
}
