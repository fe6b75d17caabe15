//! Writes: one thread that drains its queue into one transaction.
//!
//! Group commit makes durability cheap: changes that arrive while a commit is on its way to the
//! disk share the next one. Each change stands behind a savepoint, so one that fails takes
//! nothing with it, and nobody is answered before the commit.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rusqlite::{Connection, Transaction, TransactionBehavior, ffi};
use tokio::sync::oneshot;

use super::audit_chain::Seal;
use super::{Change, Signals, StoreError, Topic};
use crate::fault::{Point, Trouble};

/// Changes that share one commit at most. Bounds how long the first of them waits.
const MAX_BATCH: usize = 512;

/// After a poke the thread looks at once, after this pause, and after twice the pause each time.
const FIRST_LOOK: Duration = Duration::from_millis(1);

/// The longest pause: together about a second. What takes longer is left to the sweep.
const LAST_LOOK: Duration = Duration::from_millis(512);

/// Bytes of the log that take longer to read than to write back into the database.
const LONG_LOG: u64 = 256 << 10;

/// The sending half. Cheap to clone; the thread ends when the last clone is gone.
#[derive(Clone)]
pub(super) struct Writer {
    queue: Sender<Message>,
    poked: Arc<AtomicBool>,
}

enum Message {
    Job(Box<dyn Job>),
    /// The log file changed: somebody else may have written.
    LookForForeignWrites,
    Close(oneshot::Sender<()>),
}

impl Writer {
    pub(super) fn start(conn: Connection, signals: Signals) -> Result<Self, StoreError> {
        let (queue, jobs) = crossbeam_channel::unbounded();
        let poked = Arc::new(AtomicBool::new(false));
        let mut thread = WriterThread {
            data_version: data_version(&conn)?,
            seal: Seal::watch(&conn)?,
            conn,
            jobs,
            signals,
            poked: poked.clone(),
            next_look: None,
        };
        std::thread::Builder::new().name("store-writer".into()).spawn(move || thread.run()).map_err(
            |error| StoreError::Open {
                path: "(writer)".into(),
                reason: error.to_string(),
                hint: "raise the thread limit (`ulimit -u`)".into(),
            },
        )?;
        Ok(Self { queue, poked })
    }

    pub(super) async fn write<C: Change>(&self, change: C) -> Result<C::Out, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Pending { change: Some(change), out: None, reply: Some(reply) });
        self.queue.send(Message::Job(job)).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Asks the thread to compare the data version; calls made before it looks count once.
    pub(super) fn poke(&self) {
        if !self.poked.swap(true, Ordering::AcqRel) {
            // A closed queue has nobody left to tell.
            let _ = self.queue.send(Message::LookForForeignWrites);
        }
    }

    pub(super) async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Message::Close(done)).is_ok() {
            let _ = closed.await;
        }
    }
}

/// How the transaction that a batch shared ended.
type Committed = Result<(), Arc<rusqlite::Error>>;

/// A change with its type forgotten: first run inside the transaction, then answered after it.
trait Job: Send {
    fn run(&mut self, conn: &Connection) -> bool;
    fn answer(self: Box<Self>, committed: Committed) -> &'static [Topic];
}

struct Pending<C: Change> {
    change: Option<C>,
    out: Option<Result<C::Out, StoreError>>,
    reply: Option<oneshot::Sender<Result<C::Out, StoreError>>>,
}

impl<C: Change> Job for Pending<C> {
    fn run(&mut self, conn: &Connection) -> bool {
        let Some(change) = self.change.take() else { return false };
        let out = catch_unwind(AssertUnwindSafe(|| change.run(conn)))
            .unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(panic.as_ref()))));
        let keep = out.is_ok();
        self.out = Some(out);
        keep
    }

    fn answer(mut self: Box<Self>, committed: Committed) -> &'static [Topic] {
        let (Some(reply), out) = (self.reply.take(), self.out.take()) else { return &[] };
        let answer = match (committed, out) {
            (Ok(()), Some(out)) => out,
            // Its own refusal stands whether or not the others' commit failed.
            (Err(_), Some(Err(error))) => Err(error),
            (Err(error), _) => Err(StoreError::NotCommitted(error)),
            (Ok(()), None) => Err(StoreError::Closed),
        };
        let touched = if answer.is_ok() { C::TOUCHES } else { &[] };
        // The caller may have stopped waiting; the change is durable all the same.
        let _ = reply.send(answer);
        touched
    }
}

