//! Builds the other actors, hands out their addresses, and rebuilds the ones that panic.
//!
//! actix's own supervisor does not restart after a panic. Here every child carries an
//! [`Obituary`]; when it is dropped, the guardian hears whether that was a panic and builds a
//! fresh child, with a back-off that grows and a limit. A child's state comes from the store, so
//! a fresh one continues where the old one was.

use std::collections::HashMap;
use std::time::Duration;

use actix::prelude::*;

use super::hub::gone;
use super::task::{ServeInTask, Task};
use crate::domain::Failure;

/// Restarts of one child before the guardian gives up on it.
#[allow(dead_code)]
const MAX_RESTARTS: u32 = 8;

/// The wait before the first restart; it doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);

/// Which child.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ChildId {
    /// The queue of one task, by the task's id.
    Task(String),
}

/// A child has stopped.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ChildDown {
    /// Which.
    pub id: ChildId,
    /// Whether it stopped by a panic.
    pub panicked: bool,
}

/// Held by a child; tells the guardian when the child is no more.
pub struct Obituary {
    id: ChildId,
    guardian: Recipient<ChildDown>,
}

impl Drop for Obituary {
    fn drop(&mut self) {
        self.guardian.do_send(ChildDown { id: self.id.clone(), panicked: std::thread::panicking() });
    }
}

/// The parent of all per-task and per-session actors.
#[derive(Default)]
pub struct Guardian {
    tasks: HashMap<String, Addr<Task>>,
    restarts: HashMap<ChildId, u32>,
}

impl Guardian {
    fn obituary(id: ChildId, ctx: &Context<Self>) -> Obituary {
        Obituary { id, guardian: ctx.address().recipient() }
    }

    fn task(&mut self, task_id: &str, ctx: &Context<Self>) -> Addr<Task> {
        self.tasks
            .entry(task_id.to_owned())
            .or_insert_with(|| Task::new(Self::obituary(ChildId::Task(task_id.to_owned()), ctx)).start())
            .clone()
    }
}

impl Actor for Guardian {
    type Context = Context<Self>;
}

impl Handler<ServeInTask> for Guardian {
    type Result = ResponseFuture<Result<serde_json::Value, Failure>>;

    fn handle(&mut self, call: ServeInTask, ctx: &mut Context<Self>) -> Self::Result {
        let task = self.task(&call.task_id, ctx);
        Box::pin(async move { task.send(call).await.unwrap_or_else(|_| Err(gone("task's actor"))) })
    }
}

impl Handler<ChildDown> for Guardian {
    type Result = ();

    fn handle(&mut self, down: ChildDown, _: &mut Context<Self>) {
        match down.id {
            // Built again when the next call needs it.
            ChildId::Task(task_id) => drop(self.tasks.remove(&task_id)),
        }
    }
}
