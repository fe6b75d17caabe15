//! Codex events: the lines of the sessions' rollouts, as they were read.
//!
//! The table grows with every line of every session, so each query here ends in an index after a
//! number of steps that does not depend on how much there is.

use std::convert::identity;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};
use serde_json::Value;

use super::StoreError;
use crate::domain::Activity;
use crate::domain::activity::STATE_SUBTYPES;

/// A rollout line, about to be inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Where the line starts in the rollout.
    pub byte_offset: u64,
    /// When Codex wrote it; the time of reading when the line does not say.
    pub timestamp: Option<String>,
    /// The line's type, e.g. `event_msg`.
    pub kind: String,
    /// The payload's type, for `event_msg` lines.
    pub subtype: Option<String>,
    /// The payload, as JSON; or [`Left::to_json`].
    pub payload: String,
}

/// What is stored in place of a payload that was left in the rollout because it is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Its length there.
    pub bytes: usize,
}

impl Left {
    /// As it is stored: an object, for agent-conveyor expects one.
    pub fn to_json(self) -> String {
        format!("{{\"left_in_rollout_bytes\":{}}}", self.bytes)
    }

    /// What a stored payload stands for, when it is one of these.
    pub fn of(payload: &Value) -> Option<Self> {
        let members = payload.as_object().filter(|members| members.len() == 1)?;
        let bytes = members.get("left_in_rollout_bytes")?.as_u64()?;
        Some(Self { bytes: usize::try_from(bytes).ok()? })
    }
}

/// Inserts a line read at `now`; gives the event's id.
///
/// # Errors
/// Whatever SQLite answers.
pub fn insert(conn: &Connection, session_id: &str, event: &NewEvent, now: &str) -> Result<i64, StoreError> {
    match insert_with(conn, session_id, event, &event.payload, now) {
        // JSON nested deeper than SQLite follows. What kind of line it was still counts.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            insert_with(conn, session_id, event, "{}", now)?;
        }
        inserted => inserted?,
    }
    Ok(conn.last_insert_rowid())
}

fn insert_with(
    conn: &Connection,
    session_id: &str,
    event: &NewEvent,
    payload: &str,
    now: &str,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO codex_events (session_id, timestamp, type, subtype, payload_json, byte_offset, ingested_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        session_id,
        event.timestamp.as_deref().unwrap_or(now),
        &event.kind,
        &event.subtype,
        payload,
        event.byte_offset as i64,
        now,
    ))?;
    Ok(())
}

/// A row of `codex_events`.
#[derive(Debug, Clone, PartialEq)]
pub struct CodexEvent {
    /// Row id; grows with time.
    pub id: i64,
    /// When Codex wrote the line.
    pub timestamp: String,
    /// The line's type.
    pub kind: String,
    /// The payload's type, for `event_msg` lines.
    pub subtype: Option<String>,
    /// The payload.
    pub payload: Value,
    /// Where the line starts in the rollout.
    pub byte_offset: i64,
    /// When it was read.
    pub ingested_at: String,
}

const COLUMNS: &str = "id, timestamp, type, subtype, payload_json, byte_offset, ingested_at";

impl CodexEvent {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let payload: String = row.get(4)?;
        Ok(Self {
            id: row.get(0)?,
            timestamp: row.get(1)?,
            kind: row.get(2)?,
            subtype: row.get(3)?,
            payload: serde_json::from_str(&payload).unwrap_or_default(),
            byte_offset: row.get(5)?,
            ingested_at: row.get(6)?,
        })
    }
}

/// The newest events of a session, newest first; only those with `subtype` when it is given.
/// `shape` is applied to each payload as it is read.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest(
    conn: &Connection,
    session_id: &str,
    subtype: Option<&str>,
    limit: u32,
    shape: impl Fn(Value) -> Value,
) -> Result<Vec<CodexEvent>, StoreError> {
    let events = conn
        .prepare_cached(&select_newest(COLUMNS, subtype))?
        .query_map((session_id, subtype, limit), |row| {
            let event = CodexEvent::of(row)?;
            Ok(CodexEvent { payload: shape(event.payload), ..event })
        })?
        .collect::<Result<_, _>>()?;
    Ok(events)
}

