//! Writes: one thread that drains its queue into one transaction.
//!
//! Group commit makes durability cheap: changes that arrive while a commit is on its way to the
//! disk share the next one. Each change stands behind a savepoint, so one that fails takes
//! nothing with it, and nobody is answered before the commit.

mod log;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rusqlite::{Connection, Transaction, TransactionBehavior, ffi};
use tokio::sync::oneshot;

use self::log::Log;
use super::audit_chain::Seal;
use super::{Change, Query, Signals, StoreError, Topic, reader, telemetry};
use crate::fault::{Point, Trouble};

/// Changes that share one commit at most. Bounds how long the first of them waits.
const MAX_BATCH: usize = 512;

/// Between two looks for what others have written, where somebody wants to know: some system calls.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// The sending half. Cheap to clone; the thread ends when the last clone is gone.
#[derive(Clone)]
pub(super) struct Writer {
    queue: Sender<Message>,
}

/// A query with its type forgotten, and whoever is to get its answer.
type Reading = Box<dyn FnOnce(&Connection) + Send>;

enum Message {
    Job(Box<dyn Job>),
    Read(Reading),
    /// Somebody else may have written.
    LookForForeignWrites,
    Close(oneshot::Sender<()>),
}

impl Writer {
    pub(super) fn start(conn: Connection, signals: Signals) -> Result<Self, StoreError> {
        let (queue, jobs) = crossbeam_channel::unbounded();
        let mut thread = WriterThread {
            data_version: data_version(&conn)?,
            seal: Seal::watch(&conn)?,
            log: Log::take_over(&conn)?,
            conn,
            jobs,
            signals,
            looks: false,
        };
        std::thread::Builder::new().name("store-writer".into()).spawn(move || thread.run()).map_err(
            |error| StoreError::Open {
                path: "(writer)".into(),
                reason: error.to_string(),
                hint: "raise the thread limit (`ulimit -u`)".into(),
            },
        )?;
        Ok(Self { queue })
    }

    pub(super) async fn write<C: Change>(&self, change: C) -> Result<C::Out, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Pending { change: Some(change), out: None, reply: Some(reply) });
        self.queue.send(Message::Job(job)).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Reads between two batches, for a store without readers.
    pub(super) async fn read<Q: Query>(&self, query: Q) -> Result<Q::Out, StoreError> {
        let (reply, answer) = oneshot::channel();
        let read = move |conn: &Connection| {
            // The caller may have stopped waiting.
            let _ = reply.send(reader::answer(conn, query));
        };
        self.queue.send(Message::Read(Box::new(read))).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Has the thread look for what others have written, now and every so often from now on.
    pub(super) fn look_for_foreign_writes(&self) {
        // A closed queue has nobody left to tell.
        let _ = self.queue.send(Message::LookForForeignWrites);
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

/// What is done in one go.
#[derive(Default)]
struct Taken {
    batch: Vec<Box<dyn Job>>,
    reads: Vec<Reading>,
    closing: Option<oneshot::Sender<()>>,
}

struct WriterThread {
    conn: Connection,
    seal: Seal,
    log: Log,
    jobs: Receiver<Message>,
    signals: Signals,
    data_version: i64,
    /// Somebody wants to know what others write.
    looks: bool,
}

impl WriterThread {
    fn run(&mut self) {
        while let Some(first) = self.next_message() {
            let taken = self.take(first);
            if !taken.batch.is_empty() {
                self.commit(taken.batch);
                self.log.keep_short(&self.conn);
            }
            if !taken.reads.is_empty() {
                self.read(taken.reads);
            }
            self.look_for_foreign_writes();
            if let Some(done) = taken.closing {
                self.log.shorten(&self.conn);
                // Nobody waits for this when the process is already going down.
                let _ = done.send(());
                return;
            }
        }
    }

    /// Waits for a message, and looks meanwhile.
    fn next_message(&mut self) -> Option<Message> {
        while self.looks {
            match self.jobs.recv_timeout(LOOK_INTERVAL) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.look_for_foreign_writes(),
            }
        }
        self.jobs.recv().ok()
    }

    fn take(&mut self, first: Message) -> Taken {
        let mut taken = Taken::default();
        for message in std::iter::once(first).chain(self.jobs.try_iter()).take(MAX_BATCH) {
            match message {
                Message::Job(job) => taken.batch.push(job),
                Message::Read(read) => taken.reads.push(read),
                // Which is done after each message.
                Message::LookForForeignWrites => self.looks = true,
                Message::Close(done) => {
                    taken.closing = Some(done);
                    break;
                }
            }
        }
        taken
    }

    fn read(&self, reads: Vec<Reading>) {
        self.only_read(true);
        for read in reads {
            read(&self.conn);
        }
        self.only_read(false);
    }

    fn only_read(&self, only: bool) {
        if let Err(error) = self.conn.pragma_update(None, "query_only", only) {
            tracing::warn!(%error, only, "failed to change whether the connection writes");
        }
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
        let told = telemetry::newest(&tx)?;
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
        telemetry::enter_after(&tx, told)?;
        suffer(Point::StoreCommit)?;
        tx.commit()?;
        Point::StoreCommitted.reach();
        Ok(())
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
