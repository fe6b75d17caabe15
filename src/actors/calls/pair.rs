//! Making a pair in one go: a task, a worker, a manager, their binding, and Dispatch.

use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::start::{MAX_TIMEOUT_SECONDS, StartReply};
use super::{Call, Place, ToolKind, values};
use crate::actors::launch::{CodexArgs, Launched, Manager, Worker};
use crate::actors::{Caller, Hub, record};
use crate::codex::policy::SandboxMode;
use crate::domain::Failure;
use crate::domain::shell::quoted;
use crate::domain::supervision::{EpilogueStep, NudgeOnCompletion, SupervisionMode};
use crate::store::manager_config::ConfigChange;
use crate::store::pairs::{CompletePair, Ground, NewPair, PreparePair, TellPairFailed, TellSpawned, TryPair};
use crate::store::registration::Deregister;

/// Start a worker and a manager, bind them to a task, and see that Dispatch runs
///
/// The manager is told to supervise at once. Should it not start, the worker stays registered with
/// its task; everything else is taken back. A task made for a pair whose worker does not start has failed.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct PairArgs {
    /// The task, by name or id; created when there is none and --task-goal is given
    #[arg(long)]
    pub task: String,
    /// The name to register the worker under
    #[arg(long, value_name = "NAME")]
    pub worker_name: String,
    /// The name to register the manager under
    #[arg(long, value_name = "NAME")]
    pub manager_name: String,
    /// What to tell the worker first; without it the worker waits for its manager
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub task_prompt: Option<String>,
    /// What the task is for, when it is to be created
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub task_goal: Option<String>,
    /// A longer text about it, likewise
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub task_summary: Option<String>,
    /// What to settle in the task's supervision contract.
    #[command(flatten)]
    #[serde(flatten)]
    pub contract: ContractArgs,
    /// What the manager's commands may touch [default: as --sandbox]
    #[arg(long, value_name = "MODE")]
    pub manager_sandbox: Option<SandboxMode>,
    /// How long starting each session may take
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=MAX_TIMEOUT_SECONDS))]
    pub timeout_seconds: u32,
    /// Do not see to it that a supervisor dispatches
    #[arg(long)]
    #[serde(default)]
    pub no_dispatch: bool,
    /// The identity recorded on what is dispatched
    #[arg(long, value_name = "ID", default_value = "dispatch-pair")]
    pub dispatcher_id: String,
    /// Only say what would be done
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
    /// How Codex is started.
    #[command(flatten)]
    #[serde(flatten)]
    pub codex: CodexArgs,
}

/// What `pair` may settle in the supervision contract; as `manager-config`, which can do it later.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ContractArgs {
    /// How closely the manager supervises
    #[arg(long, value_name = "MODE")]
    pub manager_mode: Option<SupervisionMode>,
    /// What the manager is to see to
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub manager_objective: Option<String>,
    /// A rule for the worker; repeatable
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub manager_guideline: Vec<String>,
    /// What must be true at the end, also added to the task's criteria; repeatable
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub manager_acceptance: Vec<String>,
    /// A file that says what is wanted; repeatable
    #[arg(long, value_name = "PATH")]
    pub manager_reference: Vec<String>,
    /// Grant a permission, such as repo.open_pr; repeatable
    #[arg(long, value_name = "CATEGORY.ACTION")]
    pub manager_permit: Vec<String>,
    /// A tool the work is expected to use; repeatable
    #[arg(long, value_name = "TOOL")]
    pub manager_tool: Vec<String>,
    /// A step that has to be done before the task is finished; repeatable
    #[arg(long, value_name = "STEP")]
    pub manager_epilogue: Vec<EpilogueStep>,
    /// What happens when the worker says that it is done
    #[arg(long, value_name = "MODE")]
    pub manager_nudge_on_completion: Option<NudgeOnCompletion>,
    /// Neither observe nor finish before both sides acknowledged the contract
    #[arg(long)]
    pub manager_require_acks: bool,
    /// Grant repo.open_pr
    #[arg(long)]
    pub manager_allow_pr: bool,
    /// Grant repo.merge_green_pr
    #[arg(long)]
    pub manager_allow_merge_green: bool,
    /// Grant worker_session.compact and worker_session.clear
    #[arg(long)]
    pub manager_allow_worker_compact_clear: bool,
    /// Grant and revoke: {"CATEGORY": ["ACTION", …], "CATEGORY.ACTION": true or false}
    #[arg(long, value_name = "JSON", value_parser = values::json_object)]
    pub manager_permissions_json: Option<Map<String, Value>>,
}

