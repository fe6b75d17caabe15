//! A session that is only started: no session of that name is registered.

use std::path::PathBuf;

use super::plan::Plan;
use super::terminal::Awaited;
use super::undo::Begun;
use super::{embedded, give_up, not_started, on_record, progress, terminal};
use crate::actors::Hub;
use crate::domain::Failure;
use crate::store::Change;

/// A session that runs in a terminal, and what is known of it.
#[derive(Debug, Default)]
pub struct PlainSession {
    /// Its process.
    pub pid: Option<u32>,
    /// Its thread.
    pub thread_id: Option<String>,
    /// Its rollout, once there is one.
    pub rollout: Option<PathBuf>,
    begun: Begun,
}

/// Opens a terminal with Codex in it. A Codex whose session does not show in time runs all the same.
///
/// Whoever called for it puts it on record with [`PlainSession::keep`]: until then it is ended should
/// this process be.
///
/// # Errors
/// Why it does not run; then nothing of it is left.
pub async fn open(hub: &Hub, plan: &Plan) -> Result<PlainSession, Failure> {
    progress(format_args!("starting {} in {}", plan.name, plan.cwd.display()));
    let mut begun = Begun::default();
    match on_record(hub, plan, start(plan, &mut begun)).await {
        Ok(session) => Ok(PlainSession { begun, ..session }),
        Err(failure) => {
            give_up(hub, plan, begun).await;
            Err(not_started(&plan.name, failure))
        }
    }
}

impl PlainSession {
    /// Puts on record, by a change that ends the record of its start, that somebody knows it.
    ///
    /// # Errors
    /// When that cannot be written; then the session is ended.
    pub async fn keep<C: Change>(&mut self, hub: &Hub, plan: &Plan, known: C) -> Result<C::Out, Failure> {
        match hub.store.write(known).await {
            Ok(out) => Ok(out),
            Err(error) => {
                self.end(hub, plan).await;
                Err(not_started(&plan.name, error.into()))
            }
        }
    }

    /// Ends it again.
    pub async fn end(&mut self, hub: &Hub, plan: &Plan) {
        give_up(hub, plan, std::mem::take(&mut self.begun)).await;
    }
}

async fn start(plan: &Plan, begun: &mut Begun) -> Result<PlainSession, Failure> {
    if let Some((tmux, session)) = &plan.tmux {
        terminal::refuse_taken(tmux, session).await?;
    }
    let Awaited::Up(started) = embedded::start(plan, begun).await? else {
        progress("it runs, but has opened no session yet");
        begun.terminal.clone_from(&plan.tmux);
        return Ok(PlainSession::default());
    };
    if let Some(terminal) = &started.terminal {
        terminal.settle().await;
    }
    Ok(PlainSession {
        pid: Some(started.pid),
        thread_id: Some(started.thread_id),
        rollout: started.rollout,
        ..PlainSession::default()
    })
}
