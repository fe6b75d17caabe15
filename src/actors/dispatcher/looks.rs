//! Requests for a loop's next pass that wait for a look at work trees. Git may take its time over one,
//! and nothing else waits for it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use futures_util::future::join_all;

use super::Hands;
use crate::actors::evidence;
use crate::domain::Failure;
use crate::domain::command::QueuedCommand;
use crate::domain::signal::SignalFilter;
use crate::store::dispatch::{Entry, LookDue, LooksDue, PassOfSeen, PassOptions, Step};

/// The requests that somebody looks for now, by command id.
#[derive(Clone, Default)]
pub(super) struct Looks(Rc<RefCell<HashSet<String>>>);

impl Looks {
    /// Begins to look, where that is due and nobody does already, and goes on beside the caller.
    pub(super) async fn begin(&self, hands: &Hands, options: &PassOptions) -> Result<(), Failure> {
        for due in hands.store.read(LooksDue).await? {
            if !self.0.borrow_mut().insert(due.command_id.clone()) {
                continue;
            }
            let (looks, hands, options) = (self.clone(), hands.clone(), options.clone());
            actix::spawn(async move {
                let command_id = due.command_id.clone();
                let seen = hands.see(due, options).await;
                looks.0.borrow_mut().remove(&command_id);
                match seen {
                    Ok(Some(step)) => hands.finish_and_log(step).await,
                    Ok(None) => {}
                    Err(failure) => {
                        tracing::error!(%failure, command_id, "a request was not decided; it is looked at again");
                    }
                }
            });
        }
        Ok(())
    }
}

impl Hands {
    /// Looks, for at most `room` of the requests that are due, and carries them out.
    pub(super) async fn pass_of_seen(
        &self,
        options: PassOptions,
        room: usize,
    ) -> Result<Vec<Result<Entry, Failure>>, Failure> {
        if !SignalFilter::commands(options.filter).contains(&QueuedCommand::ContinueIteration) {
            return Ok(Vec::new());
        }
        let due = self.store.read(LooksDue).await?.into_iter().take(room);
        let reports = join_all(due.map(|due| async {
            match self.see(due, options.clone()).await {
                Ok(Some(step)) => Some(self.finish(step).await),
                Ok(None) => None,
                Err(failure) => Some(Err(failure)),
            }
        }));
        Ok(reports.await.into_iter().flatten().collect())
    }

    async fn see(&self, due: LookDue, options: PassOptions) -> Result<Option<Step>, Failure> {
        evidence::look_at(due.worktrees, &self.store, &self.paths).await?;
        Ok(self.store.write(PassOfSeen { options, command_id: due.command_id }).await?)
    }
}
