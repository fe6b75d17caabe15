//! Starting a Codex session: the server, the thread, the terminal, and its registration.
//!
//! There are three ways, by what the installed Codex can do: on an app-server of its own, where the
//! thread is known before the terminal opens; embedded, where the process holds its thread's lock;
//! and by the rollout that the process has open. Two sessions that start at the same moment in the
//! same directory are told apart in each of them.
//!
//! A start succeeds as a whole or leaves nothing behind, with one exception: a terminal in which a
//! program still runs, but no session was found in time, stays for a person to look at.

mod args;
mod attached;
mod embedded;
mod environment;
mod leftovers;
mod mcp;
mod plain;
mod plan;
mod register;
mod sides;
mod terminal;
mod undo;

use std::fmt::Display;
use std::path::PathBuf;

use crate::actors::Hub;
use crate::actors::told_to_end::told_to_end;
use crate::codex::app_server::AppServer;
use crate::codex::version;
use crate::domain::{Failure, Recipe};
use crate::fault::Point;
use crate::store::leftovers::{BeginLaunch, EndLaunch};

pub use args::CodexArgs;
pub use leftovers::{sweep, sweep_once};
pub use plain::{PlainSession, open};
pub use plan::{Plan, Wish};
pub use register::Launched;
pub use sides::{Manager, Worker, hands, program_for_session, program_line, tmux_session};

use terminal::{Awaited, Terminal};
use undo::Begun;

/// The target of the events that tell a person what is being waited for.
pub const PROGRESS: &str = "conveyor::progress";

/// Tells a person what is being waited for.
pub(super) fn progress(text: impl Display) {
    tracing::info!(target: PROGRESS, "{text}");
}

/// A session that runs.
#[derive(Debug)]
struct Started {
    recipe: Recipe,
    thread_id: String,
    /// None until the first prompt, where the terminal owns the thread.
    rollout: Option<PathBuf>,
    /// The process whose life is the session's.
    pid: u32,
    tui_pid: Option<u32>,
    terminal: Option<Terminal>,
    server: Option<(PathBuf, AppServer)>,
}

/// A session found in the processes of a terminal.
#[derive(Debug, Clone)]
struct Found {
    recipe: Recipe,
    thread_id: String,
    rollout: Option<PathBuf>,
    pid: u32,
}

/// Starts what is planned. What has begun when it fails is in `begun`.
async fn start(plan: &Plan, begun: &mut Begun) -> Result<Started, Failure> {
    if let Some((tmux, session)) = &plan.tmux {
        terminal::refuse_taken(tmux, session).await?;
    }
    match plan.recipe {
        version::Recipe::PrivateServer => attached::start(plan, begun).await,
        version::Recipe::EmbeddedLock | version::Recipe::OpenFiles => {
            match embedded::start(plan, begun).await? {
                Awaited::Up(started) => Ok(started),
                Awaited::Late(failure) => Err(failure),
            }
        }
    }
}

/// Makes a start that is on record from before it begins, so that what a killed one leaves behind is
/// known. It stays on record until somebody knows the session, or [`give_up`] took it back.
async fn on_record<T>(
    hub: &Hub,
    plan: &Plan,
    start: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    leftovers::sweep_once(&hub.store).await;
    hub.store.write(BeginLaunch(leftovers::record(plan))).await?;
    Point::LaunchPlanned.reach();
    let started = unless_interrupted(plan, start).await?;
    Point::LaunchStarted.reach();
    Ok(started)
}

/// Takes back what a start that failed has begun. What stays over all the same goes when this process
/// does.
async fn give_up(hub: &Hub, plan: &Plan, begun: Begun) {
    if begun.undo().await
        && let Err(error) = hub.store.write(EndLaunch(plan.id.clone())).await
    {
        tracing::warn!(%error, "the record of a start that failed is left over");
    }
}

/// Sees a start to its end. When the person who waits presses Ctrl-C, closes the terminal or ends the
/// command it is not cut off, but told to end at its next step: only so is it known what there is to
/// take back.
async fn unless_interrupted<T>(plan: &Plan, start: impl Future<Output = T>) -> T {
    let mut start = std::pin::pin!(start);
    let mut told_to_end = std::pin::pin!(told_to_end());
    loop {
        tokio::select! {
            started = &mut start => return started,
            () = &mut told_to_end, if !plan.is_interrupted() => plan.interrupt(),
        }
    }
}

/// A failure to start, with the session's name in front.
fn not_started(name: &str, failure: Failure) -> Failure {
    Failure { message: format!("session {name} was not started: {}", failure.message), ..failure }
}
