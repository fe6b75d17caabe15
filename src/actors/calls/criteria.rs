//! Acceptance criteria: add, move and list them, and draft them from a worker's answer.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::evidence::{EVIDENCE_LIMIT, came_to};
use super::summary::TaskSummary;
use super::{Call, Place, ToolKind, values};
use crate::actors::blocking::read_text;
use crate::actors::evidence::{self, Evidence};
use crate::actors::{Caller, Hub};
use crate::domain::criteria::{CriteriaSummary, CriterionSource, CriterionStatus};
use crate::domain::criteria_plan::{self, Plan};
use crate::domain::{Failure, Seconds, shell};
use crate::store::criteria::{
    AddCriterion, CriteriaState, Criterion, CriterionMove, ListCriteria, MoveCriterion, NewCriterion,
};
use crate::store::evidence::{About, Ended, Satisfy};
use crate::store::tasks::GetTask;

/// Keep a task's acceptance criteria: what must be true before it is done
///
/// Accept what must hold, satisfy it once there is proof, defer what can wait, reject what is not
/// wanted. Every answer lists the criteria; `affected_criterion` is the one that changed.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[command(group = ArgGroup::new("action").required(true).args(["list", "add", "accept", "satisfy", "defer", "reject"]))]
pub struct CriteriaArgs {
    /// The task, by name or id
    pub task: String,
    /// List the criteria
    #[arg(long)]
    pub list: bool,
    /// Add a criterion
    #[arg(long, requires = "criterion", requires = "source")]
    pub add: bool,
    /// Take the criterion with this id as one that must hold
    #[arg(long, value_name = "ID")]
    pub accept: Option<i64>,
    /// Mark the criterion with this id as shown to hold
    #[arg(long, value_name = "ID")]
    pub satisfy: Option<i64>,
    /// Leave the criterion with this id for later
    #[arg(long, value_name = "ID")]
    pub defer: Option<i64>,
    /// Mark the criterion with this id as not wanted
    #[arg(long, value_name = "ID")]
    pub reject: Option<i64>,
    /// With --list: show only these, repeatable; with --add: where the new one stands
    #[arg(long, conflicts_with_all = ["accept", "satisfy", "defer", "reject"])]
    pub status: Vec<CriterionStatus>,
    /// What must be true
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub criterion: Option<String>,
    /// Who asked for it
    #[arg(long)]
    pub source: Option<CriterionSource>,
    /// What shows that it holds
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub proof: Option<String>,
    /// Why it stands where it stands
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub rationale: Option<String>,
    /// What shows that it holds, for programs: {"command": …, "status": …}
    #[arg(long, value_name = "JSON", value_parser = values::json_object)]
    pub evidence_json: Option<Map<String, Value>>,
    /// With --satisfy: run the command behind `--` and satisfy the criterion only if it exits with 0
    #[arg(long, requires = "satisfy", requires = "command", conflicts_with = "evidence_json")]
    pub run: bool,
    /// Seconds the command may run
    #[arg(long, value_name = "SECONDS", default_value_t = EVIDENCE_LIMIT, requires = "run")]
    pub time_limit: Seconds,
    /// The command that --run runs, and its arguments; no shell reads them
    #[arg(value_name = "COMMAND", requires = "run")]
    pub command: Vec<String>,
}

impl Default for CriteriaArgs {
    fn default() -> Self {
        Self {
            task: String::new(),
            list: false,
            add: false,
            accept: None,
            satisfy: None,
            defer: None,
            reject: None,
            status: Vec::new(),
            criterion: None,
            source: None,
            proof: None,
            rationale: None,
            evidence_json: None,
            run: false,
            time_limit: EVIDENCE_LIMIT,
            command: Vec::new(),
        }
    }
}

/// The criteria of a task.
#[derive(Debug, Serialize, Deserialize)]
pub struct CriteriaReply {
    /// The task.
    pub task: TaskSummary,
    /// The criterion that was added or moved; absent in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected_criterion: Option<Criterion>,
    /// The criteria, oldest first.
    pub criteria: Vec<Criterion>,
    /// How many of all stand where.
    pub summary: CriteriaSummary,
}

impl From<CriteriaState> for CriteriaReply {
    fn from(state: CriteriaState) -> Self {
        Self {
            task: state.task.into(),
            affected_criterion: state.affected,
            criteria: state.criteria,
            summary: state.summary,
        }
    }
}

impl CriteriaArgs {
    /// The criterion to move, and where to.
    fn move_asked_for(&self) -> Option<(i64, CriterionStatus)> {
        let verbs = [
            (self.accept, CriterionStatus::Accepted),
            (self.satisfy, CriterionStatus::Satisfied),
            (self.defer, CriterionStatus::Deferred),
            (self.reject, CriterionStatus::Rejected),
        ];
        verbs.into_iter().find_map(|(id, status)| Some((id?, status)))
    }

