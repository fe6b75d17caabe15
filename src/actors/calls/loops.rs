//! Bounded loops: the wordings that ask for one, the policies to start from.

use clap::{ArgGroup, Args};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, ToolKind, values};
use crate::actors::{Caller, Hub, template_files};
use crate::domain::Failure;
use crate::domain::loop_templates::{KnownTemplate, NewLoop, Templates};
use crate::domain::triggers;
use crate::store::loop_runs::CreateLoop;
use crate::store::runs::Run;

/// See whether a prompt asks for a loop, a gate or a proof, in one of the wordings that count
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LoopTriggersArgs {
    /// List the wordings; the default
    #[arg(long, conflicts_with = "classify")]
    pub list: bool,
    /// Look for one of them in this prompt
    #[arg(long, value_name = "PROMPT", allow_hyphen_values = true, value_parser = values::text)]
    pub classify: Option<String>,
}

/// The triggers, or what a prompt asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LoopTriggersReply {
    /// What a prompt asks for.
    Classified(Classified),
    /// All of them, each as [`triggers::Trigger`].
    Listed {
        /// In the order in which they are tried.
        triggers: Vec<Value>,
    },
}

/// What a prompt asks for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Classified {
    /// The prompt.
    pub prompt: String,
    /// It asks for something.
    pub matched: bool,
    /// For what, as [`triggers::Trigger`].
    pub matched_trigger: Option<Value>,
    /// What to do about it.
    pub guidance: String,
}

impl Call for LoopTriggersArgs {
    type Reply = LoopTriggersReply;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, _: &Hub, _: &Caller) -> Result<LoopTriggersReply, Failure> {
        let Some(prompt) = self.classify else {
            let triggers = triggers::TRIGGERS.iter().map(|trigger| json!(trigger)).collect();
            return Ok(LoopTriggersReply::Listed { triggers });
        };
        let trigger = triggers::classify(&prompt);
        let guidance = match trigger {
            Some(_) => "The prompt uses a controlled wording: carry out the operator actions of the trigger.",
            None => {
                "The prompt uses no controlled wording: create neither a loop policy nor a gate because of it."
            }
        };
        Ok(LoopTriggersReply::Classified(Classified {
            prompt,
            matched: trigger.is_some(),
            matched_trigger: trigger.map(|trigger| json!(trigger)),
            guidance: guidance.to_owned(),
        }))
    }
}

/// What a new loop run is like.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NewRunOptions {
    /// Name the run
    #[arg(long, requires = "create_run")]
    pub name: Option<String>,
    /// The last pass there may be
    #[arg(long, value_name = "N", requires = "create_run", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_iterations: Option<u32>,
    /// The pass that is under way
    #[arg(long, value_name = "N", requires = "create_run")]
    pub current_iteration: Option<u32>,
    /// The digest of the prompt that every pass starts from
    #[arg(long, value_name = "SHA256", requires = "create_run")]
    pub seed_prompt_sha256: Option<String>,
    /// Let only evidence count that conveyor executed itself, see evidence run
    #[arg(long, requires = "create_run")]
    pub require_executed_evidence: bool,
}

/// Show the loop policies to start from, or make a run that holds one
///
/// Dispatch delivers another pass only up to the policy's last one, and only when the evidence it
/// requires is recorded for the pass before. Templates of your own stand in conveyor.toml, in the
/// project or in the state root.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[command(group = ArgGroup::new("action").required(true).args(["list", "show", "create_run"]))]
pub struct LoopTemplatesArgs {
    /// List the templates
    #[arg(long)]
    pub list: bool,
    /// Show one template
    #[arg(long, value_name = "TEMPLATE")]
    pub show: Option<String>,
    /// Make a run for this task, by name or id
    #[arg(long, value_name = "TASK", requires = "template")]
    pub create_run: Option<String>,
    /// The template of the run
    #[arg(long, requires = "create_run")]
    pub template: Option<String>,
    /// What the run is like
    #[command(flatten)]
    #[serde(flatten)]
    pub run: NewRunOptions,
}

/// Show the loop policies to start from; the older name of loop-templates
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[command(group = ArgGroup::new("action").required(true).args(["list", "show", "create_run"]))]
pub struct RalphLoopPresetsArgs {
    /// List the presets
    #[arg(long)]
    pub list: bool,
    /// Show one preset
    #[arg(long, value_name = "PRESET")]
    pub show: Option<String>,
    /// Make a run for this task, by name or id
    #[arg(long, value_name = "TASK", requires = "preset")]
    pub create_run: Option<String>,
    /// The preset of the run
    #[arg(long, requires = "create_run")]
    pub preset: Option<String>,
    /// What the run is like
    #[command(flatten)]
    #[serde(flatten)]
    pub run: NewRunOptions,
}

/// Templates, or a run made from one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LoopTemplatesReply {
    /// All of them.
    Templates {
        /// By name.
        templates: Vec<KnownTemplate>,
    },
    /// All of them, under their older name.
    Presets {
        /// By name.
        presets: Vec<KnownTemplate>,
    },
    /// One of them.
    Shown(Box<KnownTemplate>),
    /// The run that was made.
    Created(Run),
}

impl Call for LoopTemplatesArgs {
    type Reply = LoopTemplatesReply;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<LoopTemplatesReply, Failure> {
        let templates = template_files::load(hub, caller).await?;
        if self.list {
            return Ok(LoopTemplatesReply::Templates { templates: templates.into_vec() });
        }
        show_or_create(hub, &templates, self.show, self.create_run, self.template, self.run).await
    }
}

impl Call for RalphLoopPresetsArgs {
    type Reply = LoopTemplatesReply;
    const TOOL: ToolKind = ToolKind::Hidden;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<LoopTemplatesReply, Failure> {
        let templates = template_files::load(hub, caller).await?;
        if self.list {
            return Ok(LoopTemplatesReply::Presets { presets: templates.into_vec() });
        }
        show_or_create(hub, &templates, self.show, self.create_run, self.preset, self.run).await
    }
}

async fn show_or_create(
    hub: &Hub,
    templates: &Templates,
    show: Option<String>,
    task: Option<String>,
    template: Option<String>,
    options: NewRunOptions,
) -> Result<LoopTemplatesReply, Failure> {
    if let Some(name) = show {
        return Ok(LoopTemplatesReply::Shown(Box::new(templates.find(&name)?)));
    }
    let (Some(task), Some(template)) = (task, template) else {
        return Err(Failure::usage("a new run needs a task and a template"));
    };
    let new = NewLoop {
        template: Some(templates.find(&template)?.template),
        max_iterations: options.max_iterations,
        current_iteration: options.current_iteration.unwrap_or(0),
        seed_prompt_sha256: options.seed_prompt_sha256,
        require_executed_evidence: options.require_executed_evidence,
        ..NewLoop::default()
    };
    let run = hub.store.write(CreateLoop { task, name: options.name, new }).await?;
    Ok(LoopTemplatesReply::Created(run))
}
