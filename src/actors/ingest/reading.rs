//! A rollout being read: batches of lines, and what each means for turns and deliveries.

use std::path::Path;

use serde_json::{Value, json};

use crate::codex::rollout::{
    Batch, MetaError, OpenTurn, ParsedLine, ReadError, ReadLimits, RolloutLine, RolloutReader, SessionMeta,
    TurnChange, TurnError, TurnSignal, TurnTracker,
};
use crate::domain::shell::quoted;
use crate::domain::{Failure, FailureKind, OriginHeader, TurnKey};
use crate::store::codex_events::{Left, NewEvent};
use crate::store::receipts::Arrival;
use crate::store::rollout::{Cursor, Meaning, ReadLine};

/// How much one transaction takes in. Other changes wait for it, so it is kept short.
const LIMITS: ReadLimits = ReadLimits { batch_bytes: 1 << 20, batch_lines: 512, line_bytes: 64 << 20 };

/// A longer payload stays in the rollout and is read back from there when somebody wants to see it.
const STORED_BYTES: usize = 2 << 10;

/// A reader and the turn it is in.
pub(in crate::actors) struct Reading {
    reader: RolloutReader,
    turns: TurnTracker,
    session: Cursor,
    /// The first line was not read yet.
    at_start: bool,
}

/// Lines read in one go, without a borrow.
pub(in crate::actors) struct OwnedBatch {
    pub(in crate::actors) lines: Vec<ReadLine>,
    /// Something in it tells of a turn or a delivery: somebody may wait for that.
    pub(in crate::actors) is_news: bool,
    pub(in crate::actors) new_offset: u64,
    pub(in crate::actors) skipped_lines: u64,
    pub(in crate::actors) open_turn: Option<TurnKey>,
    pub(in crate::actors) at_end: bool,
}

impl Reading {
    pub(super) fn open(cursor: &Cursor) -> Result<Self, Failure> {
        Self::open_within(cursor, LIMITS)
    }

    pub(in crate::actors) fn open_within(cursor: &Cursor, limits: ReadLimits) -> Result<Self, Failure> {
        let path = Path::new(&cursor.path);
        let at_start = cursor.offset == 0;
        let reader = if at_start {
            RolloutReader::open(path, 0, limits).map_err(|error| read_failure(cursor, &error))?
        } else {
            let (reader, meta) = RolloutReader::open_described(path, cursor.offset, limits)
                .map_err(|error| meta_failure(cursor, &error))?;
            check_thread(cursor, &meta)?;
            reader
        };
        let turns = TurnTracker::resume(cursor.open_turn.as_ref().map(open_turn));
        Ok(Self { reader, turns, session: cursor.clone(), at_start })
    }

    pub(in crate::actors) fn next_batch(&mut self) -> Result<OwnedBatch, Failure> {
        let batch = self.reader.next_batch().map_err(|error| read_failure(&self.session, &error))?;
        if self.at_start {
            check_start(&self.session, &batch)?;
            self.at_start = batch.lines.is_empty() && batch.skipped_lines == 0;
        }
        let (turns, thread_id) = (&mut self.turns, self.session.thread_id.as_deref());
        let mut is_news = false;
        let read = |parsed: ParsedLine<'_>| {
            let signal = TurnSignal::of(&parsed.line);
            is_news |= signal.is_some();
            read_line(turns, thread_id, parsed, signal)
        };
        let lines = batch.lines.into_iter().map(read).collect();
        Ok(OwnedBatch {
            lines,
            is_news,
            new_offset: batch.new_offset,
            skipped_lines: batch.skipped_lines,
            open_turn: turns.open().map(|turn| TurnKey::new(turn.turn_id.clone(), turn.offset)),
            at_end: batch.at_end,
        })
    }
}

/// The first whole line of a rollout names its thread.
fn check_start(cursor: &Cursor, batch: &Batch<'_>) -> Result<(), Failure> {
    let first = batch.lines.first().filter(|first| first.offset == 0);
    match first.and_then(|first| SessionMeta::of(&first.line)) {
        Some(meta) => check_thread(cursor, &meta),
        None if batch.lines.is_empty() && batch.skipped_lines == 0 => Ok(()),
        None => Err(meta_failure(cursor, &MetaError::NotSessionMeta { path: cursor.path.clone().into() })),
    }
}

fn check_thread(cursor: &Cursor, meta: &SessionMeta) -> Result<(), Failure> {
    match &cursor.thread_id {
        Some(thread_id) if *thread_id != meta.id => Err(Failure::external(format!(
            "the rollout {} of session {} was replaced: it records thread {}, not {thread_id}",
            cursor.path, cursor.session_name, meta.id
        ))
        .hint(register_again(cursor))),
        _ => Ok(()),
    }
}

