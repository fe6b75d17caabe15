//! The only SQL. One file per table group: its rows, changes, queries and their tests.
//!
//! All writes of a process go through one writer thread, which drains its queue into one
//! transaction (group commit); reads run on `query_only` connections beside it.

pub mod acks;
mod answer_size;
pub mod audit;
pub mod audit_chain;
pub mod bindings;
pub mod bundle;
pub mod captures;
pub mod chains;
pub mod closing;
pub mod codex_events;
pub mod commands;
pub mod compaction;
pub mod compat;
pub mod conditions;
pub mod continuations;
pub mod criteria;
pub mod cycles;
pub mod decision_check;
pub mod decisions;
pub mod deliveries;
pub mod discover;
pub mod dispatch;
pub mod disposable;
pub mod doctor;
pub mod drift;
pub mod epilogue;
mod error;
pub mod events;
pub mod evidence;
pub mod exits;
pub mod exports;
pub mod following;
pub mod forks;
pub mod handoffs;
pub mod heartbeats;
pub mod history;
pub mod idle_managers;
pub mod launches;
pub mod leftovers;
pub mod loop_evidence;
pub mod loop_runs;
pub mod loop_status;
pub mod mailbox;
pub mod manager_config;
pub mod manager_permission;
pub mod mutation_audit;
pub mod notifications;
pub mod observations;
mod open;
pub mod page;
pub mod pairs;
mod reader;
pub mod receipts;
pub mod registration;
pub mod rollout;
mod rollout_files;
mod row;
pub mod runs;
pub mod schema;
pub mod scope;
pub mod session_facts;
pub mod session_links;
pub mod sessions;
mod signals;
pub mod stopping;
pub mod tail;
pub mod tasks;
pub mod telemetry;
pub mod terminals;
#[cfg(test)]
pub(crate) mod testing;
pub mod top;
pub mod trace;
pub mod transcripts;
pub mod triage;
pub mod turn_facts;
pub mod unreadable;
pub mod waits;
mod watch;
pub mod worker_starts;
pub mod workers;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use actix::prelude::*;

pub use error::StoreError;
pub use signals::{Signals, Topic};

use reader::{Read, Reader};
use writer::Writer;

/// A write: runs inside the writer's transaction, behind a savepoint of its own.
///
/// An `Err` undoes everything this change did and nothing else.
pub trait Change: Send + 'static {
    /// What the caller gets once the change is durable.
    type Out: Send + 'static;

    /// What other parts of the runtime should look at again after this change.
    const TOUCHES: &'static [Topic] = &[];

    /// Does the work. May run only once.
    ///
    /// # Errors
    /// Any error rolls this change back.
    fn run(self, tx: &rusqlite::Connection) -> Result<Self::Out, StoreError>;
}

/// A read: sees one consistent snapshot and cannot write.
pub trait Query: Send + 'static {
    /// What the caller gets.
    type Out: Send + 'static;

    /// Does the work.
    ///
    /// # Errors
    /// Whatever SQLite answers, or a [`StoreError::Refused`] for an object that is not there.
    fn run(self, conn: &rusqlite::Connection) -> Result<Self::Out, StoreError>;
}

/// The handle every actor holds. Cheap to clone; the last clone to go closes the database.
#[derive(Clone)]
pub struct Store {
    path: PathBuf,
    writer: Writer,
    readers: Option<Addr<Reader>>,
    signals: Signals,
    log_watch: Arc<OnceLock<watch::LogWatch>>,
}

impl Store {
    /// Opens the database, creating or migrating it when needed, and starts its threads: one that
    /// writes, and `readers`, each with its own connection. With none of those, reads take turns with
    /// the writes on the one connection there is: to open another takes longer than one answer does.
    ///
    /// Must be called inside an actix system.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, or is of a version this program does not open.
    pub fn open(path: &Path, readers: usize) -> Result<Self, StoreError> {
        let signals = Signals::default();
        let connection = open::writer(path)?;
        let writer = Writer::start(connection, signals.clone())?;
        let readers = (readers > 0).then(|| {
            let pool = open::reader_pool(path, readers);
            SyncArbiter::start(readers, move || Reader::new(pool.clone()))
        });
        Ok(Self { path: path.to_owned(), writer, readers, signals, log_watch: Arc::default() })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a change and answers once it is durable.
    ///
    /// # Errors
    /// The change's own error; or the commit's, in which case nothing was written.
    pub async fn write<C: Change>(&self, change: C) -> Result<C::Out, StoreError> {
        self.writer.write(change).await
    }

    /// Runs a query.
    ///
    /// # Errors
    /// The query's own error.
    pub async fn read<Q: Query>(&self, query: Q) -> Result<Q::Out, StoreError> {
        match &self.readers {
            Some(readers) => readers.send(Read(query)).await.map_err(|_| StoreError::Closed)?,
            None => self.writer.read(query).await,
        }
    }

    /// A receiver that is woken from now on when `topic` may have changed, in this process or in
    /// another one.
    pub fn watch(&self, topic: Topic) -> tokio::sync::watch::Receiver<u64> {
        self.log_watch.get_or_init(|| watch::watch_log(&self.path, &self.writer));
        self.signals.watch(topic)
    }

    /// Who is told about what changed.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Stops the writer after everything queued so far is durable.
    pub async fn close(self) {
        let Self { writer, readers, log_watch, .. } = self;
        drop((readers, log_watch));
        writer.close().await;
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}
