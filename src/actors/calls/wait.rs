//! Waiting for what sessions do.

use std::collections::HashSet;
use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Call, ToolKind};
use crate::actors::ingest;
use crate::actors::session::Attend;
use crate::actors::{Caller, Hub};
use crate::domain::{Condition, Failure, Seconds};
use crate::store::conditions::{CheckConditions, Met, PlanWait, Since, WaitPlan};
use crate::store::rollout::GetCursor;
use crate::store::sessions::LinkedSession;
use crate::store::{Store, Topic};

/// Between two looks at sessions that no supervisor attends to.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// The safety net under the signals where a supervisor does.
const SWEEP: Duration = Duration::from_secs(2);

/// What is beside the arguments to know for a script.
const FOR_SCRIPTS: &str = "\
Exit codes: 0 it happened; 3 the time was over first; 1 it cannot be waited for; 2 bad usage.

So that no turn ends between your message and the wait, take a cursor first:
  cursor=$(conveyor wait --for turn-end --timeout 0 --json | jq .cursor)
  conveyor session-nudge worker 'do it'
  conveyor wait --for turn-end --session worker --since $cursor --json";

/// Wait until a turn ends, an item arrives, a delivery is decided, a session exits or waits
///
/// The answer names what happened, and to whom. What is so already counts, except for turns: they
/// count when they end after the wait began, or after the event that --since names. Each answer has
/// a `cursor` for the next --since.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[command(after_help = FOR_SCRIPTS)]
pub struct WaitArgs {
    /// What to wait for; several, with commas or repeated: any of them
    #[arg(long = "for", value_name = "CONDITION", required = true, value_delimiter = ',')]
    #[serde(rename = "for")]
    pub conditions: Vec<Condition>,
    /// A task: its worker's turns, its manager's inbox, and both otherwise; may be repeated
    #[arg(long, value_name = "TASK")]
    #[serde(default)]
    pub task: Vec<String>,
    /// A session; may be repeated [default, without --task: every bound task]
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    pub session: Vec<String>,
    /// End with the first task or session; the default
    #[arg(long, conflicts_with = "all")]
    #[serde(default)]
    pub any: bool,
    /// End when it has happened to each task and session
    #[arg(long)]
    #[serde(default)]
    pub all: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS", default_value_t = Self::TIMEOUT)]
    #[serde(default = "WaitArgs::default_timeout")]
    pub timeout: Seconds,
    /// Count only what happened after the rollout event with this id was read, or from `now` on
    #[arg(long, value_name = "EVENT_ID|now", value_parser = checked_since)]
    pub since: Option<String>,
}

impl WaitArgs {
    const TIMEOUT: Seconds = Seconds::whole(300);

    fn default_timeout() -> Seconds {
        Self::TIMEOUT
    }

    fn plan(&self) -> Result<PlanWait, Failure> {
        Ok(PlanWait {
            tasks: self.task.clone(),
            sessions: self.session.clone(),
            conditions: self.conditions.clone(),
            since: match self.since.as_deref() {
                None => Since::Usual,
                Some(since) => parse_since(since).map_err(Failure::usage)?,
            },
        })
    }
}

fn checked_since(text: &str) -> Result<String, String> {
    parse_since(text).map(|_| text.to_owned())
}

fn parse_since(text: &str) -> Result<Since, String> {
    match (text, text.parse()) {
        ("now", _) => Ok(Since::Now),
        (_, Ok(id)) if id >= 0 => Ok(Since::Event(id)),
        _ => Err("this is neither `now` nor the id of a rollout event".to_owned()),
    }
}

/// How a wait ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct WaitReply {
    /// The condition that ended it, or `timeout`.
    pub reason: String,
    /// The time was over first.
    pub timed_out: bool,
    /// What happened, in the order of the tasks and sessions.
    pub conditions: Vec<Met>,
    /// The tasks and sessions to which nothing has happened.
    pub waiting_for: Vec<String>,
    /// The newest rollout event that was read: for the next wait's --since.
    pub cursor: i64,
    /// How long it took.
    pub elapsed_seconds: f64,
    /// How long it might have taken.
    pub timeout_seconds: Seconds,
}