fn open_turn(key: &TurnKey) -> OpenTurn {
    let offset = match key {
        TurnKey::Offset(offset) => *offset,
        TurnKey::Id(_) => 0,
    };
    OpenTurn {
        turn_id: key.id().map(str::to_owned),
        offset,
        trigger: None,
        started_at: None,
        announced: true,
    }
}

fn read_line(
    turns: &mut TurnTracker,
    thread_id: Option<&str>,
    parsed: ParsedLine<'_>,
    signal: Option<TurnSignal>,
) -> ReadLine {
    let line = parsed.line;
    // What tells of a turn or a delivery is needed without the file.
    let is_left = signal.is_none() && line.payload.len() > STORED_BYTES;
    let meaning = match signal {
        Some(signal) => meaning(turns, parsed.offset, signal),
        None => forked_from(thread_id, &line).map(Meaning::ForkedFrom),
    };
    let payload =
        if is_left { Left { bytes: line.payload.len() }.to_json() } else { line.payload.into_owned() };
    ReadLine {
        ordinal: line.ordinal,
        meaning,
        event: NewEvent {
            byte_offset: parsed.offset,
            timestamp: line.timestamp.map(Into::into),
            kind: line.kind.into_owned(),
            subtype: line.subtype.map(Into::into),
            payload,
        },
    }
}

fn meaning(turns: &mut TurnTracker, offset: u64, signal: TurnSignal) -> Option<Meaning> {
    let arrival = arrival(&signal);
    match turns.apply(offset, signal) {
        Some(TurnChange::Ended(end)) => Some(Meaning::TurnEnded {
            key: TurnKey::new(end.turn_id, offset),
            outcome: end.outcome,
            error: end.error.as_ref().map(error_json),
            silent: end.last_agent_message.is_none(),
        }),
        // Without an id it could not be told from an end that is written later.
        Some(TurnChange::Abandoned(open)) => open.turn_id.map(|id| Meaning::TurnDied(TurnKey::Id(id))),
        None => arrival.map(Meaning::Arrived),
    }
}

/// Whose history the rollout of `thread_id` continues. An older Codex copies the lines of that thread,
/// the one that describes it among them, and does not name it otherwise.
fn forked_from(thread_id: Option<&str>, line: &RolloutLine<'_>) -> Option<String> {
    let meta = SessionMeta::of(line)?;
    if thread_id.is_none_or(|thread_id| thread_id == meta.id) { meta.forked_from_id } else { Some(meta.id) }
}

fn arrival(signal: &TurnSignal) -> Option<Arrival> {
    let TurnSignal::UserMessage { client_id, text, .. } = signal else { return None };
    let header = OriginHeader::split(text);
    let arrival = Arrival { client_message_id: client_id.clone(), header: header.map(|(header, _)| header) };
    (arrival != Arrival::default()).then_some(arrival)
}

fn error_json(error: &TurnError) -> Value {
    let info: Value =
        error.info.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    json!({"message": error.message, "codex_error_info": info})
}

fn meta_failure(cursor: &Cursor, error: &MetaError) -> Failure {
    match error {
        MetaError::Read(error) => read_failure(cursor, error),
        error => about(cursor, error).hint(register_again(cursor)),
    }
}

fn read_failure(cursor: &Cursor, error: &ReadError) -> Failure {
    let failure = about(cursor, error);
    match error {
        ReadError::Missing { .. } => Failure { kind: FailureKind::NotFound, ..failure }
            .hint("Codex makes the file when the session gets its first prompt")
            .hint(format!("if it was moved: `{} --codex-session PATH`", register(cursor))),
        ReadError::NotAFile { .. } => {
            failure.hint(format!("name the rollout: `{} --codex-session PATH`", register(cursor)))
        }
        ReadError::Unreadable { .. } => failure.hint("check the file's permissions and its disk"),
        ReadError::Shorter { .. } | ReadError::Replaced { .. } => failure.hint(register_again(cursor)),
    }
}

fn about(cursor: &Cursor, error: &dyn std::error::Error) -> Failure {
    Failure::external(format!("failed to read the events of session {}: {error}", cursor.session_name))
}

fn register(cursor: &Cursor) -> String {
    format!("conveyor register-{} --name {}", cursor.session_role, quoted(&cursor.session_name))
}

fn register_again(cursor: &Cursor) -> String {
    format!(
        "to read the file from its start, register the session again: `{} --codex-session {}`",
        register(cursor),
        cursor.path
    )
}
