//! Reading sessions' rollouts into the store, for `ingest`, for `cycle` and for the tailers.
//!
//! Files are read on blocking threads, a batch at a time; each batch is one transaction. Several
//! readers may work on one session: whoever comes second to a batch finds the position moved,
//! throws its copy away and goes on from there.

pub(super) mod reading;
mod unreadable;

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::blocking::blocking;
use super::hub::Hub;
use crate::domain::{Failure, FailureKind};
use crate::fault::Point;
use crate::store::rollout::{AppendRollout, Cursor, GetCursor};
use crate::store::sessions::GetSession;
use crate::store::{Store, Topic};
use reading::{OwnedBatch, Reading};

pub use unreadable::note;

/// More lines than this are not held back.
const MOST_HELD: usize = 64;

/// How far a rollout was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingested {
    /// The session's name.
    pub session: String,
    /// Lines that became events.
    pub new_events: u64,
    /// Where the next read starts, in bytes.
    pub new_offset: u64,
    /// Whole lines that could not be read.
    pub skipped_lines: u64,
}

/// Reads what is new in the rollout of a session (name or id) because somebody asked: leaves a
/// telemetry event even when nothing is new.
///
/// # Errors
/// `NotFound` or `Refused` for a session that cannot be read; `NotFound` when its rollout is
/// missing, `External` when it is truncated, replaced or unreadable. What was read before the fault
/// stays.
pub async fn ingest_session(hub: &Hub, session: &str) -> Result<Ingested, Failure> {
    let session_id = hub.store.read(GetSession(session.to_owned())).await?.id;
    hub.locate(&session_id).await?;
    let cursor = hub.store.read(GetCursor(session_id.clone())).await?;
    let mut pass = Pass::new(&hub.store, cursor, true);
    let failure = pass.read_to_end().await.err();
    match failure {
        // One that was not made yet is no rollout that cannot be read.
        Some(failure) if failure.kind == FailureKind::NotFound && pass.cursor.offset == 0 => Err(failure),
        failure => {
            note(&hub.store, &session_id, failure.as_ref()).await?;
            failure.map_or(Ok(pass.ingested), Err)
        }
    }
}

/// Reads what is new behind `cursor`, and writes nothing when nothing is new: also when the rollout
/// was not made yet. Gives the position for the next call.
///
/// # Errors
/// As [`ingest_session`].
pub async fn catch_up(store: &Store, cursor: Cursor) -> Result<(Ingested, Cursor), Failure> {
    let mut pass = Pass::new(store, cursor, false);
    match pass.read_to_end().await {
        Err(failure) if failure.kind != FailureKind::NotFound || pass.cursor.offset > 0 => Err(failure),
        _ => Ok((pass.ingested, pass.cursor)),
    }
}

