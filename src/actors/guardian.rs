//! Builds the other actors, hands messages on to them, and rebuilds the ones that panic.
//!
//! actix's own supervisor does not restart after a panic. Here every child carries an
//! [`Obituary`]; when it is dropped, the guardian hears whether that was a panic. Tasks and
//! sessions are built when something is asked of them, so a fresh one comes with the next message, and
//! are let go when nobody needs them. What works by itself is rebuilt with a back-off that grows: the
//! dispatcher until a limit, a tailer for as long as its session is bound, since nobody else would read
//! there. A child's state is in the store, so a fresh one goes on where the old one was.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::time::timeout_at;

use super::blocking::blocking;
use super::dispatcher::{Dispatcher, MakePass};
use super::doubt::{self, Doubt};
use super::ending::End;
use super::evidence;
use super::file_watch::{CatchUp, FileWatch};
use super::hub::gone;
use super::idle;
use super::in_use::InUse;
use super::launch;
use super::paths::Paths;
use super::session::{Attend, Deliver, Interrupt, KeepUp, Look, Nudge, Session, Terminals};
use super::slash::Slash;
use super::tailer::{Rebind, Tailer, TailerParts};
use super::task::{ServeInTask, Task};
use super::tmux::Terminal;
use super::turn::AtWork;
use super::whereabouts::Locate;
use crate::domain::Failure;
use crate::fault::Point;
use crate::store::following::BoundSessions;
use crate::store::sessions::LinkedSession;
use crate::store::{Store, Topic};
use crate::tmux::TmuxServer;

/// Restarts of one child, one soon after the other, before the guardian gives up on it, or takes its time.
const MAX_RESTARTS: u32 = 8;

/// A child that ran this long without a panic may begin to count anew.
const QUIET: Duration = Duration::from_secs(60);

/// The safety net under the file watch and the signals.
const SWEEP: Duration = Duration::from_secs(5);

/// The wait before the first restart; it doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);

/// Which child.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ChildId {
    /// The dispatcher.
    Dispatcher,
    /// The queue of one task, by the task's id.
    Task(String),
    /// One session, by its id.
    Session(String),
    /// The tailer of a session's rollout, by the session's id.
    Tailer(String),
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

impl Obituary {
    /// The obituary of a child, for its guardian.
    pub fn new(id: ChildId, guardian: Recipient<ChildDown>) -> Self {
        Self { id, guardian }
    }
}

impl Drop for Obituary {
    fn drop(&mut self) {
        self.guardian.do_send(ChildDown { id: self.id.clone(), panicked: std::thread::panicking() });
    }
}

/// The bound sessions, as the store has them now: each is to be tailed and attended to.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Follow {
    /// The active sessions of live bindings.
    bound: Vec<LinkedSession>,
    /// Those whose rollout is to be looked at, whether or not its watch told of a change.
    unread: Vec<String>,
}

/// Stops every child; answers when nothing will write any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopAll;

/// How often a child that works by itself was built again.
#[derive(Default)]
struct Restarts {
    count: u32,
    last: Option<Instant>,
}

impl Restarts {
    /// The wait before the next restart; `None` when there have been too many.
    fn wait_before_next(&mut self, now: Instant) -> Option<Duration> {
        if self.last.is_some_and(|last| now.duration_since(last) >= QUIET) {
            self.count = 0;
        }
        self.last = Some(now);
        self.count += 1;
        (self.count <= MAX_RESTARTS).then(|| FIRST_BACKOFF * 2_u32.pow(self.count - 1))
    }
}

/// The parent of all other actors.
pub struct Guardian {
    store: Store,
    paths: Paths,
    /// The id under which the dispatcher works by itself; none in an embedded runtime.
    dispatches_as: Option<String>,
    terminals: Terminals,
    dispatcher: Option<Addr<Dispatcher>>,
    tasks: HashMap<String, (Addr<Task>, InUse)>,
    sessions: HashMap<String, (Addr<Session>, InUse)>,
    tailers: HashMap<String, (String, Addr<Tailer>)>,
    files: Option<FileWatch>,
    restarts: Restarts,
    /// Those of the tailers that panicked, by the session's id.
    tailer_restarts: HashMap<String, Restarts>,
    at_work: AtWork,
}

