//! Inboxes: what was delivered to a session and nobody has taken yet.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use super::Call;
use super::summary::{SessionSummary, TaskSummary};
use crate::actors::{Caller, Hub};
use crate::domain::ack::AckStatus;
use crate::domain::{Failure, Seconds};
use crate::fault::Point;
use crate::store::Topic;
use crate::store::bindings::GetBoundTask;
use crate::store::mailbox::{Acknowledge, Acknowledged, Lease, LeaseNext};
use crate::store::notifications::{ConsumeNext, Inbox, Notification, ReadInbox};
use crate::store::sessions::{GetSession, Session};
use crate::store::tasks::Task;

/// How to read an inbox.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InboxOptions {
    /// Take the oldest item: nobody else gets it
    #[arg(long)]
    pub consume_next: bool,
    /// With --consume-next: only hand the item out; it comes back unless inbox-ack settles it in time
    #[arg(long, value_name = "SECONDS", requires = "consume_next", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub lease_seconds: Option<u32>,
    /// Wait until there is an item, or the timeout is over
    #[arg(long)]
    pub wait: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS", default_value_t = Self::TIMEOUT)]
    pub timeout: Seconds,
    /// Seconds between two looks where nothing tells of a new item
    #[arg(long, value_name = "SECONDS", default_value_t = Self::INTERVAL)]
    pub interval: Seconds,
    /// Items to show at most
    #[arg(long, value_name = "N", default_value_t = Self::LIMIT, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

impl InboxOptions {
    const TIMEOUT: Seconds = Seconds::whole(30);
    const INTERVAL: Seconds = Seconds::whole(2);
    const LIMIT: u32 = 10;

    /// Whether there is something to show, so that nobody needs to wait.
    fn is_answered_by(&self, inbox: &Inbox) -> bool {
        if self.consume_next {
            inbox.consumed.is_some() || inbox.leased.is_some()
        } else {
            !inbox.items.is_empty()
        }
    }
}

impl Default for InboxOptions {
    fn default() -> Self {
        Self {
            consume_next: false,
            lease_seconds: None,
            wait: false,
            timeout: Self::TIMEOUT,
            interval: Self::INTERVAL,
            limit: Self::LIMIT,
        }
    }
}

/// Read a session's inbox
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct SessionInboxArgs {
    /// The session, by name or id
    pub session: String,
    /// How to read it
    #[command(flatten)]
    #[serde(flatten)]
    pub options: InboxOptions,
}

/// Read the inbox of the task's manager
///
/// For a manager without a terminal of its own: with --consume-next --wait it gets each worker's
/// completion and message as soon as there is one.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct ManagerInboxArgs {
    /// The task, by name or id
    pub task: String,
    /// How to read it
    #[command(flatten)]
    #[serde(flatten)]
    pub options: InboxOptions,
}

/// Read the inbox of the task's worker
///
/// For a worker without a terminal of its own: with --consume-next --wait it gets each of the
/// manager's messages as soon as there is one.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct WorkerInboxArgs {
    /// The task, by name or id
    pub task: String,
    /// How to read it
    #[command(flatten)]
    #[serde(flatten)]
    pub options: InboxOptions,
}

/// What an inbox holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct InboxReply {
    /// The item that was taken.
    pub consumed: Option<Notification>,
    /// The item that was handed out, with `--lease-seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased: Option<Notification>,
    /// The lease on that item: its token is what `inbox-ack` takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// The oldest of what is left.
    pub items: Vec<Notification>,
    /// How many are left in all.
    pub pending: i64,
    /// Whose inbox it is.
    pub session: SessionSummary,
    /// The task it was asked for by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskSummary>,
    /// How it was waited for.
    pub wait: WaitSummary,
}

/// How an answer was waited for.
#[derive(Debug, Serialize, Deserialize)]
pub struct WaitSummary {
    /// Whether it was.
    pub enabled: bool,
    /// Looks into the inbox.
    pub poll_count: u32,
    /// How long it took.
    pub elapsed_seconds: f64,
    /// The longest pause between two looks.
    pub interval_seconds: Seconds,
    /// How long it might have taken.
    pub timeout_seconds: Seconds,
    /// The time was over and nothing had come.
    pub timed_out: bool,
}

impl Call for SessionInboxArgs {
    type Reply = InboxReply;
    const WAITS: bool = true;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<InboxReply, Failure> {
        let session = hub.store.read(GetSession(self.session)).await?;
        read(hub, session, None, self.options).await
    }
}

