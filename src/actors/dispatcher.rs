//! Dispatch: claims facts and commands, delivers them, records how it went. It never judges the
//! work.

mod looks;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use actix::prelude::*;
use futures_util::future::{join, join_all};

use super::guardian::Obituary;
use super::hub::gone;
use super::paths::Paths;
use super::session::Deliver;
use crate::domain::Failure;
use crate::fault::Point;
use crate::store::deliveries::ClaimedDelivery;
use crate::store::dispatch::{Entry, IsAnythingDue, Pass, PassOptions, PreviewPass, RenewClaim, Step};
use crate::store::heartbeats::Beat;
use crate::store::{Store, Topic};
use looks::Looks;

/// The safety net under the wakes: nothing waits longer than this for a lost one.
const SWEEP: Duration = Duration::from_secs(2);

/// At most this many items are claimed in one pass of the supervisor; the next pass follows at once.
const PASS_LIMIT: usize = 256;

/// How long the supervisor's claims outlive it.
const LEASE_SECONDS: i64 = 60;

/// Makes one pass and waits for its pushes; gives the reports of its items.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<Entry>, Failure>")]
pub struct MakePass {
    /// How.
    pub options: PassOptions,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// The dispatcher of a runtime.
pub struct Dispatcher {
    _obituary: Obituary,
    store: Store,
    paths: Paths,
    deliver: Recipient<Deliver>,
    /// Under which id it dispatches by itself; none when it only passes on request.
    watches_as: Option<String>,
}

impl Dispatcher {
    /// A dispatcher. With an id in `watches_as` it makes a pass whenever there is something to do.
    pub fn new(
        obituary: Obituary,
        store: Store,
        paths: Paths,
        deliver: Recipient<Deliver>,
        watches_as: Option<String>,
    ) -> Self {
        Self { _obituary: obituary, store, paths, deliver, watches_as }
    }

    fn hands(&self, lease_seconds: i64) -> Hands {
        let (store, paths) = (self.store.clone(), self.paths.clone());
        Hands { store, paths, deliver: self.deliver.clone(), lease_seconds }
    }
}

impl Actor for Dispatcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(dispatcher_id) = self.watches_as.clone() {
            let hands = self.hands(LEASE_SECONDS);
            let watch = Watch { hands, dispatcher_id, looks: Looks::default() };
            ctx.spawn(watch.run().into_actor(self));
        }
    }
}

impl Handler<MakePass> for Dispatcher {
    type Result = ResponseFuture<Result<Vec<Entry>, Failure>>;

    fn handle(&mut self, pass: MakePass, _: &mut Context<Self>) -> Self::Result {
        let hands = self.hands(pass.options.lease_seconds);
        Box::pin(async move {
            if pass.dry_run {
                return Ok(hands.store.read(PreviewPass(pass.options)).await?);
            }
            let steps = hands.pass(pass.options.clone()).await?;
            let room = pass.options.limit.saturating_sub(steps.len());
            let now = join_all(steps.into_iter().map(|step| hands.finish(step)));
            let (reports, later) = join(now, hands.pass_of_seen(pass.options, room)).await;
            reports.into_iter().chain(later?).collect()
        })
    }
}

/// What it takes to make a pass and its pushes.
#[derive(Clone)]
struct Hands {
    store: Store,
    paths: Paths,
    deliver: Recipient<Deliver>,
    lease_seconds: i64,
}

impl Hands {
    async fn pass(&self, options: PassOptions) -> Result<Vec<Step>, Failure> {
        let steps = self.store.write(Pass(options)).await?;
        if !steps.is_empty() {
            Point::DispatchClaimed.reach();
        }
        Ok(steps)
    }

    async fn finish(&self, step: Step) -> Result<Entry, Failure> {
        let push = match step {
            Step::Done(report) => return Ok(report),
            Step::Push(push) => *push,
        };
        let claim = push.delivery.clone();
        tokio::select! {
            report = self.deliver.send(Deliver(push)) => report.unwrap_or_else(|_| Err(gone("session's actor"))),
            never = self.keep(&claim) => match never {},
        }
    }

    async fn finish_and_log(&self, step: Step) {
        match self.finish(step).await {
            Ok(report) => {
                tracing::info!(report = %serde_json::Value::Object(without_text(report)), "dispatched")
            }
            Err(failure) => tracing::error!(%failure, "a delivery was not recorded; its claim will run out"),
        }
    }

    /// A push may take longer than its lease, or wait that long for another to the same session.
    async fn keep(&self, claim: &ClaimedDelivery) -> Infallible {
        let pause = Duration::from_secs(self.lease_seconds.max(1).unsigned_abs()) / 3;
        loop {
            tokio::time::sleep(pause).await;
            let renew =
                RenewClaim { delivery_id: claim.id, fence: claim.fence, lease_seconds: self.lease_seconds };
            if let Err(error) = self.store.write(renew).await {
                tracing::warn!(%error, delivery = claim.id, "failed to renew a claim");
            }
        }
    }
}

/// When the dispatcher last said that it is alive. Wakes come far more often than anybody asks.
#[derive(Default)]
struct Pulse {
    looks: i64,
    last: Option<Instant>,
}

impl Pulse {
    fn is_due(&mut self) -> bool {
        self.looks += 1;
        let due = self.last.is_none_or(|last| last.elapsed() >= SWEEP);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}

/// The supervisor's own dispatching.
struct Watch {
    hands: Hands,
    dispatcher_id: String,
    looks: Looks,
}

impl Watch {
    async fn run(self) {
        let mut work = self.hands.store.watch(Topic::Work);
        let mut pulse = Pulse::default();
        loop {
            work.borrow_and_update();
            if let Err(failure) = self.drain(&mut pulse).await {
                tracing::error!(%failure, "a dispatch pass failed; it is tried again");
            }
            // Whatever ends the wait, the tables say what there is to do.
            let _ = tokio::time::timeout(SWEEP, work.changed()).await;
        }
    }

    /// Begins the looks that are due, and makes passes until one claims less than it could.
    async fn drain(&self, pulse: &mut Pulse) -> Result<(), Failure> {
        if pulse.is_due() {
            let beat = Beat { dispatcher_id: self.dispatcher_id.clone(), iteration: pulse.looks };
            self.hands.store.write(beat).await?;
        }
        // Facts do not wait until it is known what there is to look at.
        let options = self.options();
        let (begun, passed) = join(self.looks.begin(&self.hands, &options), self.pass_until_done()).await;
        begun.and(passed)
    }

    async fn pass_until_done(&self) -> Result<(), Failure> {
        while self.hands.store.read(IsAnythingDue).await? {
            let steps = self.hands.pass(self.options()).await?;
            let is_last = steps.len() < PASS_LIMIT;
            for step in steps {
                // A slow session must not hold up the others, so nobody waits for its push here.
                let hands = self.hands.clone();
                actix::spawn(async move { hands.finish_and_log(step).await });
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    fn options(&self) -> PassOptions {
        PassOptions {
            dispatcher_id: self.dispatcher_id.clone(),
            limit: PASS_LIMIT,
            filter: None,
            lease_seconds: LEASE_SECONDS,
            back_off: true,
        }
    }
}

/// Logs carry ids and states, never what sessions say to each other.
fn without_text(mut report: Entry) -> Entry {
    report.remove("send_result");
    report
}

#[cfg(test)]
mod tests;