impl Guardian {
    /// A guardian without children.
    pub fn new(store: Store, paths: Paths, dispatches_as: Option<String>) -> Self {
        Self {
            store,
            paths,
            dispatches_as,
            terminals: terminals(),
            dispatcher: None,
            tasks: HashMap::new(),
            sessions: HashMap::new(),
            tailers: HashMap::new(),
            files: None,
            restarts: Restarts::default(),
            tailer_restarts: HashMap::new(),
            at_work: AtWork::default(),
        }
    }

    fn obituary(id: ChildId, ctx: &Context<Self>) -> Obituary {
        Obituary::new(id, ctx.address().recipient())
    }

    fn task(&mut self, task_id: &str, ctx: &Context<Self>) -> (Addr<Task>, InUse) {
        let build = || Task::new(Self::obituary(ChildId::Task(task_id.to_owned()), ctx)).start();
        self.tasks.entry(task_id.to_owned()).or_insert_with(|| (build(), InUse::default())).clone()
    }

    fn session(&mut self, session_id: &str, ctx: &Context<Self>) -> (Addr<Session>, InUse) {
        let build = || {
            let obituary = Self::obituary(ChildId::Session(session_id.to_owned()), ctx);
            let (store, terminals) = (self.store.clone(), self.terminals.clone());
            Session::new(obituary, session_id.to_owned(), store, terminals, self.at_work.clone()).start()
        };
        self.sessions.entry(session_id.to_owned()).or_insert_with(|| (build(), InUse::default())).clone()
    }

    fn dispatcher(&mut self, ctx: &Context<Self>) -> Addr<Dispatcher> {
        let build = || {
            let obituary = Self::obituary(ChildId::Dispatcher, ctx);
            Dispatcher::new(
                obituary,
                self.store.clone(),
                self.paths.clone(),
                ctx.address().recipient(),
                self.dispatches_as.clone(),
            )
            .start()
        };
        self.dispatcher.get_or_insert_with(build).clone()
    }

    /// Tails the session's rollout, from a new file when it has moved to one.
    fn tail(&mut self, bound: &LinkedSession, ctx: &Context<Self>) {
        let session = &bound.session;
        let (Some(path), Some(files)) = (&session.codex_session_path, &self.files) else { return };
        match self.tailers.get_mut(&session.id) {
            Some((tailed, _)) if tailed == path => {}
            Some((tailed, tailer)) => {
                tailed.clone_from(path);
                let thread_id = session.codex_session_id.clone().unwrap_or_default();
                // A tailer that is gone is built again with the new path.
                tailer.do_send(Rebind { path: path.clone(), thread_id });
            }
            None => {
                let tailer = Tailer::new(TailerParts {
                    obituary: Self::obituary(ChildId::Tailer(session.id.clone()), ctx),
                    session_id: session.id.clone(),
                    path: path.clone(),
                    store: self.store.clone(),
                    files: files.clone(),
                });
                self.tailers.insert(session.id.clone(), (path.clone(), tailer.start()));
            }
        }
    }

    /// Sees to it that a tailer that panicked is built again by the first `Follow` after its rest.
    fn tailer_rests(&mut self, session_id: String, ctx: &mut Context<Self>) {
        let restarts = self.tailer_restarts.entry(session_id.clone()).or_default();
        let wait = restarts.wait_before_next(Instant::now()).unwrap_or(QUIET);
        ctx.run_later(wait, move |guardian, _| {
            // By then it may have been let go, and have a successor.
            guardian.tailers.retain(|id, (_, tailer)| *id != session_id || tailer.connected());
        });
    }
}

