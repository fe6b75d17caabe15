//! One actor per session with a rollout: keeps what the store knows of it up to date.

use std::path::Path;
use std::time::{Duration, SystemTime};

use actix::prelude::*;

use super::file_watch::{CatchUp, FileWatch, WatchGuard};
use super::guardian::Obituary;
use super::ingest::{self, Followed, Standing};
use crate::domain::Failure;
use crate::store::Store;
use crate::store::rollout::GetCursor;

/// How long a line that nobody waits for may wait for company on its way into the store: every tailer
/// writes what it holds at the same ticks, so that all of it shares a commit.
const TICK: Duration = Duration::from_millis(250);

/// The session went on in another thread, in another file (`/clear`, `/new`), and the store has it
/// that way.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Rebind {
    /// The new rollout, which need not exist yet.
    pub path: String,
    /// The thread that it records.
    pub thread_id: String,
}

/// What a tailer is made of.
pub struct TailerParts {
    /// Tells the guardian of the tailer's end.
    pub obituary: Obituary,
    /// The session's id.
    pub session_id: String,
    /// Its rollout.
    pub path: String,
    /// Where what is read goes.
    pub store: Store,
    /// Tells when the rollout changed.
    pub files: FileWatch,
}

/// Reads a rollout whenever it may have changed.
///
/// Where it stands is a copy that saves a look while the rollout grows; a wrong one is noticed by the
/// first write. What it holds is in the rollout, from which the next reader takes it.
pub struct Tailer {
    _obituary: Obituary,
    session_id: String,
    path: String,
    store: Store,
    files: FileWatch,
    watch: Option<WatchGuard>,
    /// `None` when the store is to be asked, and while a read is under way.
    standing: Option<Standing>,
    reading: bool,
    /// A tick is on its way.
    tick_set: bool,
    /// The rollout may have changed since the read under way began.
    read_again: bool,
    /// The read under way is of a rollout that the session has left.
    left: bool,
    /// The last failure, so that one that lasts is told of once.
    failure: Option<Failure>,
    /// Whether that is on record.
    noted: bool,
}

impl Tailer {
    /// A tailer that has not read anything.
    pub fn new(parts: TailerParts) -> Self {
        Self {
            _obituary: parts.obituary,
            session_id: parts.session_id,
            path: parts.path,
            store: parts.store,
            files: parts.files,
            watch: None,
            standing: None,
            reading: false,
            tick_set: false,
            read_again: false,
            left: false,
            failure: None,
            noted: false,
        }
    }

    /// Watches the rollout at `path`, which begins with a `CatchUp`.
    fn watch(&mut self, path: String, ctx: &Context<Self>) {
        self.watch = Some(self.files.watch(Path::new(&path), &ctx.address().recipient()));
        self.path = path;
    }

    fn read(&mut self, ctx: &mut Context<Self>) {
        if self.reading {
            self.read_again = true;
            return;
        }
        self.reading = true;
        let (store, session_id, standing) =
            (self.store.clone(), self.session_id.clone(), self.standing.take());
        let last = self.noted.then(|| self.failure.clone());
        let read = async move {
            let result = read(&store, &session_id, standing).await;
            let failure = result.as_ref().err();
            let noted = last.is_some_and(|last| last.as_ref() == failure)
                || ingest::note(&store, &session_id, failure).await.is_ok();
            (result, noted)
        };
        ctx.spawn(read.into_actor(self).map(|(result, noted), tailer, ctx| {
            tailer.noted = noted;
            tailer.done(result, ctx);
        }));
    }

    fn done(&mut self, result: Result<Followed, Failure>, ctx: &mut Context<Self>) {
        self.reading = false;
        match result {
            _ if std::mem::take(&mut self.left) => self.noted = false,
            Ok(followed) => self.stand(followed, ctx),
            Err(failure) => self.tell(failure),
        }
        if std::mem::take(&mut self.read_again) {
            self.read(ctx);
        }
    }

    fn stand(&mut self, Followed { standing, moved_on }: Followed, ctx: &mut Context<Self>) {
        self.failure = None;
        if standing.path() != self.path {
            self.watch(standing.path().to_owned(), ctx);
        }
        if standing.holds() {
            self.set_tick(ctx);
        }
        // When nothing came, the session may be elsewhere: the next read asks.
        self.standing = moved_on.then_some(standing);
    }

    /// A tailer that is let go lives on until then.
    fn set_tick(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.tick_set, true) {
            ctx.run_later(until_tick(), |tailer, ctx| {
                tailer.tick_set = false;
                tailer.tick(ctx);
            });
        }
    }

    /// Writes what is held. When a read is under way, that is left to the next tick.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        if let Some(standing) = self.standing.take_if(|standing| standing.holds()) {
            self.reading = true;
            let store = self.store.clone();
            let write = async move { ingest::write_held(&store, standing).await };
            ctx.spawn(write.into_actor(self).map(|result, tailer, ctx| tailer.done(result, ctx)));
        }
    }

    fn tell(&mut self, failure: Failure) {
        if self.failure.as_ref() != Some(&failure) {
            tracing::warn!(session = %self.session_id, "{failure}");
            self.failure = Some(failure);
        }
    }
}

