//! Every call: its arguments, its reply, and what serving it means. One file a group.
//!
//! The arguments of a call are defined once. The command line parses them, the socket carries
//! them, and the MCP tools are made from them.

pub mod act;
pub mod approvals;
pub mod audit;
pub mod bindings;
pub mod classify;
pub mod closing;
pub mod commands;
pub mod compaction;
pub mod continuation;
pub mod contract;
pub mod create;
pub mod criteria;
pub mod cycle;
pub mod db_doctor;
pub mod deliveries;
pub mod discover;
pub mod dispatch;
pub mod disposable;
pub mod epilogue;
pub mod evidence;
pub mod export;
pub mod import;
pub mod inbox;
pub mod ingest;
pub mod legacy;
pub mod legacy_acts;
pub mod loop_evidence;
pub mod loop_status;
pub mod loops;
pub mod manager_config;
pub mod open;
pub mod page;
pub mod pair;
pub mod plain;
pub mod reconcile;
pub mod registration;
pub mod replay;
pub mod runs;
pub mod sessions;
pub mod start;
pub mod stop;
pub mod summary;
pub mod tail;
pub mod tasks;
pub mod telemetry;
pub mod top;
pub mod trace;
pub mod transcripts;
pub mod values;
pub mod wait;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::hub::{Caller, Hub};
use crate::domain::Failure;

/// Whose process serves a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The supervisor's when one is alive, else the caller's.
    Supervisor,
    /// Always the caller's: the call starts programs with the caller's own environment,
    /// or answers about the caller itself.
    Caller,
}

/// What a call is among the MCP tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolKind {
    /// Not one of them.
    Hidden,
    /// It only looks.
    Reads,
    /// It may change something.
    Changes,
}

/// A request and the only reply it can have.
pub trait Call: Serialize + DeserializeOwned + Into<Request> + 'static {
    /// What the caller gets.
    type Reply: Serialize + DeserializeOwned + 'static;

    /// Whose process serves it.
    const PLACE: Place = Place::Supervisor;

    /// Whose process serves this one, where that depends on its arguments.
    fn place(&self) -> Place {
        Self::PLACE
    }

    /// Whether an MCP client is offered it. By default not what acts in its caller's process: that
    /// would be the MCP server's.
    const TOOL: ToolKind = match Self::PLACE {
        Place::Supervisor => ToolKind::Changes,
        Place::Caller => ToolKind::Hidden,
    };

    /// The arguments that mean something at a command line only, by the names of their fields.
    const NOT_FOR_TOOLS: &'static [&'static str] = &[];

    /// Whether it may wait for something to happen. It is abandoned when its caller hangs up, so
    /// that what comes later does not go to nobody.
    const WAITS: bool = false;

    /// The task (id or name) that this call changes. Calls that change the same task are served
    /// one after the other.
    fn changes_task(&self) -> Option<&str> {
        None
    }

    /// Serves the call.
    fn serve(self, hub: &Hub, caller: &Caller) -> impl Future<Output = Result<Self::Reply, Failure>>;
}