    async fn satisfy_by_running(self, hub: &Hub, caller: &Caller) -> Result<CriteriaState, Failure> {
        let Some(id) = self.satisfy else { return Err(Failure::usage("--run needs --satisfy ID")) };
        let evidence = Evidence {
            task: self.task,
            about: About::Criterion(id),
            argv: self.command,
            time_limit: self.time_limit,
            satisfy: Satisfy { proof: self.proof, rationale: self.rationale },
        };
        let Ended { evidence, criteria } = evidence::take(evidence, hub, caller).await?;
        criteria.ok_or_else(|| {
            Failure::refused(format!(
                "criterion {id} of task {} was not satisfied: `{}` {}",
                evidence.task,
                shell::command_line(&evidence.argv),
                came_to(&evidence)
            ))
            .hint(format!("see what it wrote: `conveyor evidence show {} --include-content`", evidence.id))
        })
    }

    fn new_criterion(self) -> Result<NewCriterion, Failure> {
        let (Some(criterion), Some(source)) = (self.criterion, self.source) else {
            return Err(Failure::usage("--add needs --criterion and --source"));
        };
        let status = match self.status.as_slice() {
            [] => CriterionStatus::Proposed,
            [status] => *status,
            _ => return Err(Failure::usage("a criterion stands in one place: give one --status")),
        };
        let evidence = self.evidence_json.unwrap_or_default();
        Ok(NewCriterion { criterion, source, status, proof: self.proof, rationale: self.rationale, evidence })
    }
}

impl Call for CriteriaArgs {
    type Reply = CriteriaReply;
    // A session in a sandbox would run commands outside of it.
    const NOT_FOR_TOOLS: &'static [&'static str] = &["run", "time_limit", "command"];

    /// A command runs where its caller is.
    fn place(&self) -> Place {
        if self.run { Place::Caller } else { Place::Supervisor }
    }

    /// A command may take long; only what comes of it is a change.
    fn changes_task(&self) -> Option<&str> {
        (!self.list && !self.run).then_some(&self.task)
    }

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<CriteriaReply, Failure> {
        let task = self.task.clone();
        let state = if self.run {
            self.satisfy_by_running(hub, caller).await?
        } else if let Some((id, status)) = self.move_asked_for() {
            let (proof, rationale, evidence) = (self.proof, self.rationale, self.evidence_json);
            let change = CriterionMove { id, status, proof, rationale, evidence };
            hub.store.write(MoveCriterion { task, change }).await?
        } else if self.add {
            hub.store.write(AddCriterion { task, new: self.new_criterion()? }).await?
        } else {
            hub.store.read(ListCriteria { task, statuses: self.status }).await?
        };
        Ok(state.into())
    }
}

/// Draft `criteria --add` commands from a worker's answer; nothing is changed
///
/// The answer lists, below headings such as "Must-have" and "Follow-up", what must hold now and
/// what can wait.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[command(group = ArgGroup::new("answer").required(true).args(["from_worker_response", "from_text", "from_stdin"]))]
pub struct CriteriaPlanArgs {
    /// The task, by name or id
    pub task: String,
    /// A file with the answer
    #[arg(long, value_name = "PATH")]
    pub from_worker_response: Option<PathBuf>,
    /// The answer itself
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub from_text: Option<String>,
    /// Read the answer from standard input
    #[arg(long)]
    pub from_stdin: bool,
}

/// Draft criteria.
#[derive(Debug, Serialize, Deserialize)]
pub struct CriteriaPlanReply {
    /// The task's name.
    pub task: String,
    /// The drafts, and what could not be read.
    #[serde(flatten)]
    pub plan: Plan,
}

impl Call for CriteriaPlanArgs {
    type Reply = CriteriaPlanReply;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<CriteriaPlanReply, Failure> {
        let task = hub.store.read(GetTask(self.task)).await?.name;
        let answer = match (self.from_text, self.from_worker_response) {
            (Some(text), _) => text,
            (None, Some(file)) => read_text(caller.cwd.join(file)).await.map_err(|failure| {
                failure.hint("--from-worker-response takes a text file, --from-text the answer itself")
            })?,
            (None, None) => {
                return Err(Failure::usage("there is no standard input here")
                    .hint("give the answer with --from-text"));
            }
        };
        let plan = criteria_plan::plan(&answer, &task, &caller.program);
        Ok(CriteriaPlanReply { task, plan })
    }
}
