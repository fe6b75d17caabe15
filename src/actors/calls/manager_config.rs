//! The supervision contract: settle it, and ask what it permits.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::summary::TaskSummary;
use super::{Call, values};
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::domain::permissions::{Permission, PermissionSet, category};
use crate::domain::supervision::{self, EpilogueStep, NudgeOnCompletion, Question, SupervisionMode};
use crate::store::manager_config::{ConfigChange, Configure, Configured, ManagerConfig};
use crate::store::manager_permission::{ActionCheck, CheckPermission};
use crate::store::tasks::GetTask;

/// Settle what a task's manager holds the worker to and may do on its own, or show it
///
/// A list that is given replaces the one that is stored; permissions are added. Without any of it
/// the contract is shown.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ManagerConfigArgs {
    /// The task, by name or id
    pub task: String,
    /// How closely the manager supervises
    #[arg(long)]
    pub mode: Option<SupervisionMode>,
    /// Print the questions to settle with the user, as JSON, and change nothing
    #[arg(long, conflicts_with = "interactive")]
    pub questions: bool,
    /// Ask the questions here, in this terminal
    #[arg(long)]
    pub interactive: bool,
    /// What the manager is to see to
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub objective: Option<String>,
    /// A rule for the worker; repeatable
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub guideline: Vec<String>,
    /// What must be true at the end; repeatable
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub acceptance: Vec<String>,
    /// A file that says what is wanted; repeatable
    #[arg(long, value_name = "PATH")]
    pub reference: Vec<String>,
    /// Grant a permission, such as repo.open_pr; repeatable
    #[arg(long, value_name = "CATEGORY.ACTION")]
    pub permit: Vec<String>,
    /// A tool the work is expected to use; repeatable
    #[arg(long)]
    pub tool: Vec<String>,
    /// A step that has to be done before the task is finished; repeatable
    #[arg(long, value_name = "STEP")]
    pub epilogue: Vec<EpilogueStep>,
    /// What happens when the worker says that it is done
    #[arg(long, value_name = "MODE")]
    pub nudge_on_completion: Option<NudgeOnCompletion>,
    /// Neither observe nor finish before both sides acknowledged this contract
    #[arg(long)]
    pub require_acks: bool,
    /// Grant repo.open_pr
    #[arg(long)]
    pub allow_pr: bool,
    /// Grant repo.merge_green_pr
    #[arg(long)]
    pub allow_merge_green: bool,
    /// Grant worker_session.compact and worker_session.clear
    #[arg(long)]
    pub allow_worker_compact_clear: bool,
    /// Grant and revoke: {"CATEGORY": ["ACTION", …], "CATEGORY.ACTION": true or false}
    #[arg(long, value_name = "JSON", value_parser = values::json_object)]
    pub permissions_json: Option<Map<String, Value>>,
}

impl ManagerConfigArgs {
    fn change(self) -> ConfigChange {
        let older_flags = [
            (self.allow_pr, "allow_pr"),
            (self.allow_merge_green, "allow_merge_green"),
            (self.allow_worker_compact_clear, "allow_worker_compact_clear"),
        ];
        let granted = older_flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned());
        ConfigChange {
            mode: self.mode,
            objective: self.objective,
            guidelines: self.guideline,
            acceptance_criteria: self.acceptance,
            reference_paths: self.reference,
            tools: self.tool,
            epilogues: self.epilogue,
            permits: self.permit.into_iter().chain(granted).collect(),
            permissions: self.permissions_json.unwrap_or_default(),
            nudge_on_completion: self.nudge_on_completion,
            require_acks: self.require_acks,
        }
    }
}

/// The contract, or the questions that settle one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ManagerConfigReply {
    /// What to ask the user.
    Questions {
        /// The task to settle the contract of.
        task: TaskSummary,
        /// In the order to ask them.
        questions: Vec<Question>,
    },
    /// The contract as it is now.
    Config(Box<ConfigReply>),
}

/// A contract as it is after the call.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConfigReply {
    /// The contract.
    #[serde(flatten)]
    pub config: ManagerConfig,
    /// A sentence for each permission that was given but is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl From<Configured> for ConfigReply {
    fn from(configured: Configured) -> Self {
        Self { config: configured.config, warnings: configured.warnings }
    }
}

impl Call for ManagerConfigArgs {
    type Reply = ManagerConfigReply;
    const NOT_FOR_TOOLS: &'static [&'static str] = &["interactive"];

    fn changes_task(&self) -> Option<&str> {
        (!self.questions).then_some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<ManagerConfigReply, Failure> {
        if self.questions {
            let task = hub.store.read(GetTask(self.task)).await?.into();
            return Ok(ManagerConfigReply::Questions { task, questions: supervision::questions() });
        }
        let configure = Configure { task: self.task.clone(), change: self.change() };
        let configured: ConfigReply = hub.store.write(configure).await?.into();
        Ok(ManagerConfigReply::Config(Box::new(configured)))
    }
}

/// Ask whether the manager may do something; the answer is put on record
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct ManagerPermissionArgs {
    /// The task, by name or id
    pub task: String,
    /// A permission such as repo.open_pr, or a category such as repo
    pub action: String,
    /// List what is granted in the category
    #[arg(long)]
    #[serde(default)]
    pub list: bool,
    /// Exit with 1 when it is denied
    #[arg(long)]
    #[serde(default)]
    pub require: bool,
    /// Deny it while the worker has not written a handoff
    #[arg(long)]
    #[serde(default)]
    pub require_handoff: bool,
}

/// Whether the manager may do it.
#[derive(Debug, Serialize, Deserialize)]
pub struct PermissionReply {
    /// The outcome.
    #[serde(flatten)]
    pub check: ActionCheck,
    /// Whether the task has a supervision contract.
    pub configured: bool,
    /// The category, where one was asked for or listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The granted actions of that category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Vec<String>>,
    /// The commands that would make it allowed; none when it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Whether a handoff was asked for.
    pub require_handoff: bool,
    /// Everything the contract grants.
    pub permissions: PermissionSet,
    /// The task.
    pub task: TaskSummary,
}

impl Call for ManagerPermissionArgs {
    type Reply = PermissionReply;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<PermissionReply, Failure> {
        let listed = listed_category(&self.action, self.list);
        let (task, action, require_handoff) = (self.task, self.action, self.require_handoff);
        let checked = hub.store.write(CheckPermission { task, action, require_handoff }).await?;
        Ok(PermissionReply {
            granted: listed
                .map(|category| checked.granted.actions(category).into_iter().map(str::to_owned).collect()),
            category: listed.map(str::to_owned),
            hints: checked.check.hints(&checked.task.name),
            check: checked.check,
            configured: checked.configured,
            require_handoff,
            permissions: checked.granted,
            task: checked.task.into(),
        })
    }
}

/// The category whose grants are listed: the one asked for, or with `--list` that of the permission.
fn listed_category(action: &str, list: bool) -> Option<&'static str> {
    let of_permission = || Permission::named(action)?.first().map(|permission| permission.category());
    category(action).or_else(|| if list { of_permission() } else { None })
}
