//! Reconciling the record with what is there.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use super::db_doctor::look;
use crate::actors::blocking::blocking;
use crate::actors::liveness::{main_process_of, record_death};
use crate::actors::{Caller, Hub, evidence};
use crate::domain::shell::quoted;
use crate::domain::{Failure, FailureKind, Seconds};
use crate::store::doctor::DbReport;
use crate::store::drift::{
    DanglingBinding, LeftSession, PutRecordsRight, PutRight, ReadRecords, SessionProcess, StuckTask,
};
use crate::store::following::BoundSessions;
use crate::store::sessions::LinkedSession;

/// Report sessions, bindings and tasks whose record no longer fits what is there
///
/// With --apply sessions whose process has ended are marked gone, and their bindings invalid. What a
/// bound one wrote last is read before, and its manager is told of that and of its end; where it cannot
/// be read, session and binding are left. Evidence whose runner is gone has failed. Tasks stay as they are.
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
    /// What the bound ones among the dead sessions wrote and nobody has read: `--apply` reads it first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread_rollouts: Vec<UnreadRollout>,
}

/// A rollout of a dead session that is not just as long as what was read of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct UnreadRollout {
    /// The session's name.
    pub session: String,
    /// The rollout.
    pub path: String,
    /// How much of it was read, in bytes.
    pub read_bytes: u64,
    /// How long it is; none when it cannot be seen.
    pub bytes: Option<u64>,
}

impl Call for ReconcileArgs {
    type Reply = ReconcileReply;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<ReconcileReply, Failure> {
        let stuck_after_seconds = self.stale_cycles_seconds.as_f64();
        let records = hub.store.read(ReadRecords { stuck_after_seconds }).await?;
        let dead = without_process(records.processes).await?;
        let schema_health = look(hub).await?;
        let bound = bound_among(&dead, hub).await?;
        let rollouts = bound.clone();
        let unread_rollouts = blocking(move || rollouts.iter().filter_map(unread).collect()).await?;
        let applied = match self.apply {
            true => Some(put_right(dead.clone(), &bound, hub).await?),
            false => None,
        };
        Ok(ReconcileReply {
            applied,
            dangling_bindings: records.dangling_bindings,
            dead_pid_sessions: dead,
            schema_health,
            stuck_tasks: records.stuck_tasks,
            unread_rollouts,
        })
    }
}

async fn bound_among(dead: &[SessionProcess], hub: &Hub) -> Result<Vec<LinkedSession>, Failure> {
    let mut bound = hub.store.read(BoundSessions).await?;
    bound.retain(|LinkedSession { session, .. }| {
        dead.iter().any(|dead| dead.id == session.id && Some(dead.pid) == session.pid)
    });
    Ok(bound)
}

/// Blocks for a moment.
fn unread(LinkedSession { session, .. }: &LinkedSession) -> Option<UnreadRollout> {
    let path = session.codex_session_path.clone()?;
    let read_bytes = session.last_ingest_offset.unwrap_or(0).unsigned_abs();
    let bytes = std::fs::metadata(&path).ok().map(|file| file.len());
    let unread = UnreadRollout { session: session.name.clone(), path, read_bytes, bytes };
    // One that was not made yet, and never read, has nothing to be read.
    (bytes.unwrap_or(0) != read_bytes).then_some(unread)
}

/// Whoever is marked gone is never read again, so what is still to be known of it is recorded before.
async fn put_right(
    dead: Vec<SessionProcess>,
    bound: &[LinkedSession],
    hub: &Hub,
) -> Result<PutRight, Failure> {
    let mut left = Vec::new();
    for linked in bound {
        match record_death(&hub.store, linked).await {
            Ok(()) => {}
            Err(failure) if failure.kind == FailureKind::Database => return Err(failure),
            Err(failure) => left.push(leave(linked, failure)),
        }
    }
    evidence::lost::conclude(&hub.store).await?;
    Ok(hub.store.write(PutRecordsRight { dead, left }).await?)
}

fn leave(LinkedSession { session, .. }: &LinkedSession, failure: Failure) -> LeftSession {
    let failure = failure.hint(format!(
        "to give up what it wrote last: `conveyor unbind --task TASK`, then `conveyor deregister {}`",
        quoted(&session.name)
    ));
    LeftSession {
        id: session.id.clone(),
        name: session.name.clone(),
        error: failure.message,
        hints: failure.hints,
    }
}

/// Those of the sessions whose process is not there, by the same rule as when they are watched.
pub(super) async fn without_process(sessions: Vec<LinkedSession>) -> Result<Vec<SessionProcess>, Failure> {
    let dead = |linked: LinkedSession| {
        let runs = main_process_of(&linked).is_none_or(|process| process.is_running());
        SessionProcess::of(linked.session).filter(|_| !runs)
    };
    blocking(move || sessions.into_iter().filter_map(dead).collect()).await
}
