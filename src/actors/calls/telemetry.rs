//! Telemetry: what the runtime did, and the views of what it knows.

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reconcile::without_process;
use super::{Call, ToolKind};
use crate::actors::{Caller, Hub};
use crate::domain::telemetry::{Actor, Severity, TelemetryView};
use crate::domain::window::Window;
use crate::domain::{Failure, Seconds};
use crate::reports::telemetry::{
    Asked, CheckView, FailuresView, MetricsView, ReadCheck, ReadFailures, ReadMetrics, ReadSnapshot,
    ReadTask, SnapshotView, TaskView, Thresholds,
};
use crate::store::drift::SessionProcesses;
use crate::store::telemetry::{Counts, Find, ReadCounts, TelemetryRow};

/// Show what the runtime did, or a view of what it knows
///
/// Without a view the newest telemetry events, oldest first. `metrics` counts a stretch of time,
/// `task` and `failures` are for looking into what went wrong, `snapshot` is a task as a dashboard
/// shows it, `check` holds limits and exits with 1 when one is not kept. Views show no prompts,
/// messages or terminal text.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TelemetryArgs {
    /// A view of more than single events
    pub view: Option<TelemetryView>,
    /// The task of the view, by name or id
    #[arg(value_name = "TASK", conflicts_with = "task")]
    pub view_task: Option<String>,
    /// Only what belongs to this run, by id or name
    #[arg(long)]
    pub run: Option<String>,
    /// Only what belongs to this task, by name or id
    #[arg(long)]
    pub task: Option<String>,
    /// Only what this one did
    #[arg(long)]
    pub actor: Option<Actor>,
    /// Only events of this type
    #[arg(long, value_name = "TYPE")]
    pub event_type: Option<String>,
    /// Only events that matter so much
    #[arg(long)]
    pub severity: Option<Severity>,
    /// Only events that tell of every one of these words, or whose type this is
    #[arg(long, value_name = "WORDS")]
    pub search: Option<String>,
    /// Count the events instead of listing them
    #[arg(long)]
    pub summary: bool,
    /// Only this stretch of time up to now: `90s`, `30m`, `24h`, `7d` [default for metrics: 24h]
    #[arg(long)]
    pub window: Option<Window>,
    /// In views across tasks: only tasks that have not ended
    #[arg(long)]
    pub active_only: bool,
    /// Show at most this many of the newest, in each list
    #[arg(long, value_name = "N", default_value_t = Self::LIMIT, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// List the newest event first
    #[arg(long)]
    pub newest: bool,
    /// A bound task is stale after so long without a cycle
    #[arg(long, value_name = "SECONDS", alias = "stale-cycles-seconds", default_value_t = HOUR)]
    pub stale_cycle_seconds: Seconds,
    /// A session is stale when it was last heard of so long ago
    #[arg(long, value_name = "SECONDS", default_value_t = HOUR)]
    pub worker_staleness_seconds: Seconds,
    /// So many commands may be neither done nor failed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_unfinished_commands: u32,
    /// So many accepted criteria may not be shown yet
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_open_criteria: u32,
    /// The database may have so many bytes
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i64).range(0..))]
    pub max_storage_bytes: Option<i64>,
}

const HOUR: Seconds = Seconds::whole(3600);

impl TelemetryArgs {
    const LIMIT: u32 = 100;
}

impl Default for TelemetryArgs {
    fn default() -> Self {
        Self {
            view: None,
            view_task: None,
            run: None,
            task: None,
            actor: None,
            event_type: None,
            severity: None,
            search: None,
            summary: false,
            window: None,
            active_only: false,
            limit: Self::LIMIT,
            newest: false,
            stale_cycle_seconds: HOUR,
            worker_staleness_seconds: HOUR,
            max_unfinished_commands: 0,
            max_open_criteria: 0,
            max_storage_bytes: None,
        }
    }
}

/// Events, their counts, or a view. Each is told from the others by a member that only it has.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "each is documented at its type")]
pub enum TelemetryReply {
    Events(Vec<TelemetryRow>),
    Metrics(Box<MetricsView>),
    Snapshot(Box<SnapshotView>),
    Task(Box<TaskView>),
    Failures(Box<FailuresView>),
    Check(Box<CheckView>),
    Summary(Counts),
}

impl Call for TelemetryArgs {
    type Reply = TelemetryReply;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<TelemetryReply, Failure> {
        let now = Timestamp::now();
        let Some(view) = self.view else { return self.events(hub, now).await };
        let asked = self.asked(hub, view, now).await?;
        Ok(match view {
            TelemetryView::Metrics => {
                TelemetryReply::Metrics(Box::new(hub.store.read(ReadMetrics(asked)).await?))
            }
            TelemetryView::Snapshot => {
                TelemetryReply::Snapshot(Box::new(hub.store.read(ReadSnapshot(asked)).await?))
            }
            TelemetryView::Check => TelemetryReply::Check(Box::new(hub.store.read(ReadCheck(asked)).await?)),
            TelemetryView::Task => TelemetryReply::Task(Box::new(hub.store.read(ReadTask(asked)).await?)),
            TelemetryView::Failures => {
                TelemetryReply::Failures(Box::new(hub.store.read(ReadFailures(asked)).await?))
            }
        })
    }
}

impl TelemetryArgs {
    async fn events(self, hub: &Hub, now: Timestamp) -> Result<TelemetryReply, Failure> {
        let since = self.window.as_ref().map(|window| window.start(now));
        if self.summary {
            let counts = ReadCounts { task: self.task, run: self.run, since };
            return Ok(TelemetryReply::Summary(hub.store.read(counts).await?));
        }
        let find = Find {
            task: self.task,
            run: self.run,
            actor: self.actor,
            event_type: self.event_type,
            severity: self.severity,
            since,
            words: self.search,
            limit: self.limit,
        };
        let mut events = hub.store.read(find).await?;
        if !self.newest {
            events.reverse();
        }
        Ok(TelemetryReply::Events(events))
    }

    async fn asked(self, hub: &Hub, view: TelemetryView, now: Timestamp) -> Result<Asked, Failure> {
        let task = self.view_task.or(self.task);
        if task.is_none() && matches!(view, TelemetryView::Task | TelemetryView::Snapshot) {
            return Err(Failure::usage(format!("the view {view} is of one task, and none is named"))
                .hint(format!("name it: `conveyor telemetry {view} TASK`"))
                .hint("see what exists: `conveyor tasks`"));
        }
        Ok(Asked {
            task,
            run: self.run,
            window: self.window,
            active_only: self.active_only,
            limit: self.limit,
            thresholds: Thresholds {
                max_open_criteria: self.max_open_criteria.into(),
                max_storage_bytes: self.max_storage_bytes,
                max_unfinished_commands: self.max_unfinished_commands.into(),
                stale_cycle_seconds: self.stale_cycle_seconds.as_f64(),
                worker_staleness_seconds: self.worker_staleness_seconds.as_f64(),
            },
            dead: without_process(hub.store.read(SessionProcesses).await?).await?,
            now,
        })
    }
}