impl ContractArgs {
    fn change(&self) -> ConfigChange {
        let older_flags = [
            (self.manager_allow_pr, "allow_pr"),
            (self.manager_allow_merge_green, "allow_merge_green"),
            (self.manager_allow_worker_compact_clear, "allow_worker_compact_clear"),
        ];
        let granted = older_flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned());
        ConfigChange {
            mode: self.manager_mode,
            objective: self.manager_objective.clone(),
            guidelines: self.manager_guideline.clone(),
            acceptance_criteria: self.manager_acceptance.clone(),
            reference_paths: self.manager_reference.clone(),
            tools: self.manager_tool.clone(),
            epilogues: self.manager_epilogue.clone(),
            permits: self.manager_permit.iter().cloned().chain(granted).collect(),
            permissions: self.manager_permissions_json.clone().unwrap_or_default(),
            nudge_on_completion: self.manager_nudge_on_completion,
            require_acks: self.manager_require_acks,
        }
    }
}

/// A pair, or what would become one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PairReply {
    /// It was made.
    Made(Box<MadePair>),
    /// `--dry-run`.
    Planned(Box<PlannedPair>),
}

/// The task of a pair.
#[derive(Debug, Serialize, Deserialize)]
pub struct PairTask {
    /// Whether it was, or would be, created for this.
    pub created: bool,
    /// Its id; none when it would be created.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
}

/// A pair that was made.
#[derive(Debug, Serialize, Deserialize)]
pub struct MadePair {
    /// The task.
    pub task: PairTask,
    /// The worker.
    pub worker: StartReply,
    /// The manager.
    pub manager: StartReply,
    /// What ties them to the task.
    pub binding_id: String,
    /// The task's run.
    pub run_id: String,
    /// The task's supervision contract is on record.
    pub manager_config_seeded: bool,
    /// It was made or changed for this.
    pub manager_config_seeded_by_pair: bool,
    /// A sentence for each permission that was given but is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manager_config_warnings: Vec<String>,
    /// How many acceptance criteria are new.
    pub manager_acceptance_criteria_seeded: usize,
    /// Whether a supervisor is to dispatch.
    pub ensure_dispatch: bool,
    /// The command that dispatches.
    pub dispatch_command: Option<Vec<String>>,
    /// Who dispatches; filled in when that is seen to.
    pub dispatch: Option<PairDispatch>,
    /// The pair is up and bound, but not all that was to be said to its sessions was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Who dispatches for a pair.
#[derive(Debug, Serialize, Deserialize)]
pub struct PairDispatch {
    /// The command that does the same.
    pub command: Vec<String>,
    /// Always true: it was seen to.
    pub ensure: bool,
    /// The supervisor's process.
    pub pid: u32,
    /// Whether it was started for this.
    pub started: bool,
    /// The identity under which it dispatches; that of a supervisor that was there before stays.
    pub dispatcher_id: String,
}

/// What `--dry-run` tells.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlannedPair {
    /// Always true.
    pub dry_run: bool,
    /// The task.
    pub task: PairTask,
    /// The worker.
    pub worker: PlannedSession,
    /// The manager.
    pub manager: PlannedSession,
    /// Whether a supervisor would be seen to dispatch.
    pub ensure_dispatch: bool,
    /// The command that dispatches.
    pub dispatch_command: Option<Vec<String>>,
}