impl Call for ManagerInboxArgs {
    type Reply = InboxReply;
    const WAITS: bool = true;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<InboxReply, Failure> {
        let bound = hub.store.read(GetBoundTask(self.task)).await?;
        read(hub, bound.manager, Some(bound.task), self.options).await
    }
}

impl Call for WorkerInboxArgs {
    type Reply = InboxReply;
    const WAITS: bool = true;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<InboxReply, Failure> {
        let bound = hub.store.read(GetBoundTask(self.task)).await?;
        read(hub, bound.worker, Some(bound.task), self.options).await
    }
}

/// Settle an item that was handed out with --lease-seconds
///
/// An item that is not settled in time comes back, and after five times is a dead letter.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct InboxAckArgs {
    /// The item's id
    pub id: i64,
    /// What you say about it
    #[arg(long)]
    pub status: AckStatus,
    /// The token of the lease, so that a late answer cannot settle somebody else's turn
    #[arg(long, value_name = "TOKEN")]
    #[serde(default)]
    pub lease: Option<String>,
}

impl Call for InboxAckArgs {
    type Reply = Acknowledged;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Acknowledged, Failure> {
        let acknowledge = Acknowledge { notification_id: self.id, token: self.lease, status: self.status };
        let acknowledged = hub.store.write(acknowledge).await?;
        Point::InboxAcknowledged.reach();
        Ok(acknowledged)
    }
}

async fn read(
    hub: &Hub,
    session: Session,
    task: Option<Task>,
    options: InboxOptions,
) -> Result<InboxReply, Failure> {
    if options.interval.duration().is_zero() {
        return Err(Failure::usage("the interval must be more than 0 seconds").hint("leave it out for 2 s"));
    }
    let started = Instant::now();
    let (inbox, poll_count) = wait_for_item(hub, &session.id, &options, started).await?;
    let timed_out = options.wait && !options.is_answered_by(&inbox);
    let (leased, lease) = inbox.leased.unzip();
    Ok(InboxReply {
        consumed: inbox.consumed,
        leased,
        lease,
        items: inbox.items,
        pending: inbox.pending,
        session: session.into(),
        task: task.map(TaskSummary::from),
        wait: WaitSummary {
            enabled: options.wait,
            poll_count,
            elapsed_seconds: started.elapsed().as_secs_f64(),
            interval_seconds: options.interval,
            timeout_seconds: options.timeout,
            timed_out,
        },
    })
}

/// Looks until there is something to show, at each signal of the store and at least at every interval.
async fn wait_for_item(
    hub: &Hub,
    session_id: &str,
    options: &InboxOptions,
    started: Instant,
) -> Result<(Inbox, u32), Failure> {
    let deadline = started + options.timeout.duration();
    let mut arrivals = hub.store.watch(Topic::Inbox);
    let mut poll_count = 0;
    loop {
        poll_count += 1;
        arrivals.mark_unchanged();
        let inbox = look(hub, session_id, options, poll_count).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if inbox.consumed.is_some() || inbox.leased.is_some() {
            Point::InboxTaken.reach();
        }
        if options.is_answered_by(&inbox) || !options.wait || left.is_zero() {
            return Ok((inbox, poll_count));
        }
        // Whether it was a signal or the interval makes no difference: the next look tells.
        let _ = timeout(left.min(options.interval.duration()), arrivals.changed()).await;
    }
}