/// One actor a tmux server, made when first asked for.
fn terminals() -> Terminals {
    let known = std::cell::RefCell::new(HashMap::<TmuxServer, Terminal>::new());
    Rc::new(move |socket| {
        let own = TmuxServer::resolve(|name| std::env::var_os(name));
        let server = match socket {
            Some(socket) => own.on(socket),
            None => own,
        };
        known.borrow_mut().entry(server.clone()).or_insert_with(|| Terminal::start(server)).clone()
    })
}

impl Actor for Guardian {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.dispatches_as.is_some() {
            self.files = Some(FileWatch::start());
            self.dispatcher(ctx);
            let follow = follow_bound_sessions(self.store.clone(), ctx.address().recipient(), SWEEP);
            ctx.spawn(follow.into_actor(self));
            let doubts = doubt::sweep(self.store.clone(), ctx.address().recipient());
            ctx.spawn(doubts.into_actor(self));
            ctx.spawn(idle::sweep(self.store.clone()).into_actor(self));
            ctx.spawn(evidence::lost::sweep(self.store.clone()).into_actor(self));
            ctx.spawn(launch::sweep(self.store.clone()).into_actor(self));
        }
    }
}

/// Tells the guardian which sessions are bound, at once when that changes, and every so often. However
/// often that is said to change, the rollouts are looked at `every` so often.
async fn follow_bound_sessions(store: Store, guardian: Recipient<Follow>, every: Duration) {
    let mut sessions = store.watch(Topic::Sessions);
    let mut next_sweep = Instant::now();
    loop {
        sessions.borrow_and_update();
        let sweep = Instant::now() >= next_sweep;
        match store.read(BoundSessions).await {
            Ok(bound) => {
                let unread = if sweep { unread(&bound).await } else { Vec::new() };
                // A guardian that is gone needs no word.
                let _ = guardian.send(Follow { bound, unread }).await;
            }
            Err(error) => tracing::warn!(%error, "failed to read which sessions are bound; trying again"),
        }
        if sweep {
            next_sweep = Instant::now() + every;
        }
        // Whatever ends the wait, the clock says whether to sweep.
        let _ = timeout_at(next_sweep.into(), sessions.changed()).await;
    }
}

/// The ids of the sessions whose rollout is not just as long as what was read of it.
async fn unread(bound: &[LinkedSession]) -> Vec<String> {
    let place = |LinkedSession { session, .. }: &LinkedSession| {
        let read = session.last_ingest_offset.unwrap_or(0).unsigned_abs();
        Some((session.id.clone(), session.codex_session_path.clone()?, read))
    };
    let places: Vec<_> = bound.iter().filter_map(place).collect();
    let unread = move || {
        let is_read = |path: &str, read: u64| std::fs::metadata(path).is_ok_and(|file| file.len() == read);
        places.into_iter().filter(|(_, path, read)| !is_read(path, *read)).map(|(id, ..)| id).collect()
    };
    blocking(unread).await.unwrap_or_default()
}

impl Handler<Follow> for Guardian {
    type Result = ();

    fn handle(&mut self, follow: Follow, ctx: &mut Context<Self>) {
        let bound: HashSet<&String> = follow.bound.iter().map(|bound| &bound.session.id).collect();
        self.tailers.retain(|id, _| bound.contains(id));
        self.tailer_restarts.retain(|id, _| bound.contains(id));
        self.sessions.retain(|id, (_, in_use)| bound.contains(id) || in_use.is_shared());
        self.tasks.retain(|_, (_, in_use)| in_use.is_shared());
        for bound in &follow.bound {
            self.tail(bound, ctx);
            self.handle(Attend(bound.clone()), ctx);
        }
        for (_, tailer) in follow.unread.iter().filter_map(|id| self.tailers.get(id)) {
            // One that is gone is built again by the next `Follow`.
            tailer.do_send(CatchUp);
        }
    }
}