/// A session that would be started.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlannedSession {
    /// Its name.
    pub name: String,
    /// The tmux session it would run in.
    pub tmux_session: Option<String>,
    /// Where it would work.
    pub cwd: String,
}

impl Call for PairArgs {
    type Reply = PairReply;
    const PLACE: Place = Place::Caller;
    const TOOL: ToolKind = ToolKind::Hidden;

    fn changes_task(&self) -> Option<&str> {
        (!self.dry_run).then_some(&self.task)
    }

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<PairReply, Failure> {
        if self.dry_run {
            let task = hub.store.read(TryPair(self.pair())).await?;
            let task = PairTask {
                created: task.is_none(),
                id: task.as_ref().map(|task| task.id.clone()),
                name: task.map_or(self.task.clone(), |task| task.name),
            };
            return Ok(PairReply::Planned(Box::new(self.planned(task, hub, caller))));
        }
        let mut begun = Begun::default();
        match self.make(hub, caller, &mut begun).await {
            Ok(mut made) => {
                if let Some(failure) = made.failure.take() {
                    made.failure = Some(self.told(failure, begun, hub).await);
                }
                Ok(PairReply::Made(Box::new(made)))
            }
            Err(failure) => Err(self.told(failure, begun, hub).await),
        }
    }
}

/// How far a pair has got.
#[derive(Debug, Default)]
struct Begun {
    task_id: Option<String>,
    task_is_new: bool,
    worker_runs: bool,
}

