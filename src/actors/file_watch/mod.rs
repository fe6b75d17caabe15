//! One watcher of the file system for all tailers.
//!
//! Directories are watched, not files: a file may be made later, or another one renamed to its
//! place. One thread turns what the system reports into [`CatchUp`]s. Events are hints: they may
//! come late, twice or, when the system has no watches left, never; the periodic sweep covers that.

mod places;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use actix::WeakRecipient;
use actix::prelude::*;

use crossbeam_channel::{Receiver, Sender};

use notify::event::{Event, EventKind, ModifyKind};
use places::{Found, Places, WatchId};

/// The file may have changed: look again.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CatchUp;

/// The handle to the watching thread. Cheap to clone; the thread ends with the last clone.
#[derive(Clone)]
pub struct FileWatch(Arc<Thread>);

struct Thread {
    queue: Sender<Message>,
    next_id: AtomicU64,
}

enum Message {
    Changed(Event),
    Watch(WatchId, Arc<Target>),
    Unwatch(WatchId),
    Stop,
}

/// A file that somebody watches.
struct Target {
    path: Box<Path>,
    // A watch alone does not keep an actor alive.
    recipient: WeakRecipient<CatchUp>,
    /// Nobody watches it any more.
    left: AtomicBool,
}

impl Target {
    fn tell(&self) {
        if let Some(recipient) = self.recipient.upgrade().filter(|_| !self.left.load(Ordering::Acquire)) {
            recipient.do_send(CatchUp);
        }
    }
}

/// Ends its watch when dropped.
pub struct WatchGuard {
    id: WatchId,
    target: Arc<Target>,
    thread: FileWatch,
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.target.left.store(true, Ordering::Release);
        self.thread.send(Message::Unwatch(self.id));
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // A thread that is gone already needs no word.
        let _ = self.queue.send(Message::Stop);
    }
}

impl FileWatch {
    /// Starts the thread. Without a watcher of the system, which is logged, it reports nothing.
    pub fn start() -> Self {
        let (queue, messages) = crossbeam_channel::unbounded();
        let (events, found) = (queue.clone(), Found::default());
        let known = found.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
            // Reading a file is an event too, and must not cause the next read.
            Ok(event) if event.kind.is_access() => {}
            // A file that grows is most of what happens, and needs no thread but this one.
            Ok(Event { kind: EventKind::Modify(ModifyKind::Data(_)), paths, .. })
                if !paths.is_empty() && paths.iter().all(|path| known.tell(path)) => {}
            Ok(event) => drop(events.send(Message::Changed(event))),
            Err(error) => tracing::warn!(%error, "the file watcher lost track"),
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "failed to watch files; falling back to the sweep"));
        let places = Places::new(watcher.ok(), found);
        let started =
            std::thread::Builder::new().name("file-watch".into()).spawn(move || serve(&messages, places));
        if let Err(error) = started {
            tracing::warn!(%error, "failed to start the file watcher; falling back to the sweep");
        }
        Self(Arc::new(Thread { queue, next_id: AtomicU64::new(0) }))
    }

    /// One that reports nothing at all.
    #[cfg(test)]
    pub(super) fn deaf() -> Self {
        let (queue, _) = crossbeam_channel::unbounded();
        Self(Arc::new(Thread { queue, next_id: AtomicU64::new(0) }))
    }

    /// Sends a [`CatchUp`] to `recipient` now, and after every change of the file at `path`, which
    /// need not exist yet. Ends when the guard is dropped.
    pub fn watch(&self, path: &Path, recipient: &Recipient<CatchUp>) -> WatchGuard {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let (path, recipient) = (path.into(), recipient.downgrade());
        let target = Arc::new(Target { path, recipient, left: AtomicBool::new(false) });
        self.send(Message::Watch(id, target.clone()));
        WatchGuard { id, target, thread: self.clone() }
    }

    fn send(&self, message: Message) {
        // Without the thread there are no events, as when the system has none.
        let _ = self.0.queue.send(message);
    }
}

impl std::fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileWatch").finish_non_exhaustive()
    }
}

/// Messages looked at together, so that a burst of events is one `CatchUp`.
const BURST: usize = 1024;

fn serve(messages: &Receiver<Message>, mut places: Places) {
    while let Ok(first) = messages.recv() {
        let mut changed = BTreeSet::new();
        for message in std::iter::once(first).chain(messages.try_iter()).take(BURST) {
            match message {
                Message::Changed(event) => changed.extend(places.changed(&event)),
                Message::Watch(id, target) => {
                    places.add(id, target);
                    changed.insert(id);
                }
                Message::Unwatch(id) => places.remove(id),
                Message::Stop => return,
            }
        }
        for id in changed {
            places.tell(id);
        }
    }
}