impl Handler<ChildDown> for Guardian {
    type Result = ();

    fn handle(&mut self, down: ChildDown, ctx: &mut Context<Self>) {
        if down.panicked {
            tracing::error!(child = ?down.id, "an actor panicked");
        }
        match &down.id {
            // One that was let go is not in the list any more, or its successor is.
            ChildId::Task(_) | ChildId::Session(_) | ChildId::Tailer(_) if !down.panicked => {}
            ChildId::Task(task_id) => drop(self.tasks.remove(task_id)),
            ChildId::Session(session_id) => drop(self.sessions.remove(session_id)),
            ChildId::Tailer(session_id) => self.tailer_rests(session_id.clone(), ctx),
            ChildId::Dispatcher => {
                self.dispatcher = None;
                if !down.panicked || self.dispatches_as.is_none() {
                    return;
                }
                Point::GuardianRestart.reach();
                match self.restarts.wait_before_next(Instant::now()) {
                    Some(wait) => drop(ctx.run_later(wait, |guardian, ctx| drop(guardian.dispatcher(ctx)))),
                    None => tracing::error!("the dispatcher keeps panicking; dispatching has stopped"),
                }
            }
        }
    }
}

impl Handler<StopAll> for Guardian {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopAll, ctx: &mut Context<Self>) -> Self::Result {
        self.dispatches_as = None;
        self.files = None;
        self.tailers.clear();
        self.dispatcher = None;
        self.tasks.clear();
        self.sessions.clear();
        ctx.stop();
        let at_work = self.at_work.clone();
        Box::pin(async move { at_work.stop().await })
    }
}

impl Handler<ServeInTask> for Guardian {
    type Result = ResponseFuture<Result<serde_json::Value, Failure>>;

    fn handle(&mut self, call: ServeInTask, ctx: &mut Context<Self>) -> Self::Result {
        let (task, in_use) = self.task(&call.task_id, ctx);
        Box::pin(async move {
            let _in_use = in_use;
            task.send(call).await.unwrap_or_else(|_| Err(gone("task's actor")))
        })
    }
}

impl Handler<MakePass> for Guardian {
    type Result = <Dispatcher as Handler<MakePass>>::Result;

    fn handle(&mut self, pass: MakePass, ctx: &mut Context<Self>) -> Self::Result {
        let dispatcher = self.dispatcher(ctx);
        Box::pin(async move { dispatcher.send(pass).await.unwrap_or_else(|_| Err(gone("dispatcher"))) })
    }
}

impl Handler<Attend> for Guardian {
    type Result = ();

    fn handle(&mut self, Attend(linked): Attend, ctx: &mut Context<Self>) {
        let (session, in_use) = self.session(&linked.session.id, ctx);
        // One that is gone hears of it the next time.
        session.do_send(KeepUp { linked, in_use });
    }
}

macro_rules! hand_on_to_session {
    ($($message:ty, $session_id:expr;)*) => {$(
        impl Handler<$message> for Guardian {
            type Result = <Session as Handler<$message>>::Result;

            fn handle(&mut self, message: $message, ctx: &mut Context<Self>) -> Self::Result {
                let id: fn(&$message) -> &String = $session_id;
                let (session, in_use) = self.session(id(&message), ctx);
                Box::pin(async move {
                    let _in_use = in_use;
                    session.send(message).await.unwrap_or_else(|_| Err(gone("session's actor")))
                })
            }
        }
    )*};
}
hand_on_to_session! {
    Deliver, |deliver| &deliver.0.target_session_id;
    Locate, |locate| &locate.session_id;
    Look, |look| &look.session_id;
    Nudge, |nudge| &nudge.session_id;
    Interrupt, |interrupt| &interrupt.session_id;
    Slash, |slash| &slash.session_id;
    End, |end| &end.session_id;
    Doubt, |doubt| &doubt.0.target_session_id;
}

#[cfg(test)]
mod tests;