/// The bytes of the payloads that [`newest`] would read, with what was left in the rollout.
///
/// # Errors
/// Whatever SQLite answers.
pub fn payload_bytes(
    conn: &Connection,
    session_id: &str,
    subtype: Option<&str>,
    limit: u32,
) -> Result<i64, StoreError> {
    let bytes = "COALESCE(payload_json ->> '$.left_in_rollout_bytes', octet_length(payload_json)) AS bytes";
    let sizes = select_newest(bytes, subtype);
    let sql = format!("SELECT COALESCE(SUM(bytes), 0) FROM ({sizes})");
    Ok(conn.prepare_cached(&sql)?.query_row((session_id, subtype, limit), |row| row.get(0))?)
}

fn select_newest(columns: &str, subtype: Option<&str>) -> String {
    let condition = if subtype.is_some() { "subtype = ?2" } else { "?2 IS NULL" };
    format!(
        "SELECT {columns} FROM codex_events WHERE session_id = ?1 AND {condition} ORDER BY id DESC LIMIT ?3"
    )
}

/// What the newest events of a session tell of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Whether a turn runs.
    pub activity: Activity,
    /// When the event that tells this was written.
    pub state_event_at: Option<String>,
    /// The subtype of the newest event of any kind.
    pub last_subtype: Option<String>,
    /// The id of that event.
    pub last_event_id: Option<i64>,
}

/// The id of the newest event of any session; 0 when there is none.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_id(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn
        .prepare_cached("SELECT COALESCE(MAX(id), 0) FROM codex_events")?
        .query_row([], |row| row.get(0))?)
}

/// What the newest events of a session tell.
///
/// # Errors
/// Whatever SQLite answers.
pub fn told(conn: &Connection, session_id: &str) -> Result<Told, StoreError> {
    let state_event = newest_before(conn, session_id, &STATE_SUBTYPES, i64::MAX)?;
    let newest = conn
        .prepare_cached(
            "SELECT id, subtype FROM codex_events WHERE session_id = ?1 ORDER BY id DESC LIMIT 1",
        )?
        .query_row([session_id], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?)))
        .optional()?;
    let (last_event_id, last_subtype) = newest.unzip();
    let (state_subtype, state_event_at) = match state_event {
        None => (None, None),
        Some(id) => conn
            .prepare_cached("SELECT subtype, timestamp FROM codex_events WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get::<_, Option<String>>(0)?, row.get(1)?)))?,
    };
    let activity = state_subtype.as_deref().and_then(Activity::after).unwrap_or_default();
    let has_crashed = activity == Activity::Busy && has_crashed(conn, session_id, state_event)?;
    Ok(Told {
        activity: if has_crashed { Activity::Idle } else { activity },
        state_event_at,
        last_subtype: last_subtype.flatten(),
        last_event_id,
    })
}

/// Whether the turn that an event started is known to have ended, without an event of its own: its
/// process stopped.
fn has_crashed(conn: &Connection, session_id: &str, started_by: Option<i64>) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM turn_facts f JOIN sessions s ON s.id = ?1
                 WHERE f.thread_id = COALESCE(s.codex_session_id, s.id) AND f.event_id IS NULL
                   AND f.turn_key = (SELECT payload_json ->> '$.turn_id' FROM codex_events WHERE id = ?2))",
        )?
        .query_row((session_id, started_by), |row| row.get(0))?)
}

/// The id of the newest event of a session with one of these subtypes and an id below `before`.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_before(
    conn: &Connection,
    session_id: &str,
    subtypes: &[&str],
    before: i64,
) -> Result<Option<i64>, StoreError> {
    // One look at the end of the index for each: `subtype IN (…)` would sort all their events.
    let mut statement = conn.prepare_cached(
        "SELECT MAX(id) FROM codex_events WHERE session_id = ?1 AND subtype = ?2 AND id < ?3",
    )?;
    let mut newest: Option<i64> = None;
    for subtype in subtypes {
        newest = newest.max(statement.query_row((session_id, subtype, before), |row| row.get(0))?);
    }
    Ok(newest)
}

/// The newest event of a session with this subtype.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_of(
    conn: &Connection,
    session_id: &str,
    subtype: &str,
) -> Result<Option<CodexEvent>, StoreError> {
    Ok(newest(conn, session_id, Some(subtype), 1, identity)?.pop())
}
