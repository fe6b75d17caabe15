//! The epilogue: the steps that have to be done before a task is finished.

use clap::{ArgGroup, Args};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::summary::TaskSummary;
use super::{Call, Place, ToolKind};
use crate::actors::{Caller, Hub, tools};
use crate::domain::Failure;
use crate::domain::supervision::EpilogueStep;
use crate::store::epilogue::{
    BeginStep, Begun, EpilogueReport, EpilogueRun, EpilogueStatus, FinishTools, GetEpilogue,
};

/// Carry out a step that a task's contract asks for before it is finished, or see where they stand
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[command(group = ArgGroup::new("action").required(true).args(["step", "list", "status"]))]
pub struct EpilogueArgs {
    /// The task, by name or id
    pub task: String,
    /// Carry out this step
    #[arg(long)]
    pub step: Option<EpilogueStep>,
    /// List the configured steps and their runs
    #[arg(long)]
    pub list: bool,
    /// See where the configured steps stand
    #[arg(long)]
    pub status: bool,
    /// Tie the run to other records of the same cause
    #[arg(long, value_name = "ID")]
    pub correlation_id: Option<String>,
}

/// Where the epilogue stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct EpilogueReply {
    /// The steps the contract asks for.
    pub configured_steps: Vec<String>,
    /// Every run, oldest first.
    pub runs: Vec<EpilogueRun>,
    /// Where the configured steps stand.
    pub status: EpilogueStatus,
    /// The task.
    pub task: TaskSummary,
}

impl From<EpilogueReport> for EpilogueReply {
    fn from(report: EpilogueReport) -> Self {
        Self {
            configured_steps: report.configured_steps,
            runs: report.runs,
            status: report.status,
            task: report.task.into(),
        }
    }
}

impl Call for EpilogueArgs {
    type Reply = EpilogueReply;
    /// The tools are the caller's.
    const PLACE: Place = Place::Caller;
    const TOOL: ToolKind = ToolKind::Changes;

    fn changes_task(&self) -> Option<&str> {
        self.step.is_some().then_some(&self.task)
    }

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<EpilogueReply, Failure> {
        if let Some(step) = self.step {
            let (task, correlation_id) = (self.task.clone(), self.correlation_id);
            let begun = hub.store.write(BeginStep { task, step, correlation_id }).await?;
            if let Begun::Tools { run_id, tools } = begun {
                let outcomes = tools::ask_all(tools, caller.cwd.clone()).await?;
                hub.store.write(FinishTools { run_id, outcomes }).await?;
            }
        }
        Ok(hub.store.read(GetEpilogue(self.task)).await?.into())
    }
}
