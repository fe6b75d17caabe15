//! What one pass of Dispatch does in the database: one transaction that recovers, claims and
//! routes, and hands out the pushes to be made; and, after each push, one that says how it went.
//!
//! Everything that needs no push is finished inside the pass: a mailbox delivery is one row.

mod attempts;
mod commands;
mod facts;
mod interrupts;
mod loops;
mod nudges;
mod preview;
mod pushes;
mod stale;
#[cfg(test)]
mod tests;
mod unrouted;

use jiff::{Timestamp, ToSpan};
use rusqlite::Connection;
use serde_json::Value;

use super::deliveries::ClaimedDelivery;
use super::sessions::Session;
use super::{Change, StoreError, Topic, sessions};
use crate::domain::signal::SignalFilter;
use crate::domain::time::iso;
use crate::domain::transport::TransportKind;

pub use facts::route_before_end;
pub use interrupts::{BeginInterrupt, FinishInterrupt};
pub use loops::{LookDue, LooksDue};
pub use nudges::{ClaimNudge, RefuseNudge};
pub use preview::PreviewPass;
pub use pushes::{BeginPush, FinishPush, PushOutcome, RenewClaim};

/// How a pass is made.
#[derive(Debug, Clone)]
pub struct PassOptions {
    /// Who dispatches; recorded on every claim.
    pub dispatcher_id: String,
    /// At most this many items.
    pub limit: usize,
    /// Only this kind of item.
    pub filter: Option<SignalFilter>,
    /// How long a claim holds, in seconds.
    pub lease_seconds: i64,
    /// Wait longer and longer before a push that failed is tried again.
    pub back_off: bool,
}

/// A push that the pass claimed and somebody must now make.
#[derive(Debug, Clone)]
pub struct Push {
    /// The claim.
    pub delivery: ClaimedDelivery,
    /// What is delivered.
    pub subject: Subject,
    /// The session to reach.
    pub target_session_id: String,
    /// What is delivered, e.g. `nudge_worker`.
    pub signal: String,
    /// The name of the session it comes from.
    pub from: String,
    /// Ties it to its cause.
    pub correlation_id: String,
    /// The text to deliver.
    pub text: String,
    /// What is reported about this item, without its outcome.
    pub entry: Entry,
}

/// What a push delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A routed fact.
    Fact {
        /// Its notification.
        notification_id: i64,
    },
    /// A queued command.
    Command {
        /// Its notification.
        notification_id: i64,
        /// The command.
        command_id: String,
        /// The attempt at it.
        attempt_id: i64,
    },
    /// A direct nudge.
    Nudge,
}

/// What is reported about one item of a pass: a JSON object of the contract's keys.
pub type Entry = serde_json::Map<String, Value>;

/// What became of an item in the pass.
#[derive(Debug, Clone)]
pub enum Step {
    /// It is finished; this is its report.
    Done(Entry),
    /// It has to be pushed.
    Push(Box<Push>),
}

/// Makes the database's part of a pass over everything but what [`LooksDue`].
#[derive(Debug)]
pub struct Pass(pub PassOptions);

impl Change for Pass {
    type Out = Vec<Step>;
    const TOUCHES: &'static [Topic] = &[Topic::Inbox];

    fn run(self, tx: &Connection) -> Result<Vec<Step>, StoreError> {
        let claim = Claim::new(&self.0);
        let mut steps = stale::recover_commands(tx, &claim, self.0.limit)?;
        let kinds = SignalFilter::commands(self.0.filter);
        steps.extend(commands::execute(tx, &claim, kinds, self.0.limit - steps.len())?);
        if SignalFilter::routes_facts(self.0.filter) {
            steps.extend(stale::settle_started_facts(tx, &claim, self.0.limit - steps.len())?);
            steps.extend(facts::redeliver(tx, &claim, self.0.back_off, self.0.limit - steps.len())?);
            steps.extend(facts::route(tx, &claim, self.0.limit - steps.len())?);
        }
        Ok(steps)
    }
}

/// Makes the database's part of a pass over one request of [`LooksDue`], whose work trees were looked at.
#[derive(Debug)]
pub struct PassOfSeen {
    /// How.
    pub options: PassOptions,
    /// The request.
    pub command_id: String,
}

impl Change for PassOfSeen {
    type Out = Option<Step>;
    const TOUCHES: &'static [Topic] = &[Topic::Inbox];

    fn run(self, tx: &Connection) -> Result<Option<Step>, StoreError> {
        commands::execute_seen(tx, &Claim::new(&self.options), &self.command_id)
    }
}

/// Whether a pass would find anything to do; far cheaper than a pass.
#[derive(Debug)]
pub struct IsAnythingDue;

impl super::Query for IsAnythingDue {
    type Out = bool;

    fn run(self, conn: &Connection) -> Result<bool, StoreError> {
        let now = iso(Timestamp::now());
        Ok(commands::any_due(conn, &now)? || facts::any_due(conn, &now)?)
    }
}

/// Who claims, since when, until when.
#[derive(Debug)]
struct Claim {
    dispatcher_id: String,
    now: String,
    expires: String,
}

impl Claim {
    fn new(options: &PassOptions) -> Self {
        let now = Timestamp::now();
        let expires = expiry(now, options.lease_seconds);
        Self { dispatcher_id: options.dispatcher_id.clone(), now: iso(now), expires }
    }
}

/// When a claim made now runs out.
fn expiry(now: Timestamp, lease_seconds: i64) -> String {
    iso(now.checked_add(lease_seconds.max(1).seconds()).unwrap_or(now))
}

/// The push transports of a target, best first; empty when its mailbox has to do. Nothing is pushed to
/// who is gone, though the terminal may still be there.
fn pushes_to(conn: &Connection, target: &Session) -> Result<Vec<TransportKind>, StoreError> {
    if !target.is_active() {
        return Ok(Vec::new());
    }
    Ok(sessions::linked(conn, target.clone())?.reachable().pushes())
}

/// Builds a report entry from a JSON object literal.
fn entry(value: Value) -> Entry {
    match value {
        Value::Object(object) => object,
        other => std::iter::once(("value".to_owned(), other)).collect(),
    }
}