/// Reads what is left in a rollout that its session is about to leave, for another one or for good.
///
/// A file that cannot be read keeps nobody from leaving it: that is logged.
///
/// # Errors
/// When the store fails.
pub async fn read_out(store: &Store, session_id: &str) -> Result<(), Failure> {
    let read = async { catch_up(store, store.read(GetCursor(session_id.to_owned())).await?).await };
    match read.await {
        Err(failure) if failure.kind == FailureKind::Database => Err(failure),
        Err(failure) => {
            tracing::warn!(session = session_id, "left a rollout that was not read to its end: {failure}");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// How far somebody who follows a rollout has read it. The last lines may not be in the store yet:
/// they wait there for company.
#[derive(Debug)]
pub struct Standing {
    /// Behind the last line read.
    cursor: Cursor,
    held: Option<AppendRollout>,
}

impl Standing {
    /// As the store has it.
    pub fn stored(cursor: Cursor) -> Self {
        Self { cursor, held: None }
    }

    /// The rollout.
    pub fn path(&self) -> &str {
        &self.cursor.path
    }

    /// Whether there is something that is not in the store yet.
    pub fn holds(&self) -> bool {
        self.held.is_some()
    }
}

/// Reads what is new, as [`catch_up`] does, but holds back what nobody waits for: lines that tell of
/// no turn and no delivery.
///
/// # Errors
/// As [`ingest_session`].
pub async fn follow(store: &Store, standing: Standing) -> Result<Followed, Failure> {
    let mut pass = Pass { held: standing.held, may_hold: true, ..Pass::new(store, standing.cursor, false) };
    match pass.read_to_end().await {
        Err(failure) if failure.kind != FailureKind::NotFound || pass.cursor.offset > 0 => {
            // What was read before the fault stays.
            pass.write().await?;
            Err(failure)
        }
        _ => Ok(pass.followed()),
    }
}

/// Writes what is held back.
///
/// # Errors
/// When the store fails.
pub async fn write_held(store: &Store, standing: Standing) -> Result<Followed, Failure> {
    let mut pass = Pass { held: standing.held, ..Pass::new(store, standing.cursor, false) };
    pass.write().await?;
    Ok(pass.followed())
}

/// What came of following a rollout.
#[derive(Debug)]
pub struct Followed {
    /// How far it is read now.
    pub standing: Standing,
    /// Something new was read or written.
    pub moved_on: bool,
}

struct Pass<'a> {
    store: &'a Store,
    /// Behind the last line read.
    cursor: Cursor,
    /// Lines before the cursor that are not written yet.
    held: Option<AppendRollout>,
    /// What nobody waits for may be left to be written later.
    may_hold: bool,
    ingested: Ingested,
    /// Somebody asked for this, and will find it on record.
    asked: bool,
    /// A batch is to be written even when there is no line in it.
    write_is_due: bool,
    /// Bad lines read since the last write.
    skipped_lines: u64,
}

impl<'a> Pass<'a> {
    fn new(store: &'a Store, cursor: Cursor, asked: bool) -> Self {
        let ingested = Ingested {
            session: cursor.session_name.clone(),
            new_events: 0,
            new_offset: cursor.offset,
            skipped_lines: 0,
        };
        let write_is_due = asked || cursor.behind;
        Self { store, cursor, held: None, may_hold: false, ingested, asked, write_is_due, skipped_lines: 0 }
    }

    fn followed(self) -> Followed {
        let moved_on = self.ingested.new_events > 0 || self.held.is_some();
        Followed { standing: Standing { cursor: self.cursor, held: self.held }, moved_on }
    }

    async fn read_to_end(&mut self) -> Result<(), Failure> {
        while !self.read_on().await? {}
        self.ingested.skipped_lines += self.skipped_lines;
        Ok(())
    }

    /// Reads from the cursor to the end. `false` when somebody else has read a part of that; the
    /// cursor then stands behind it.
    async fn read_on(&mut self) -> Result<bool, Failure> {
        let cursor = self.cursor.clone();
        let (mut reading, mut batch) = blocking(move || next_batch(Reading::open(&cursor)?)).await??;
        while !batch.at_end {
            // The next batch is read while this one is written.
            let (taken, ahead) = tokio::join!(self.take(batch), blocking(move || next_batch(reading)));
            if !taken? {
                return Ok(false);
            }
            (reading, batch) = ahead??;
        }
        self.take(batch).await
    }

    /// `false` when somebody else has read this batch; the cursor then stands behind it.
    async fn take(&mut self, batch: OwnedBatch) -> Result<bool, Failure> {
        self.skipped_lines += batch.skipped_lines;
        if batch.lines.is_empty() && !self.write_is_due {
            return Ok(true);
        }
        let waits = self.may_hold && !self.write_is_due && !batch.is_news && batch.at_end;
        let lines = self.hold(batch);
        if waits && lines <= MOST_HELD { Ok(true) } else { self.write().await }
    }

    /// Adds a batch to what is to be written; gives the number of its lines.
    fn hold(&mut self, batch: OwnedBatch) -> usize {
        let held = self.held.get_or_insert_with(|| AppendRollout {
            session_id: self.cursor.session_id.clone(),
            path: self.cursor.path.clone(),
            from_offset: self.cursor.offset,
            to_offset: self.cursor.offset,
            lines: Vec::new(),
            skipped_lines: 0,
            open_turn: None,
            asked: self.asked,
            at_end: false,
        });
        self.cursor.offset = batch.new_offset;
        self.cursor.open_turn.clone_from(&batch.open_turn);
        held.to_offset = batch.new_offset;
        held.lines.extend(batch.lines);
        held.skipped_lines += std::mem::take(&mut self.skipped_lines);
        held.open_turn = batch.open_turn;
        held.at_end = batch.at_end;
        held.lines.len()
    }

    /// Writes what was held. `false` when somebody else has read it; the cursor then stands behind it.
    async fn write(&mut self) -> Result<bool, Failure> {
        let Some(held) = self.held.take() else { return Ok(true) };
        let (new_events, skipped_lines) = (held.lines.len() as u64, held.skipped_lines);
        Point::RolloutRead.reach();
        let Some(appended) = self.store.write(held).await? else {
            self.cursor = self.store.read(GetCursor(self.cursor.session_id.clone())).await?;
            self.ingested.new_offset = self.cursor.offset;
            return Ok(false);
        };
        if appended.new_facts > 0 {
            Point::FactStored.reach();
            self.store.signals().raise(Topic::Work);
        }
        if appended.receipts > 0 {
            self.store.signals().raise(Topic::Deliveries);
        }
        self.cursor.behind = false;
        self.write_is_due = false;
        self.ingested.new_events += new_events;
        self.ingested.new_offset = self.cursor.offset;
        self.ingested.skipped_lines += skipped_lines;
        Ok(true)
    }
}

fn next_batch(mut reading: Reading) -> Result<(Reading, OwnedBatch), Failure> {
    let batch = reading.next_batch()?;
    Ok((reading, batch))
}