struct WriterThread {
    conn: Connection,
    seal: Seal,
    jobs: Receiver<Message>,
    signals: Signals,
    poked: Arc<AtomicBool>,
    data_version: i64,
    /// The pause before the next look for a foreign write that may be on its way.
    next_look: Option<Duration>,
}

impl WriterThread {
    fn run(&mut self) {
        while let Some(first) = self.next_message() {
            let (batch, closing) = self.take_batch(first);
            if !batch.is_empty() {
                self.commit(batch);
            }
            self.look_for_foreign_writes();
            if let Some(done) = closing {
                self.shorten_log();
                // Nobody waits for this when the process is already going down.
                let _ = done.send(());
                return;
            }
        }
    }

    /// Waits for a message. The log is written, then synced to the disk, and only then do others see
    /// the commit: nothing tells of that moment, so after a poke there are some more looks.
    fn next_message(&mut self) -> Option<Message> {
        while let Some(pause) = self.next_look {
            match self.jobs.recv_timeout(pause) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    self.look_for_foreign_writes();
                    self.next_look = Some(pause * 2).filter(|pause| *pause <= LAST_LOOK);
                }
            }
        }
        self.jobs.recv().ok()
    }

    fn take_batch(&mut self, first: Message) -> (Vec<Box<dyn Job>>, Option<oneshot::Sender<()>>) {
        let mut batch = Vec::new();
        for message in std::iter::once(first).chain(self.jobs.try_iter()).take(MAX_BATCH) {
            match message {
                Message::Job(job) => batch.push(job),
                Message::LookForForeignWrites => {
                    self.poked.store(false, Ordering::Release);
                    self.next_look = Some(FIRST_LOOK);
                }
                Message::Close(done) => return (batch, Some(done)),
            }
        }
        (batch, None)
    }

    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let committed: Committed = self.run_in_one_transaction(&mut batch).map_err(|error| {
            self.seal.forget();
            tracing::warn!(%error, changes = batch.len(), "the batch was not written");
            Arc::new(error)
        });
        let touched: Vec<&[Topic]> = batch.into_iter().map(|job| job.answer(committed.clone())).collect();
        for topic in Topic::ALL {
            if touched.iter().any(|topics| topics.contains(&topic)) {
                self.signals.raise(topic);
            }
        }
    }

    fn run_in_one_transaction(&mut self, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        suffer(Point::StoreBegin)?;
        let mut tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match batch {
            // The transaction undoes what a savepoint would, and costs less: behind a savepoint each
            // statement takes time that grows with all that was changed before it.
            [only] => {
                if !only.run(&tx) {
                    self.seal.forget();
                    return tx.rollback();
                }
            }
            several => run_each_behind_a_savepoint(&mut tx, several)?,
        }
        self.seal.append(&tx)?;
        suffer(Point::StoreCommit)?;
        tx.commit()?;
        Point::StoreCommitted.reach();
        Ok(())
    }

    /// Whoever opens the database next reads the whole log first, so a long one is not left behind.
    /// SQLite does this for the last connection that is closed, but the process may end before.
    fn shorten_log(&self) {
        let log = self.conn.path().map(|path| format!("{path}-wal"));
        let length = log.and_then(|log| std::fs::metadata(log).ok()).map_or(0, |log| log.len());
        if length > LONG_LOG {
            let shortened = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            if let Err(error) = shortened {
                tracing::warn!(%error, "failed to shorten the database's log");
            }
        }
    }

    fn look_for_foreign_writes(&mut self) {
        match data_version(&self.conn) {
            Ok(version) if version != self.data_version => {
                self.data_version = version;
                self.signals.raise_all();
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "failed to read the data version"),
        }
    }
}

fn run_each_behind_a_savepoint(tx: &mut Transaction<'_>, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    for job in jobs {
        let savepoint = tx.savepoint()?;
        if job.run(&savepoint) {
            savepoint.commit()?;
        } else {
            savepoint.finish()?;
        }
    }
    Ok(())
}

/// Fails as SQLite does, where that was planned.
fn suffer(point: Point) -> rusqlite::Result<()> {
    let code = match point.trouble() {
        None => return Ok(()),
        Some(Trouble::Full) => ffi::SQLITE_FULL,
        Some(Trouble::Io) => ffi::SQLITE_IOERR,
        Some(Trouble::Busy) => ffi::SQLITE_BUSY,
    };
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
}

/// Changes whenever another connection commits, never for our own commits.
fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// What a caught panic said, when it said it in text.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests;
