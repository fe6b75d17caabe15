//! How long a worker was silent: the newest of its rollout events before an instant.

use rusqlite::{Connection, OptionalExtension};

use crate::store::{Query, StoreError};

/// A stretch of time in which nothing else happened to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Its begin.
    pub from: String,
    /// Its end.
    pub until: String,
}

/// What the worker did before the end of a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    /// The worker's name.
    pub session: String,
    /// Its newest event by then.
    pub event_id: i64,
    /// When that was.
    pub last_event_at: String,
    /// It was in the middle of a turn.
    pub in_turn: bool,
}

/// For each gap what the worker that was bound then had done by its end; `None` where it had done
/// nothing yet.
#[derive(Debug)]
pub struct FindQuiet {
    /// The task's id.
    pub task_id: String,
    /// The gaps.
    pub gaps: Vec<Gap>,
}

impl Query for FindQuiet {
    type Out = Vec<Option<Quiet>>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        self.gaps.iter().map(|gap| quiet(conn, &self.task_id, gap)).collect()
    }
}

fn quiet(conn: &Connection, task_id: &str, gap: &Gap) -> Result<Option<Quiet>, StoreError> {
    let worker: Option<(String, String)> = conn
        .prepare_cached(
            "SELECT s.id, s.name FROM bindings b JOIN sessions s ON s.id = b.worker_session_id
             WHERE b.task_id = ?1 AND b.created_at <= ?2 AND COALESCE(b.ended_at, '~') >= ?3
             ORDER BY b.rowid DESC LIMIT 1",
        )?
        .query_row((task_id, &gap.from, &gap.until), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((session_id, session)) = worker else { return Ok(None) };
    let Some(event_id) = newest_before(conn, &session_id, &gap.until)? else { return Ok(None) };
    let last_event_at = conn
        .prepare_cached("SELECT timestamp FROM codex_events WHERE id = ?1")?
        .query_row([event_id], |row| row.get(0))?;
    let in_turn = newest_of(conn, &session_id, event_id, &["task_started", "turn_started"])?
        > newest_of(conn, &session_id, event_id, &["task_complete", "turn_complete", "turn_aborted"])?;
    Ok(Some(Quiet { session, event_id, last_event_at, in_turn }))
}

/// A session's newest event before an instant. Its events are in the order of their instants, so the
/// index by session halves the search at each look.
fn newest_before(conn: &Connection, session_id: &str, until: &str) -> Result<Option<i64>, StoreError> {
    let mut at_or_after = conn.prepare_cached(
        "SELECT id, timestamp < ?3 FROM codex_events WHERE session_id = ?1 AND id >= ?2 ORDER BY id LIMIT 1",
    )?;
    let mut newest = None;
    let mut low = 0;
    let mut high: i64 = conn
        .prepare_cached("SELECT COALESCE(MAX(id), 0) + 1 FROM codex_events WHERE session_id = ?1")?
        .query_row([session_id], |row| row.get(0))?;
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, bool)> = at_or_after
            .query_row((session_id, middle, until), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match found {
            Some((id, true)) => {
                newest = Some(id);
                low = id + 1;
            }
            Some((_, false)) | None => high = middle,
        }
    }
    Ok(newest)
}

/// The newest event of a session of one of these subtypes, not after the event `until`; 0 if none.
fn newest_of(conn: &Connection, session_id: &str, until: i64, subtypes: &[&str]) -> Result<i64, StoreError> {
    let mut newest = conn.prepare_cached(
        "SELECT COALESCE(MAX(id), 0) FROM codex_events WHERE session_id = ?1 AND subtype = ?2 AND id <= ?3",
    )?;
    let mut best = 0;
    for subtype in subtypes {
        best = best.max(newest.query_row((session_id, subtype, until), |row| row.get(0))?);
    }
    Ok(best)
}
