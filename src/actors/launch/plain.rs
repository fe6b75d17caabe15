//! A session that is only started: nobody registers it.

use std::path::PathBuf;

use super::plan::Plan;
use super::terminal::Awaited;
use super::undo::Begun;
use super::{embedded, not_started, progress, terminal, unless_interrupted};
use crate::domain::Failure;

/// A session that runs in a terminal, and what is known of it.
#[derive(Debug, Default)]
pub struct PlainSession {
    /// Its process.
    pub pid: Option<u32>,
    /// Its thread.
    pub thread_id: Option<String>,
    /// Its rollout, once there is one.
    pub rollout: Option<PathBuf>,
}

/// Opens a terminal with Codex in it. A Codex whose session does not show in time runs all the same.
///
/// # Errors
/// Why it does not run; then nothing of it is left.
pub async fn open(plan: &Plan) -> Result<PlainSession, Failure> {
    progress(format_args!("starting {} in {}", plan.name, plan.cwd.display()));
    let mut begun = Begun::default();
    match unless_interrupted(plan, start(plan, &mut begun)).await {
        Ok(session) => Ok(session),
        Err(failure) => {
            begun.undo().await;
            Err(not_started(&plan.name, failure))
        }
    }
}

async fn start(plan: &Plan, begun: &mut Begun) -> Result<PlainSession, Failure> {
    if let Some((tmux, session)) = &plan.tmux {
        terminal::refuse_taken(tmux, session).await?;
    }
    let Awaited::Up(started) = embedded::start(plan, begun).await? else {
        progress("it runs, but has opened no session yet");
        return Ok(PlainSession::default());
    };
    if let Some(terminal) = &started.terminal {
        terminal.settle().await;
    }
    Ok(PlainSession { pid: Some(started.pid), thread_id: Some(started.thread_id), rollout: started.rollout })
}
