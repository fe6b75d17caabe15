//! One actor per active task: calls that change the same task wait for each other.

use std::rc::Rc;

use actix::prelude::*;
use serde_json::Value;
use tokio::sync::Mutex;

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

/// The queue of one task. The lock is fair: first come, first served.
pub struct Task {
    _obituary: Obituary,
    turn: Rc<Mutex<()>>,
}

impl Task {
    /// An empty queue.
    pub fn new(obituary: Obituary) -> Self {
        Self { _obituary: obituary, turn: Rc::default() }
    }
}

impl Actor for Task {
    type Context = Context<Self>;
}

impl Handler<ServeInTask> for Task {
    type Result = ResponseFuture<Result<Value, Failure>>;

    fn handle(&mut self, call: ServeInTask, _: &mut Context<Self>) -> Self::Result {
        let turn = self.turn.clone();
        Box::pin(async move {
            let _turn = turn.lock().await;
            call.request.serve(&call.hub, &call.caller).await
        })
    }
}
