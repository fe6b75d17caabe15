//! Runs: named stretches of supervision that telemetry is kept by.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Call, values};
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::store::runs::{CreateRun, FinishRun, GetRun, ListRuns, Run, RunStatus};

/// Start, finish, show or list runs: named stretches of work on a task
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[command(group = clap::ArgGroup::new("mode").required(true))]
pub struct RunsArgs {
    /// Start a run of this task
    #[arg(long, group = "mode", value_name = "TASK")]
    pub create: Option<String>,
    /// List the runs, newest first
    #[arg(long, group = "mode")]
    #[serde(default)]
    pub list: bool,
    /// Show this run, by id or name
    #[arg(long, group = "mode", value_name = "RUN")]
    pub show: Option<String>,
    /// Finish this run, by id or name
    #[arg(long, group = "mode", value_name = "RUN")]
    pub finish: Option<String>,
    /// The new run's name
    #[arg(long, requires = "create")]
    pub name: Option<String>,
    /// What the new run is for
    #[arg(long, requires = "create", value_parser = values::text)]
    pub purpose: Option<String>,
    /// With --list: only these; with --finish: how it ended [default: finished]
    #[arg(long)]
    pub status: Option<RunStatus>,
    /// With --list: only those of this task
    #[arg(long, requires = "list")]
    pub task: Option<String>,
    /// What else is known of the new run
    #[arg(long, value_name = "JSON", requires = "create", value_parser = values::json_object)]
    pub metadata_json: Option<Map<String, Value>>,
}

/// The run, or the list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RunsReply {
    /// The run that was started, finished or asked for.
    One(Box<Run>),
    /// The runs that were asked for.
    Many(Vec<Run>),
}

impl Call for RunsArgs {
    type Reply = RunsReply;

    fn changes_task(&self) -> Option<&str> {
        self.create.as_deref()
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<RunsReply, Failure> {
        let run = match (self.create, self.finish, self.show) {
            (Some(task), ..) => {
                let metadata = Value::Object(self.metadata_json.unwrap_or_default());
                hub.store.write(CreateRun { task, name: self.name, purpose: self.purpose, metadata }).await?
            }
            (None, Some(run), _) => {
                let status = self.status.unwrap_or(RunStatus::Finished);
                hub.store.write(FinishRun { run, status }).await?
            }
            (None, None, Some(run)) => hub.store.read(GetRun(run)).await?,
            (None, None, None) => {
                let list = ListRuns { task: self.task, status: self.status };
                return Ok(RunsReply::Many(hub.store.read(list).await?));
            }
        };
        Ok(RunsReply::One(Box::new(run)))
    }
}
