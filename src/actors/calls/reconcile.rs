//! Reconciling the record with what is there.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use super::db_doctor::look;
use crate::actors::blocking::blocking;
use crate::actors::{Caller, Hub};
use crate::codex::alive::is_alive;
use crate::domain::{Failure, Seconds};
use crate::store::doctor::DbReport;
use crate::store::drift::{
    DanglingBinding, PutRecordsRight, PutRight, ReadRecords, SessionProcess, StuckTask,
};

/// Report sessions, bindings and tasks whose record no longer fits what is there
///
/// With --apply sessions whose process has ended are marked gone, and their bindings invalid. Tasks
/// stay as they are.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct ReconcileArgs {
    /// Put the record right
    #[arg(long)]
    #[serde(default)]
    pub apply: bool,
    /// A bound task is stuck after so long without a cycle
    #[arg(long, value_name = "SECONDS", alias = "stale-cycle-seconds", default_value_t = Seconds::whole(3600))]
    #[serde(default = "hour")]
    pub stale_cycles_seconds: Seconds,
}

fn hour() -> Seconds {
    Seconds::whole(3600)
}

/// What has drifted.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReconcileReply {
    /// What was put right, with `--apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<PutRight>,
    /// Bindings that say they are active although a side is gone or the task has ended.
    pub dangling_bindings: Vec<DanglingBinding>,
    /// Sessions whose process is not there.
    pub dead_pid_sessions: Vec<SessionProcess>,
    /// The database's own health.
    pub schema_health: DbReport,
    /// Bound tasks that nobody has looked at for long.
    pub stuck_tasks: Vec<StuckTask>,
}

impl Call for ReconcileArgs {
    type Reply = ReconcileReply;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<ReconcileReply, Failure> {
        let stuck_after_seconds = self.stale_cycles_seconds.as_f64();
        let records = hub.store.read(ReadRecords { stuck_after_seconds }).await?;
        let dead = without_process(records.processes).await?;
        let schema_health = look(hub).await?;
        let applied = match self.apply {
            true => Some(hub.store.write(PutRecordsRight { dead: dead.clone() }).await?),
            false => None,
        };
        Ok(ReconcileReply {
            applied,
            dangling_bindings: records.dangling_bindings,
            dead_pid_sessions: dead,
            schema_health,
            stuck_tasks: records.stuck_tasks,
        })
    }
}

/// The sessions whose process is not there.
pub(super) async fn without_process(sessions: Vec<SessionProcess>) -> Result<Vec<SessionProcess>, Failure> {
    blocking(move || sessions.into_iter().filter(|session| !is_alive(session.pid)).collect()).await
}
