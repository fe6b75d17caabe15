//! One actor per session, worker or manager: everything that is done to it goes through here, one
//! thing at a time, so that two texts never interleave.

use std::rc::Rc;

use actix::prelude::*;
use serde_json::Value;

use super::attend::{Attendant, can_be_attended};
use super::ending::End;
use super::guardian::Obituary;
use super::hands::Hands;
use super::in_use::InUse;
use super::liveness::{Liveness, Watched, processes_of};
use super::slash::Slash;
use super::tmux::Terminal;
use super::transport::Connection;
use super::turn::{AtWork, Turns};
use crate::domain::Failure;
use crate::store::Store;
use crate::store::dispatch::{Entry, Push};
use crate::store::sessions::LinkedSession;
use crate::tmux::{KeyName, PaneView};

/// Makes a claimed push; gives the item's report.
#[derive(Message)]
#[rtype(result = "Result<Entry, Failure>")]
pub struct Deliver(pub Push);

/// Looks at a session's pane.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<PaneView, Failure>")]
pub struct Look {
    /// The session's id.
    pub session_id: String,
    /// Lines of scroll-back before the screen.
    pub lines: u32,
}

/// Sends a text at once, by the best way in; gives what was sent, and how.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Entry, Failure>")]
pub struct Nudge {
    /// The session's id.
    pub session_id: String,
    /// The text.
    pub text: String,
    /// The Codex thread that asks, when it is one.
    pub from_thread: Option<String>,
}

/// Interrupts what a session is doing; gives how.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Interrupted, Failure>")]
pub struct Interrupt {
    /// The session's id.
    pub session_id: String,
    /// The key to press; none for the best way there is.
    pub key: Option<KeyName>,
    /// Press a key that would end an idle Codex.
    pub force: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// How a session was, or would be, interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// The key, or `turn/interrupt` by the app-server.
    pub by: String,
    /// The tmux session, when a key was pressed.
    pub target: Option<String>,
}

/// Gives the addresses of the tmux server on a socket, or of the caller's own one.
pub type Terminals = Rc<dyn Fn(Option<&str>) -> Terminal>;

/// The actor of one session.
pub struct Session {
    _obituary: Obituary,
    pub(super) hands: Hands,
    turns: Turns,
    attends: bool,
    /// The processes that are being watched, and what watches them.
    watched: Option<(Vec<Watched>, SpawnHandle)>,
}

impl Session {
    /// The actor for one registered session.
    pub fn new(
        obituary: Obituary,
        session_id: String,
        store: Store,
        terminals: Terminals,
        at_work: AtWork,
    ) -> Self {
        let hands = Hands {
            session_id,
            store,
            terminals,
            connection: Connection::default(),
            attended: Rc::default(),
            in_fresh_thread: Rc::default(),
        };
        Self { _obituary: obituary, hands, turns: Turns::new(at_work), attends: false, watched: None }
    }
}

impl Actor for Session {
    type Context = Context<Self>;
}

/// Sees to it that somebody keeps up with the session, which is this now, for as long as it is active.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Attend(pub LinkedSession);

/// Keeps up with the session, which is this now, for as long as it is active.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct KeepUp {
    /// The session.
    pub linked: LinkedSession,
    /// Held for as long as it takes.
    pub in_use: InUse,
}

impl Handler<KeepUp> for Session {
    type Result = ();

    fn handle(&mut self, KeepUp { linked, in_use }: KeepUp, ctx: &mut Context<Self>) {
        self.watch(processes_of(&linked), in_use.clone(), ctx);
        if !can_be_attended(&linked) || std::mem::replace(&mut self.attends, true) {
            return;
        }
        let attendant = Attendant { hands: self.hands.clone() };
        let attended = attendant.run().into_actor(self).map(|(), session, _| {
            session.attends = false;
            drop(in_use);
        });
        ctx.spawn(attended);
    }
}

impl Session {
    /// Does something to the session when whatever was begun before is done.
    pub(super) fn in_turn<T: 'static>(
        &self,
        work: impl AsyncFnOnce(Hands) -> Result<T, Failure> + 'static,
    ) -> ResponseFuture<Result<T, Failure>> {
        let (hands, turns) = (self.hands.clone(), self.turns.clone());
        Box::pin(async move {
            let _turn = turns.take().await?;
            work(hands).await
        })
    }

    /// Watches these processes from now on, in place of others.
    fn watch(&mut self, processes: Vec<Watched>, in_use: InUse, ctx: &mut Context<Self>) {
        if self.watched.as_ref().is_some_and(|(watched, _)| *watched == processes) {
            return;
        }
        let liveness = Liveness {
            session_id: self.hands.session_id.clone(),
            store: self.hands.store.clone(),
            processes: processes.clone(),
        };
        let watch = ctx.spawn(liveness.run().into_actor(self).map(|(), _, _| drop(in_use)));
        if let Some((_, former)) = self.watched.replace((processes, watch)) {
            ctx.cancel_future(former);
        }
    }
}

impl Handler<Deliver> for Session {
    type Result = ResponseFuture<Result<Entry, Failure>>;

    fn handle(&mut self, Deliver(push): Deliver, _: &mut Context<Self>) -> Self::Result {
        self.in_turn(async move |hands| hands.deliver(push).await)
    }
}

impl Handler<Look> for Session {
    type Result = ResponseFuture<Result<PaneView, Failure>>;

    fn handle(&mut self, look: Look, _: &mut Context<Self>) -> Self::Result {
        let hands = self.hands.clone();
        Box::pin(async move { hands.look(look.lines).await })
    }
}

impl Handler<Nudge> for Session {
    type Result = ResponseFuture<Result<Entry, Failure>>;

    fn handle(&mut self, nudge: Nudge, _: &mut Context<Self>) -> Self::Result {
        self.in_turn(async move |hands| hands.nudge(nudge).await)
    }
}

impl Handler<Interrupt> for Session {
    type Result = ResponseFuture<Result<Interrupted, Failure>>;

    fn handle(&mut self, interrupt: Interrupt, _: &mut Context<Self>) -> Self::Result {
        self.in_turn(async move |hands| hands.interrupt(interrupt).await)
    }
}

impl Handler<Slash> for Session {
    type Result = ResponseFuture<Result<Value, Failure>>;

    fn handle(&mut self, slash: Slash, _: &mut Context<Self>) -> Self::Result {
        self.in_turn(async move |hands| hands.slash(slash.command).await)
    }
}

impl Handler<End> for Session {
    type Result = ResponseFuture<Result<bool, Failure>>;

    fn handle(&mut self, _: End, _: &mut Context<Self>) -> Self::Result {
        self.in_turn(async |hands| hands.end().await)
    }
}

#[cfg(test)]
mod tests;
