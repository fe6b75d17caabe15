//! A pair for one loop: task, sessions, binding and policy in one step.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::registration::RegisterReply;
use super::{Call, ToolKind};
use crate::actors::blocking::blocking;
use crate::actors::wire::VERSION;
use crate::actors::{Caller, Hub, template_files};
use crate::domain::loop_templates::NewLoop;
use crate::domain::shell::quoted;
use crate::domain::time::now_iso;
use crate::domain::{Failure, Recipe, Role, name};
use crate::own_dir::private_dir;
use crate::store::disposable::{CreateDisposable, Disposable};
use crate::store::registration::Register;
use crate::store::runs::Run;
use crate::store::session_links::Link;
use crate::store::tasks::Task;

/// Bind a worker and a manager that have no terminal to a task, for one bounded loop
///
/// For Codex sessions in an app: both poll their inboxes. The task is made when it is missing.
/// With a template or required evidence, a loop policy is made too.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct CreateDisposableBindingArgs {
    /// The task, by name or id
    pub task: String,
    /// What a missing task is for
    #[arg(long)]
    #[serde(default)]
    pub goal: Option<String>,
    /// A longer text for a missing task
    #[arg(long)]
    #[serde(default)]
    pub summary: Option<String>,
    /// The worker's name [default: TASK-worker]
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    pub worker: Option<String>,
    /// The manager's name [default: TASK-manager]
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    pub manager: Option<String>,
    /// Where their rollouts are made [default: disposable-sessions beside the database]
    #[arg(long, value_name = "DIR")]
    #[serde(default)]
    pub session_dir: Option<PathBuf>,
    /// The working directory of both [default: this one]
    #[arg(long, value_name = "DIR")]
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// The loop policy to start from, see loop-templates
    #[arg(long)]
    #[serde(default)]
    pub template: Option<String>,
    /// Name the run that holds the policy
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    pub run_name: Option<String>,
    /// The last pass there may be
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(default)]
    pub max_iterations: Option<u32>,
    /// The pass that is under way
    #[arg(long, value_name = "N", default_value_t = first_pass())]
    #[serde(default = "first_pass")]
    pub current_iteration: u32,
    /// The digest of the prompt that every pass starts from
    #[arg(long, value_name = "SHA256")]
    #[serde(default)]
    pub seed_prompt_sha256: Option<String>,
    /// Require this evidence before the next pass; repeatable
    #[arg(long, value_name = "TYPE")]
    #[serde(default)]
    pub required_before_continue: Vec<String>,
    /// Require adversarial_check evidence before the next pass
    #[arg(long)]
    #[serde(default)]
    pub adversarial: bool,
    /// Let only evidence count that conveyor executed itself, see evidence run
    #[arg(long)]
    #[serde(default)]
    pub require_executed_evidence: bool,
    /// What happens to the worker's context between passes [default: the template's, or clear]
    #[arg(long, value_name = "POLICY")]
    #[serde(default)]
    pub cleanup_policy: Option<String>,
}

fn first_pass() -> u32 {
    1
}

/// What was made, and what to do with it.
#[derive(Debug, Serialize, Deserialize)]
pub struct DisposableReply {
    /// The task, now managed.
    pub task: Task,
    /// It was made here.
    pub task_created: bool,
    /// `binding-<uuid>`.
    pub binding_id: String,
    /// The worker, and how it is reached.
    pub worker: RegisterReply,
    /// The manager, and how it is reached.
    pub manager: RegisterReply,
    /// The run that holds the loop's policy.
    pub run: Option<Run>,
    /// Commands that go on from here, one a line.
    pub replay_commands: Vec<String>,
    /// What to tell the worker's session.
    pub worker_handoff: String,
}

impl CreateDisposableBindingArgs {
    async fn new_loop(&self, hub: &Hub, caller: &Caller) -> Result<Option<NewLoop>, Failure> {
        let wanted = self.template.is_some() || self.adversarial || !self.required_before_continue.is_empty();
        if self.require_executed_evidence && !wanted {
            return Err(Failure::usage("--require-executed-evidence needs evidence that is required")
                .hint("name it with --required-before-continue, or a --template that requires some"));
        }
        let template = match &self.template {
            Some(name) => Some(template_files::load(hub, caller).await?.find(name)?.template),
            None => None,
        };
        let new = wanted.then(|| NewLoop {
            template,
            required_before_continue: self.required_before_continue.clone(),
            adversarial: self.adversarial,
            require_executed_evidence: self.require_executed_evidence,
            max_iterations: self.max_iterations,
            current_iteration: self.current_iteration,
            cleanup_policy: self.cleanup_policy.clone(),
            seed_prompt_sha256: self.seed_prompt_sha256.clone(),
            source: self.template.is_none().then(|| "create-disposable-binding".to_owned()),
        });
        // Refused before a file is made.
        new.as_ref().map(NewLoop::metadata).transpose()?;
        Ok(new)
    }

    fn name_of(&self, role: Role) -> Result<String, Failure> {
        let given = match role {
            Role::Worker => &self.worker,
            Role::Manager => &self.manager,
        };
        let name = given.clone().unwrap_or_else(|| format!("{}-{role}", self.task));
        name::check("session", &name)?;
        Ok(name)
    }
}

