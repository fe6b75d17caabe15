//! One actor per active task: calls that change the same task wait for each other.

use std::collections::VecDeque;

use actix::prelude::*;
use serde_json::Value;
use tokio::sync::oneshot;

use super::calls::Request;
use super::guardian::Obituary;
use super::hub::{Caller, Hub};
use crate::domain::Failure;

/// A call to be served in turn with the other calls that change `task_id`.
#[derive(Message)]
#[rtype(result = "Result<Value, Failure>")]
pub struct ServeInTask {
    /// The task's id (not its name: two names must not mean two queues).
    pub task_id: String,
    /// The call.
    pub request: Request,
    /// Who asks.
    pub caller: Caller,
    /// What the call is served with.
    pub hub: Hub,
}

/// The queue of one task.
pub struct Task {
    _obituary: Obituary,
    waiting: VecDeque<(ServeInTask, oneshot::Sender<Result<Value, Failure>>)>,
    serving: bool,
}

impl Task {
    /// An empty queue.
    pub fn new(obituary: Obituary) -> Self {
        Self { _obituary: obituary, waiting: VecDeque::new(), serving: false }
    }

    fn serve_next(&mut self, ctx: &mut Context<Self>) {
        if self.serving {
            return;
        }
        let Some((call, reply)) = self.waiting.pop_front() else { return };
        self.serving = true;
        let serve = async move {
            let answer = call.request.serve(&call.hub, &call.caller).await;
            // A caller that went away does not undo what was done.
            let _ = reply.send(answer);
        };
        ctx.spawn(serve.into_actor(self).map(|(), task, ctx| {
            task.serving = false;
            task.serve_next(ctx);
        }));
    }
}

impl Actor for Task {
    type Context = Context<Self>;
}

impl Handler<ServeInTask> for Task {
    type Result = ResponseFuture<Result<Value, Failure>>;

    fn handle(&mut self, call: ServeInTask, ctx: &mut Context<Self>) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        self.waiting.push_back((call, reply));
        self.serve_next(ctx);
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(super::hub::gone("task's actor"))) })
    }
}
