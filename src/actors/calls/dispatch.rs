//! One pass of Dispatch, on request.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::actors::dispatcher::MakePass;
use crate::actors::hub::ask;
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::domain::signal::SignalFilter;
use crate::store::dispatch::{Entry, PassOptions};
use crate::store::heartbeats::WatchBeat;

/// Route finished turns to managers and carry out queued commands
///
/// A supervisor (`conveyor run`) dispatches by itself; this makes passes beside it or without it.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct DispatchArgs {
    /// Make one pass; the default
    #[arg(long, conflicts_with = "watch")]
    #[serde(default)]
    pub once: bool,
    /// Make passes until stopped
    #[arg(long)]
    #[serde(default)]
    pub watch: bool,
    /// Process at most this many items in a pass
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Seconds between two passes of a watch
    #[arg(long, default_value_t = 2.0, value_parser = super::values::seconds)]
    pub interval: f64,
    /// End a watch after this many passes
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub watch_iterations: Option<u64>,
    /// Seconds after which a claim that was not finished counts as abandoned
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(i64).range(1..=86_400))]
    pub lease_seconds: i64,
    /// The identity recorded on claims and attempts
    #[arg(long, default_value = "dispatch-local")]
    pub dispatcher_id: String,
    /// Process only this kind of item
    #[arg(long = "type")]
    pub r#type: Option<SignalFilter>,
    /// Only say what would be done
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
    /// Which pass of a watch this is; set by the program itself
    #[arg(skip)]
    #[serde(default)]
    pub iteration: u64,
}

/// What a dispatch did.
#[derive(Debug, Serialize, Deserialize)]
pub struct DispatchReply {
    /// Who dispatched.
    pub dispatcher_id: String,
    /// Whether nothing was done in earnest.
    pub dry_run: bool,
    /// How many passes were made.
    pub iterations: u64,
    /// A report for each item.
    pub processed: Vec<Entry>,
    /// How many items there were.
    pub processed_count: usize,
    /// Whether it was a watch.
    pub watch: bool,
}

impl Call for DispatchArgs {
    type Reply = DispatchReply;
    const NOT_FOR_TOOLS: &'static [&'static str] = &["once", "watch", "interval", "watch_iterations"];

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<DispatchReply, Failure> {
        let options = PassOptions {
            dispatcher_id: self.dispatcher_id.clone(),
            limit: self.limit as usize,
            filter: self.r#type,
            lease_seconds: self.lease_seconds,
            back_off: false,
        };
        let processed = ask(&hub.dispatch, MakePass { options, dry_run: self.dry_run }, "dispatcher").await?;
        if self.watch {
            let beat = WatchBeat {
                dispatcher_id: self.dispatcher_id.clone(),
                iteration: self.iteration,
                processed: processed.len(),
                dry_run: self.dry_run,
            };
            hub.store.write(beat).await?;
        }
        Ok(DispatchReply {
            dispatcher_id: self.dispatcher_id,
            dry_run: self.dry_run,
            iterations: 1,
            processed_count: processed.len(),
            processed,
            watch: self.watch,
        })
    }
}