async fn look(
    hub: &Hub,
    session_id: &str,
    options: &InboxOptions,
    poll_count: u32,
) -> Result<Inbox, Failure> {
    let (session_id, limit) = (session_id.to_owned(), options.limit);
    let inbox = hub.store.read(ReadInbox { session_id: session_id.clone(), limit }).await?;
    if !options.consume_next || inbox.items.is_empty() {
        return Ok(inbox);
    }
    if let Some(lease_seconds) = options.lease_seconds {
        let (leased, left) = hub.store.write(LeaseNext { session_id, lease_seconds, limit }).await?;
        return Ok(Inbox { leased, ..left });
    }
    let consume = ConsumeNext { session_id, limit, poll_count, waiting: options.wait };
    Ok(hub.store.write(consume).await?)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::actors::paths::Paths;
    use crate::actors::runtime::{Mode, Runtime};
    use crate::actors::testing::still_waits;
    use crate::domain::FailureKind;
    use crate::store::bindings::BoundTask;
    use crate::store::testing::TestDb;

    /// Long enough that a test which needs it to end has failed.
    const FOREVER: Seconds = Seconds::whole(3600);

    fn start(mode: Mode) -> (TestDb, BoundTask, Runtime) {
        let mut db = TestDb::new();
        let pair = db.pair("t1");
        let paths = Paths::of(db.path().parent().unwrap(), Some(db.path().to_owned()));
        let runtime = Runtime::start(paths, mode).unwrap();
        (db, pair, runtime)
    }

    fn supervisor() -> Mode {
        Mode::Supervisor { dispatcher_id: "test".to_owned() }
    }

    fn waiting() -> InboxOptions {
        InboxOptions { consume_next: true, wait: true, timeout: FOREVER, ..InboxOptions::default() }
    }

    async fn worker_inbox(runtime: &Runtime, options: InboxOptions) -> Result<InboxReply, Failure> {
        let args = WorkerInboxArgs { task: "t1".into(), options };
        args.serve(runtime.hub(), &Caller::default()).await
    }

    #[actix::test]
    async fn an_arrival_wakes_the_waiter_with_a_supervisor_and_without() {
        for mode in [supervisor(), Mode::Embedded] {
            let (db, pair, runtime) = start(mode);
            let options = InboxOptions { interval: FOREVER, ..waiting() };
            let mut waiter = pin!(worker_inbox(&runtime, options));
            still_waits(&runtime.hub().store, &mut waiter).await;
            db.deliver(&pair, "from another process");
            let reply = waiter.await.unwrap();
            assert_eq!(reply.consumed.unwrap().payload["message"], "from another process");
            assert!(!reply.wait.timed_out);
            assert_eq!((reply.pending, reply.task.unwrap().name), (0, "t1".to_owned()));
        }
    }

    #[actix::test]
    async fn the_waiter_looks_at_every_interval() {
        let (_db, _, runtime) = start(Mode::Embedded);
        let interval = "0.005".parse().unwrap();
        let options = InboxOptions { interval, timeout: Seconds::whole(1), ..waiting() };
        assert!(worker_inbox(&runtime, options).await.unwrap().wait.poll_count > 2);
    }

    #[actix::test]
    async fn of_many_waiters_exactly_one_gets_each_item() {
        let (db, pair, runtime) = start(supervisor());
        let waiters = futures_util::future::join_all((0..8).map(|_| worker_inbox(&runtime, waiting())));
        let (replies, delivered) = tokio::join!(waiters, async {
            let mut delivered = Vec::new();
            for message in 0..8 {
                delivered.push(db.deliver(&pair, &message.to_string()));
                tokio::task::yield_now().await;
            }
            delivered
        });
        let mut taken: Vec<i64> =
            replies.into_iter().map(|reply| reply.unwrap().consumed.unwrap().id).collect();
        taken.sort_unstable();
        assert_eq!(taken, delivered);
    }

    #[actix::test]
    async fn a_wait_ends_when_its_time_is_over_or_there_is_something_to_show() {
        let (db, pair, runtime) = start(Mode::Embedded);
        let short =
            InboxOptions { timeout: "0.02".parse().unwrap(), interval: "0.01".parse().unwrap(), ..waiting() };
        let reply = worker_inbox(&runtime, short.clone()).await.unwrap();
        assert!(reply.wait.timed_out && reply.consumed.is_none());
        // How often it looked depends on how long a look takes.
        assert!(reply.wait.poll_count >= 1 && reply.wait.elapsed_seconds >= 0.02, "{:?}", reply.wait);
        let at_once = InboxOptions { timeout: Seconds::whole(0), ..waiting() };
        assert_eq!(worker_inbox(&runtime, at_once).await.unwrap().wait.poll_count, 1);

        db.deliver(&pair, "seen, not taken");
        let look = InboxOptions { consume_next: false, ..waiting() };
        let reply = worker_inbox(&runtime, look.clone()).await.unwrap();
        assert_eq!((reply.items.len(), reply.pending, reply.wait.timed_out), (1, 1, false));
        assert_eq!(worker_inbox(&runtime, look).await.unwrap().pending, 1);
    }

    #[actix::test]
    async fn an_interval_of_nothing_and_a_task_without_a_pair_are_refused() {
        let (mut db, _, runtime) = start(Mode::Embedded);
        let never_pausing = InboxOptions { interval: Seconds::whole(0), ..waiting() };
        assert_eq!(worker_inbox(&runtime, never_pausing).await.unwrap_err().kind, FailureKind::Usage);
        db.task("alone");
        let alone = ManagerInboxArgs { task: "alone".into(), options: InboxOptions::default() };
        let refused = alone.serve(runtime.hub(), &Caller::default()).await.unwrap_err();
        assert!(refused.hints[0].contains("conveyor bind"), "{refused:?}");
    }
}