impl Call for CreateDisposableBindingArgs {
    type Reply = DisposableReply;
    const TOOL: ToolKind = ToolKind::Changes;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<DisposableReply, Failure> {
        let new_loop = self.new_loop(hub, caller).await?;
        let directory = match &self.session_dir {
            Some(given) => caller.cwd.join(given),
            None => hub.paths.database.with_file_name("disposable-sessions"),
        };
        let cwd = self.cwd.as_ref().map_or_else(|| caller.cwd.clone(), |given| caller.cwd.join(given));
        let worker = stand_in(&directory, &cwd, self.name_of(Role::Worker)?, Role::Worker);
        let manager = stand_in(&directory, &cwd, self.name_of(Role::Manager)?, Role::Manager);
        let pair = vec![worker.clone(), manager.clone()];
        write_rollouts(directory, pair.clone()).await?;
        let create = CreateDisposable {
            goal: self.goal.unwrap_or_else(|| format!("Loop of {}", self.task)),
            task: self.task,
            summary: self.summary,
            worker,
            manager,
            new_loop,
            run_name: self.run_name,
        };
        match hub.store.write(create).await {
            Ok(made) => Ok(reply(made, &caller.program)),
            Err(error) => {
                blocking(move || remove_rollouts(&pair)).await?;
                Err(error.into())
            }
        }
    }
}

/// A session that has a thread and a rollout of its own, but no process.
fn stand_in(directory: &Path, cwd: &Path, name: String, role: Role) -> Register {
    let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let suffix = uuid::Uuid::new_v4().simple().to_string();
    let slug = format!("{safe}-{}", &suffix[..8]);
    Register {
        name,
        role,
        pid: None,
        cwd: cwd.to_string_lossy().into_owned(),
        tmux_session: None,
        tmux_pane_id: None,
        codex_session_path: Some(
            directory.join(format!("rollout-{slug}.jsonl")).to_string_lossy().into_owned(),
        ),
        codex_session_id: Some(format!("codex-{slug}")),
        link: Link::new(Recipe::Given),
    }
}

/// Both, or neither.
async fn write_rollouts(directory: PathBuf, sessions: Vec<Register>) -> Result<(), Failure> {
    let shown = directory.display().to_string();
    let written = blocking(move || -> io::Result<()> {
        if !directory.is_dir() {
            private_dir(&directory)?;
        }
        sessions.iter().try_for_each(write_rollout).inspect_err(|_| remove_rollouts(&sessions))
    });
    written.await?.map_err(|error| {
        Failure::external(format!("failed to make rollouts in {shown}: {error}"))
            .hint("name a writable directory with --session-dir")
    })
}

/// Takes back what was written of them. Their names are their own, so nobody else's is meant.
fn remove_rollouts(sessions: &[Register]) {
    for path in sessions.iter().filter_map(|session| session.codex_session_path.as_ref()) {
        // What was not written is not there, and what cannot be removed is known to nobody.
        let _ = std::fs::remove_file(path);
    }
}

/// The first line of a rollout, which says whose it is.
fn write_rollout(session: &Register) -> io::Result<()> {
    let Some(path) = &session.codex_session_path else { return Ok(()) };
    let now = now_iso();
    let meta = json!({
        "timestamp": now,
        "type": "session_meta",
        "payload": {
            "id": session.codex_session_id,
            "timestamp": now,
            "cwd": session.cwd,
            "originator": "conveyor",
            "cli_version": VERSION,
        },
    });
    std::fs::write(path, format!("{meta}\n"))
}

fn reply(made: Disposable, program: &str) -> DisposableReply {
    let task = quoted(&made.task.name);
    let worker_handoff = worker_handoff(&made, program);
    let mut replay_commands = vec![
        format!("{program} dispatch --watch --dispatcher-id dispatch-local"),
        format!(
            "{program} sessions --state all --name {} --name {} --redact-identity-token",
            quoted(&made.worker.session.name),
            quoted(&made.manager.session.name)
        ),
        format!("{program} worker-inbox {task} --consume-next --wait --json"),
        format!("{program} manager-inbox {task} --consume-next --wait --json"),
    ];
    replay_commands
        .extend(made.run.as_ref().map(|run| format!("{program} loop-status {task} --run {} --json", run.id)));
    DisposableReply {
        task: made.task,
        task_created: made.task_created,
        binding_id: made.binding.id,
        worker: RegisterReply::of(made.worker, program),
        manager: RegisterReply::of(made.manager, program),
        run: made.run,
        replay_commands,
        worker_handoff,
    }
}

/// What a worker without a terminal has to know to keep up.
fn worker_handoff(made: &Disposable, program: &str) -> String {
    let task = quoted(&made.task.name);
    let end = match made.run.as_ref().and_then(|run| run.metadata["max_iterations"].as_i64()) {
        Some(last) => format!("nothing came any more, or pass {last} is done"),
        None => "nothing came any more".to_owned(),
    };
    format!(
        "You are worker {} of task {}: {}\n\
         Your manager writes to your inbox. Take one message after the other with\n\
         `{program} worker-inbox {task} --consume-next --wait --json`\n\
         and do what it says. Go on until {end}.\n\
         When you are done with a message, tell your manager with\n\
         `{program} enqueue-notify-manager {task} --message \"...\"`",
        made.worker.session.name, made.task.name, made.task.goal
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn of_two_rollouts_none_is_left_when_one_cannot_be_written() {
        let directory = tempfile::tempdir().unwrap();
        let made =
            |below: &str| stand_in(&directory.path().join(below), Path::new("/"), "w".into(), Role::Worker);
        let sessions = vec![made(""), made("missing")];
        let failure = write_rollouts(directory.path().to_owned(), sessions).await.unwrap_err();
        assert!(failure.message.starts_with("failed to make rollouts"), "{failure}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