impl PairArgs {
    fn pair(&self) -> NewPair {
        NewPair {
            task: self.task.clone(),
            goal: self.task_goal.clone(),
            summary: self.task_summary.clone(),
            worker: self.worker_name.clone(),
            manager: self.manager_name.clone(),
            config: self.contract.change(),
        }
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into())
    }

    /// The failure, after it was recorded.
    async fn told(&self, failure: Failure, begun: Begun, hub: &Hub) -> Failure {
        let told = TellPairFailed {
            pair: self.pair(),
            task_id: begun.task_id,
            gives_up_task: begun.task_is_new && !begun.worker_runs,
            failure: failure.clone(),
        };
        record::failed(failure, hub.store.write(told).await)
    }

    async fn make(&self, hub: &Hub, caller: &Caller, begun: &mut Begun) -> Result<MadePair, Failure> {
        let ground = hub.store.write(PreparePair(self.pair())).await?;
        begun.task_id = Some(ground.task.id.clone());
        begun.task_is_new = ground.created;
        let worker = self.start_worker(&ground, hub, caller).await?;
        begun.worker_runs = true;
        let manager =
            self.start_manager(&ground, hub, caller).await.map_err(|failure| self.half_way(failure))?;
        let complete = CompletePair { pair: self.pair(), task_id: ground.task.id.clone() };
        let (binding, run_id) = match hub.store.write(complete).await {
            Ok(complete) => complete,
            Err(error) => {
                let failure = self.take_back(manager, error.into(), hub).await;
                return Err(self.half_way(failure));
            }
        };
        // Only now: what the sessions do is seen by each other.
        let (worker_prompted, manager_prompted) =
            (worker.send_prompt(hub).await, manager.send_prompt(hub).await);
        let prompts = [worker_prompted.as_ref().err(), manager_prompted.as_ref().err()];
        let failure = prompts.into_iter().flatten().cloned().reduce(Failure::and);
        let failure =
            failure.map(|failure| failure.hint("the pair is up and bound: see it with `conveyor sessions`"));
        Ok(MadePair {
            task: PairTask { created: ground.created, id: Some(ground.task.id), name: ground.task.name },
            worker: StartReply::of(worker, worker_prompted.unwrap_or(false), &caller.program),
            manager: StartReply::of(manager, manager_prompted.unwrap_or(false), &caller.program),
            binding_id: binding.id,
            run_id,
            manager_config_seeded: true,
            manager_config_seeded_by_pair: ground.configured,
            manager_config_warnings: ground.warnings,
            manager_acceptance_criteria_seeded: ground.criteria_added,
            ensure_dispatch: !self.no_dispatch,
            dispatch_command: self.dispatch_command(hub),
            dispatch: None,
            failure,
        })
    }

    async fn start_worker(&self, ground: &Ground, hub: &Hub, caller: &Caller) -> Result<Launched, Failure> {
        let worker = Worker {
            name: &self.worker_name,
            words: self.task_prompt.as_deref(),
            task: Some(&ground.task.name),
            codex: &self.codex,
            codex_session: None,
            timeout: self.timeout(),
        };
        self.spawned(worker.launch(hub, caller).await?, ground, hub).await
    }

    async fn start_manager(&self, ground: &Ground, hub: &Hub, caller: &Caller) -> Result<Launched, Failure> {
        let codex = CodexArgs { sandbox: self.manager_sandbox.or(self.codex.sandbox), ..self.codex.clone() };
        let manager = Manager {
            name: &self.manager_name,
            worker: Some(&self.worker_name),
            task: Some(&ground.task.name),
            goal: Some(&ground.task.goal),
            configured: true,
            codex: &codex,
            codex_session: None,
            timeout: self.timeout(),
        };
        self.spawned(manager.launch(hub, caller).await?, ground, hub).await
    }

    async fn spawned(&self, launched: Launched, ground: &Ground, hub: &Hub) -> Result<Launched, Failure> {
        let session = launched.linked.session.clone();
        let done = format!("session {} was started", session.name);
        let told = TellSpawned { pair: self.pair(), task_id: ground.task.id.clone(), session };
        record::ended(Ok(launched), hub.store.write(told).await, |_| done)
    }

    /// Ends a manager that could not be bound, because of `failure`.
    async fn take_back(&self, manager: Launched, failure: Failure, hub: &Hub) -> Failure {
        manager.undo().await;
        let name = &self.manager_name;
        let deregister = Deregister { session: name.clone() };
        match hub.store.write(deregister).await.map_err(Failure::from).flatten() {
            Ok(_) => failure,
            Err(left) => failure.hint(format!(
                "manager {name} was ended again but is still registered ({left}): `conveyor deregister {}`",
                quoted(name)
            )),
        }
    }

    fn half_way(&self, failure: Failure) -> Failure {
        let worker = &self.worker_name;
        failure
            .hint(format!("worker {worker} runs and stays registered: go on with `conveyor start-manager`"))
            .hint(format!("or end it: `conveyor stop {}`", quoted(worker)))
    }

    fn dispatch_command(&self, hub: &Hub) -> Option<Vec<String>> {
        if self.no_dispatch {
            return None;
        }
        let program =
            std::env::current_exe().map_or("conveyor".into(), |path| path.to_string_lossy().into_owned());
        let database = hub.paths.database.to_string_lossy().into_owned();
        let words = ["dispatch", "--watch", "--dispatcher-id", &self.dispatcher_id, "--path", &database];
        Some(std::iter::once(program).chain(words.map(str::to_owned)).collect())
    }

    fn planned(&self, task: PairTask, hub: &Hub, caller: &Caller) -> PlannedPair {
        let cwd = self.codex.cwd.as_ref().map_or(caller.cwd.clone(), |cwd| caller.cwd.join(cwd));
        let session = |name: &str| PlannedSession {
            name: name.to_owned(),
            tmux_session: (!self.codex.no_tmux).then(|| format!("codex-{name}")),
            cwd: cwd.to_string_lossy().into_owned(),
        };
        PlannedPair {
            dry_run: true,
            task,
            worker: session(&self.worker_name),
            manager: session(&self.manager_name),
            ensure_dispatch: !self.no_dispatch,
            dispatch_command: self.dispatch_command(hub),
        }
    }
}