async fn read(store: &Store, session_id: &str, standing: Option<Standing>) -> Result<Followed, Failure> {
    let standing = match standing {
        Some(standing) => standing,
        None => Standing::stored(store.read(GetCursor(session_id.to_owned())).await?),
    };
    ingest::follow(store, standing).await
}

/// Until the next tick of all tailers.
fn until_tick() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since_tick = now.as_nanos() % TICK.as_nanos();
    TICK - Duration::from_nanos(u64::try_from(since_tick).unwrap_or_default())
}

impl Actor for Tailer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.watch(self.path.clone(), ctx);
    }
}

impl Handler<CatchUp> for Tailer {
    type Result = ();

    fn handle(&mut self, _: CatchUp, ctx: &mut Context<Self>) {
        self.read(ctx);
    }
}

impl Handler<Rebind> for Tailer {
    type Result = ();

    fn handle(&mut self, rebind: Rebind, ctx: &mut Context<Self>) {
        tracing::info!(session = %self.session_id, thread = %rebind.thread_id, "went on in another thread");
        self.standing = None;
        self.left = self.reading;
        self.watch(rebind.path, ctx);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;
    use crate::actors::guardian::{ChildDown, ChildId};
    use crate::actors::ingest::testing::{END, END_B, META, SAID, START, World, lines};
    use crate::actors::testing::{eventually, mourned};
    use crate::store::Topic;

    /// Long enough for a loaded machine; only a failing test waits this long.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn tailer(world: &World, files: FileWatch) -> (Addr<Tailer>, mpsc::UnboundedReceiver<ChildDown>) {
        let (obituary, heard) = mourned(ChildId::Tailer("session-1".into()));
        let parts = TailerParts {
            obituary,
            session_id: "session-1".into(),
            path: world.rollout.to_str().unwrap().into(),
            store: world.store.clone(),
            files,
        };
        (Tailer::new(parts).start(), heard)
    }

    /// Waits until the facts of the world are these.
    async fn facts_become(world: &World, expect: &[&str]) {
        let mut work = world.store.watch(Topic::Work);
        let become_so = async {
            while world.facts() != expect {
                work.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(PATIENCE, become_so).await;
        assert!(waited.is_ok(), "{:?} did not become {expect:?}", world.facts());
    }

    #[actix::test]
    async fn a_rollout_is_followed_from_before_it_is_made() {
        let world = World::new();
        let (_tailer, _) = tailer(&world, FileWatch::start());
        world.add(lines(&[META, START, END]));
        facts_become(&world, &["a completed "]).await;
        world.add(&END_B[..9]);
        world.add(&END_B[9..]);
        world.add("\n");
        facts_become(&world, &["a completed ", "b interrupted "]).await;
    }

    #[actix::test]
    async fn what_comes_during_a_read_is_read_after_it() {
        let world = World::new();
        world.write(lines(&[META, START, END]));
        let (tailer, _) = tailer(&world, FileWatch::deaf());
        tailer.do_send(CatchUp);
        tailer.do_send(CatchUp);
        facts_become(&world, &["a completed "]).await;
        world.add(lines(&[END_B]));
        tailer.do_send(CatchUp);
        facts_become(&world, &["a completed ", "b interrupted "]).await;
    }

    #[actix::test]
    async fn a_fault_is_outlived() {
        let world = World::new();
        world.write("no rollout\n");
        let (tailer, _) = tailer(&world, FileWatch::start());
        tailer.send(CatchUp).await.unwrap();
        world.write(lines(&[META, START, END]));
        facts_become(&world, &["a completed "]).await;
    }

    #[actix::test]
    async fn a_session_that_moved_is_found_by_a_message_or_by_the_next_look() {
        for message in [true, false] {
            let world = World::new();
            world.write(lines(&[META, START, END]));
            let (tailer, _) = tailer(&world, FileWatch::start());
            facts_become(&world, &["a completed "]).await;
            let path = world.rollout.with_file_name("new.jsonl");
            world.move_to(&path, "thread-2");
            if message {
                tailer.do_send(Rebind { path: path.to_str().unwrap().into(), thread_id: "thread-2".into() });
            } else {
                // The first finds nothing new behind what it remembers, the second asks.
                tailer.send(CatchUp).await.unwrap();
                tailer.send(CatchUp).await.unwrap();
            }
            fs::write(&path, lines(&[&META.replace("thread-1", "thread-2"), END_B])).unwrap();
            if !message {
                tailer.send(CatchUp).await.unwrap();
            }
            facts_become(&world, &["a completed ", "b interrupted "]).await;
        }
    }

    #[actix::test]
    async fn what_it_holds_is_written_at_the_next_tick_also_when_it_was_let_go() {
        for let_go in [false, true] {
            let world = World::new();
            world.write(lines(&[META, SAID]));
            let (tailer, _) = tailer(&world, FileWatch::deaf());
            tailer.do_send(CatchUp);
            let _kept = (!let_go).then_some(tailer);
            eventually("the held lines to be written", || world.contents().0 == 2).await;
        }
    }

    #[actix::test]
    async fn it_ends_with_its_last_address_and_is_mourned() {
        let world = World::new();
        let (tailer, mut heard) = tailer(&world, FileWatch::start());
        tailer.send(CatchUp).await.unwrap();
        drop(tailer);
        let down = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
        assert_eq!(down.id, ChildId::Tailer("session-1".into()));
        assert!(!down.panicked);
    }
}