/// Runs a macro with the list of all calls: `Variant(arguments)` each.
#[macro_export]
macro_rules! for_each_call {
    ($with:ident) => {
        $with! {
            SessionInterrupt(act::SessionInterruptArgs),
            SessionNudge(act::SessionNudgeArgs),
            Approvals(approvals::ApprovalsArgs),
            Approve(approvals::ApproveArgs),
            Deny(approvals::DenyArgs),
            Audit(audit::AuditArgs),
            AuditVerify(audit::AuditVerifyArgs),
            Divergences(audit::DivergencesArgs),
            MutationAudit(audit::MutationAuditArgs),
            Bind(bindings::BindArgs),
            Unbind(bindings::UnbindArgs),
            Classify(classify::ClassifyArgs),
            FinishTask(closing::FinishTaskArgs),
            StopTask(closing::StopTaskArgs),
            Commands(commands::CommandsArgs),
            EnqueueContinueIteration(commands::EnqueueContinueIterationArgs),
            EnqueueNotifyManager(commands::EnqueueNotifyManagerArgs),
            EnqueueNudgeWorker(commands::EnqueueNudgeWorkerArgs),
            CompactWorker(compaction::CompactWorkerArgs),
            RequestWorkerCompact(compaction::RequestWorkerCompactArgs),
            Continuation(continuation::ContinuationArgs),
            ContinuationReviewer(continuation::ContinuationReviewerArgs),
            Handoff(contract::HandoffArgs),
            ManagerAck(contract::ManagerAckArgs),
            RecordDecision(contract::RecordDecisionArgs),
            WorkerAck(contract::WorkerAckArgs),
            Create(create::CreateArgs),
            StartTest(create::StartTestArgs),
            Criteria(criteria::CriteriaArgs),
            CriteriaPlan(criteria::CriteriaPlanArgs),
            Cycle(cycle::CycleArgs),
            DbDoctor(db_doctor::DbDoctorArgs),
            Deliveries(deliveries::DeliveriesArgs),
            DeliveriesSettle(deliveries::DeliveriesSettleArgs),
            Discover(discover::DiscoverArgs),
            Dispatch(dispatch::DispatchArgs),
            CreateDisposableBinding(disposable::CreateDisposableBindingArgs),
            Epilogue(epilogue::EpilogueArgs),
            Evidence(evidence::EvidenceArgs),
            EvidenceRun(evidence::EvidenceRunArgs),
            EvidenceShow(evidence::EvidenceShowArgs),
            ExportTask(export::ExportTaskArgs),
            ImportCompat(import::ImportCompatArgs),
            InboxAck(inbox::InboxAckArgs),
            ManagerInbox(inbox::ManagerInboxArgs),
            SessionInbox(inbox::SessionInboxArgs),
            WorkerInbox(inbox::WorkerInboxArgs),
            Ingest(ingest::IngestArgs),
            Capture(legacy::CaptureArgs),
            Events(legacy::EventsArgs),
            IdleCheck(legacy::IdleCheckArgs),
            List(legacy::ListArgs),
            Status(legacy::StatusArgs),
            UpdateStatus(legacy::UpdateStatusArgs),
            Interrupt(legacy_acts::InterruptArgs),
            Nudge(legacy_acts::NudgeArgs),
            LoopEvidenceAdd(loop_evidence::LoopEvidenceAddArgs),
            LoopEvidenceAdversarialCheck(loop_evidence::LoopEvidenceAdversarialCheckArgs),
            LoopEvidenceVisualDiff(loop_evidence::LoopEvidenceVisualDiffArgs),
            LoopStatus(loop_status::LoopStatusArgs),
            LoopTemplates(loops::LoopTemplatesArgs),
            LoopTriggers(loops::LoopTriggersArgs),
            RalphLoopPresets(loops::RalphLoopPresetsArgs),
            ManagerConfig(manager_config::ManagerConfigArgs),
            ManagerPermission(manager_config::ManagerPermissionArgs),
            Open(open::OpenArgs),
            OpenManager(open::OpenManagerArgs),
            OpenWorker(open::OpenWorkerArgs),
            Pair(pair::PairArgs),
            Start(plain::StartArgs),
            Reconcile(reconcile::ReconcileArgs),
            RegisterManager(registration::RegisterManagerArgs),
            RegisterWorker(registration::RegisterWorkerArgs),
            Replay(replay::ReplayArgs),
            Runs(runs::RunsArgs),
            Deregister(sessions::DeregisterArgs),
            Sessions(sessions::SessionsArgs),
            StartManager(start::StartManagerArgs),
            StartWorker(start::StartWorkerArgs),
            Stop(stop::StopArgs),
            Tail(tail::TailArgs),
            Tasks(tasks::TasksArgs),
            Telemetry(telemetry::TelemetryArgs),
            Top(top::TopArgs),
            Prune(transcripts::PruneArgs),
            Trace(trace::TraceArgs),
            TranscriptCapture(transcripts::TranscriptCaptureArgs),
            TranscriptPrune(transcripts::TranscriptPruneArgs),
            TranscriptShow(transcripts::TranscriptShowArgs),
            Wait(wait::WaitArgs),
        }
    };
}

macro_rules! define_request {
    ($($name:ident($args:ty),)*) => {
        /// Any call, as it is parsed and as it crosses the socket.
        #[derive(Debug, Clone, Serialize, Deserialize, clap::Subcommand)]
        #[serde(tag = "call", content = "args", rename_all = "kebab-case")]
        #[allow(missing_docs, reason = "each variant is documented at its arguments")]
        #[allow(clippy::large_enum_variant, reason = "there is one at a time")]
        pub enum Request {
            $($name($args),)*
        }

        $(impl From<$args> for Request {
            fn from(args: $args) -> Self {
                Self::$name(args)
            }
        })*

        impl Request {
            /// The command line of the call of this name alone, its name as it is given.
            pub fn command(name: &str) -> Option<clap::Command> {
                let letters = name.replace('-', "");
                $(if letters.eq_ignore_ascii_case(stringify!($name)) {
                    return Some(<$args as clap::Args>::augment_args(clap::Command::new(name.to_owned())));
                })*
                None
            }

            /// Whose process serves it.
            pub fn place(&self) -> Place {
                match self {
                    $(Self::$name(args) => args.place(),)*
                }
            }

            /// Whether it may wait, see [`Call::WAITS`].
            pub fn waits(&self) -> bool {
                match self {
                    $(Self::$name(_) => <$args as Call>::WAITS,)*
                }
            }

            /// Whether it only looks: it can be made again.
            pub fn reads(&self) -> bool {
                match self {
                    $(Self::$name(_) => <$args as Call>::TOOL == ToolKind::Reads,)*
                }
            }

            /// The task this call changes, see [`Call::changes_task`].
            pub fn changes_task(&self) -> Option<&str> {
                match self {
                    $(Self::$name(args) => args.changes_task(),)*
                }
            }

            /// Serves the call, whichever it is.
            pub(super) async fn serve(self, hub: &Hub, caller: &Caller) -> Result<Value, Failure> {
                match self {
                    $(Self::$name(args) => to_value(args.serve(hub, caller).await?),)*
                }
            }
        }
    };
}
for_each_call!(define_request);

fn to_value(reply: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(reply)
        .map_err(|error| Failure::internal(format!("failed to write a reply: {error}")))
}