impl Call for WaitArgs {
    type Reply = WaitReply;
    const TOOL: ToolKind = ToolKind::Reads;
    const WAITS: bool = true;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<WaitReply, Failure> {
        let started = Instant::now();
        let plan = self.plan()?;
        // What was written before the wait began must not count as if it came after.
        let known = hub.store.read(plan.clone()).await?;
        for linked in &known.sessions {
            hub.locate(&linked.session.id).await?;
        }
        catch_up(&hub.store, &known.sessions).await;
        let mut wait = Waiting::begin(hub, hub.store.read(plan).await?);
        loop {
            let cursor = wait.look().await?;
            let left = (started + self.timeout.duration()).saturating_duration_since(Instant::now());
            if wait.is_over(self.all) || left.is_zero() {
                return Ok(self.reply(wait, cursor, started));
            }
            wait.pause(left).await;
        }
    }
}

impl WaitArgs {
    fn reply(self, wait: Waiting, cursor: i64, started: Instant) -> WaitReply {
        let timed_out = !wait.is_over(self.all);
        let targets = wait.plan.targets.iter().zip(&wait.met);
        let waiting_for = targets.filter(|(_, met)| met.is_none()).map(|(target, _)| target.name.clone());
        let waiting_for = waiting_for.collect();
        let conditions: Vec<Met> = wait.met.into_iter().flatten().collect();
        let reason = match conditions.first() {
            Some(met) if !timed_out => met.condition.to_string(),
            _ => "timeout".to_owned(),
        };
        WaitReply {
            reason,
            timed_out,
            conditions,
            waiting_for,
            cursor,
            elapsed_seconds: started.elapsed().as_secs_f64(),
            timeout_seconds: self.timeout,
        }
    }
}

/// A wait that has begun.
struct Waiting {
    store: Store,
    plan: WaitPlan,
    /// What happened to each target, once it has.
    met: Vec<Option<Met>>,
    /// The sessions that nobody else reads.
    unattended: Vec<LinkedSession>,
    news: Vec<watch::Receiver<u64>>,
}

impl Waiting {
    fn begin(hub: &Hub, plan: WaitPlan) -> Self {
        let bound: HashSet<&String> = plan.bound.iter().filter(|_| hub.supervises).collect();
        let is_unattended = |linked: &&LinkedSession| !bound.contains(&linked.session.id);
        let unattended: Vec<LinkedSession> = plan.sessions.iter().filter(is_unattended).cloned().collect();
        for linked in &unattended {
            // An actor that is gone leaves its session unattended, which the looks make up for.
            hub.attend.do_send(Attend(linked.clone()));
        }
        let news = Topic::ALL.map(|topic| hub.store.watch(topic)).into();
        Self { store: hub.store.clone(), met: vec![None; plan.targets.len()], plan, unattended, news }
    }

    /// Looks at everything; gives the newest event that was read by then.
    async fn look(&mut self) -> Result<i64, Failure> {
        self.news.iter_mut().for_each(watch::Receiver::mark_unchanged);
        catch_up(&self.store, &self.unattended).await;
        let (found, cursor) = self.store.read(CheckConditions(self.plan.clone())).await?;
        for (met, found) in self.met.iter_mut().zip(found) {
            // What has happened has happened, also when it is not so any more.
            *met = met.take().or(found);
        }
        Ok(cursor)
    }

    fn is_over(&self, all: bool) -> bool {
        let mut met = self.met.iter().map(Option::is_some);
        if all { met.all(|met| met) } else { met.any(|met| met) }
    }

    /// Until something has changed, or it is time to look again.
    async fn pause(&mut self, left: Duration) {
        let interval = if self.unattended.is_empty() { SWEEP } else { LOOK_INTERVAL };
        let changes = self.news.iter_mut().map(|news| Box::pin(news.changed()));
        tokio::select! {
            _ = futures_util::future::select_all(changes) => {}
            () = sleep(left.min(interval)) => {}
        }
    }
}

/// Reads what is new in the rollouts of sessions, as a supervisor does.
async fn catch_up(store: &Store, sessions: &[LinkedSession]) {
    for linked in sessions {
        let Ok(cursor) = store.read(GetCursor(linked.session.id.clone())).await else { continue };
        if let Err(failure) = ingest::catch_up(store, cursor).await {
            tracing::debug!(%failure, session = linked.session.name, "failed to read a rollout");
        }
    }
}

#[cfg(test)]
mod tests;
