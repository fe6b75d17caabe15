//! Calls that wait for their answer, matched by id.

use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// What the server answered: a result, or a refusal.
pub(super) type Answer = Result<Value, Refusal>;

/// The `error` object of a JSON-RPC answer.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    pub(super) code: i64,
    #[serde(default)]
    pub(super) message: String,
}

/// The calls of one connection that wait, or why there can be no more.
#[derive(Debug)]
pub(super) struct Pending(Mutex<State>);

#[derive(Debug)]
enum State {
    Open(HashMap<u64, oneshot::Sender<Answer>>),
    Closed(String),
}

impl Pending {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Open(HashMap::new()))))
    }

    /// Registers the call `id`; fails with the reason when the connection has ended.
    pub(super) fn register(self: &Arc<Self>, id: u64) -> Result<Waiting, String> {
        match &mut *self.state() {
            State::Closed(reason) => Err(reason.clone()),
            State::Open(calls) => {
                let (sender, answer) = oneshot::channel();
                calls.insert(id, sender);
                Ok(Waiting { id, calls: Arc::clone(self), answer })
            }
        }
    }

    /// Hands `answer` to the call `id`. False when nobody waits for it any more.
    pub(super) fn settle(&self, id: u64, answer: Answer) -> bool {
        match &mut *self.state() {
            State::Closed(_) => false,
            State::Open(calls) => calls.remove(&id).is_some_and(|sender| sender.send(answer).is_ok()),
        }
    }

    /// Ends every waiting call and all later ones with `reason`. The first reason stays.
    pub(super) fn close(&self, reason: &str) {
        let mut state = self.state();
        if matches!(*state, State::Open(_)) {
            *state = State::Closed(reason.to_owned());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call's place among the pending ones, given up when dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    id: u64,
    calls: Arc<Pending>,
    answer: oneshot::Receiver<Answer>,
}

impl Waiting {
    /// The answer, or why none can come any more.
    pub(super) async fn answer(&mut self) -> Result<Answer, String> {
        match (&mut self.answer).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(match &*self.calls.state() {
                State::Closed(reason) => reason.clone(),
                State::Open(_) => "the call was given up".to_owned(),
            }),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let State::Open(calls) = &mut *self.calls.state() {
            calls.remove(&self.id);
        }
    }
}
