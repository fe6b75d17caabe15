//! Captures: the text of a terminal at one instant, and the segments of it that are kept as the
//! transcript.

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value, json};

use super::events::{self, Event};
use super::observations::{self, Observation};
use super::sessions::Session;
use super::tasks::Task;
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{StoreError, runs};
use crate::domain::busy_wait::{self, Quiet};
use crate::domain::digest::sha256;
use crate::domain::redaction::redact;
use crate::domain::startup::Startup;
use crate::domain::time::now_iso;
use crate::domain::transcript::{CaptureMode, Segment};

/// Status age from which a screen counts as standing still, in seconds.
const BUSY_WAIT_SECONDS: f64 = 90.0;

/// A captured terminal, before it is recorded.
#[derive(Debug, Clone)]
pub struct NewCapture<'a> {
    /// The task it is captured for.
    pub task: &'a Task,
    /// The session it shows.
    pub session: &'a Session,
    /// The pane that was captured.
    pub pane_id: &'a str,
    /// The command it is part of.
    pub command_id: Option<&'a str>,
    /// What asked for it, e.g. `transcript_capture`.
    pub source: &'a str,
    /// Lines of scroll-back that were asked for.
    pub history_lines: u32,
    /// What is kept of it.
    pub mode: CaptureMode,
    /// What the terminal showed.
    pub text: &'a str,
}

/// A recorded capture.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// Its row id.
    pub id: i64,
    /// A segment of it was kept: there was something new.
    pub has_segment: bool,
    /// What commands show of it; no terminal text.
    pub entry: Value,
}

impl Capture {
    /// The entry with the terminal's text, for those who asked for it.
    pub fn with_text(mut self, text: &str) -> Value {
        if let Some(capture) = self.entry["capture"].as_object_mut() {
            capture.retain(|key, _| !key.starts_with("output"));
            capture.insert("output".to_owned(), json!(text));
        }
        self.entry
    }
}

/// Records a capture, the segment of it that is kept, an observation, an event and telemetry.
///
/// # Errors
/// Whatever SQLite answers.
pub fn record(conn: &Connection, new: &NewCapture<'_>) -> Result<Capture, StoreError> {
    let previous = latest(conn, &new.task.id, new.session)?;
    let classifier = classify(new.text);
    let sha256 = sha256(new.text);
    let line_count = new.text.lines().count();
    let id = insert(conn, new, &classifier, &sha256)?;
    let segment = Segment::of(new.mode, previous.as_ref().map(|(_, text)| text.as_str()), new.text);
    let previous_id = previous.map(|(id, _)| id);
    let segment = match &segment {
        Some(segment) => Some(insert_segment(conn, new, segment, id, previous_id)?),
        None => None,
    };
    let observation_id = observe(conn, new, id, line_count)?;
    tell(conn, new, id, line_count)?;

    let session = new.session;
    let mut entry = Map::from_iter([
        ("binding_id".to_owned(), Value::Null),
        (
            "capture".to_owned(),
            redact(json!({
                "classifier": classifier,
                "content_sha256": sha256,
                "history_lines": new.history_lines,
                "id": id,
                "line_count": line_count,
                "output": new.text,
                "source": new.source,
            })),
        ),
        ("observation_id".to_owned(), json!(observation_id)),
        ("role".to_owned(), json!(session.role)),
        ("task".to_owned(), json!({ "id": new.task.id, "name": new.task.name, "state": new.task.state })),
        ("transcript_segment".to_owned(), json!(segment)),
    ]);
    entry.insert(
        session.role.to_string(),
        json!({
            "id": session.id,
            "name": session.name,
            "state": session.state,
            "tmux_pane_id": new.pane_id,
            "tmux_session": session.tmux_session,
        }),
    );
    Ok(Capture { id, has_segment: segment.is_some(), entry: Value::Object(entry) })
}

/// The newest capture of this side of the task that still has its text.
fn latest(conn: &Connection, task_id: &str, session: &Session) -> Result<Option<(i64, String)>, StoreError> {
    let newest: Option<(i64, Option<String>)> = conn
        .prepare_cached(
            "SELECT id, content FROM terminal_captures WHERE task_id = ?1 AND role = ?2 ORDER BY id DESC LIMIT 1",
        )?
        .query_row((task_id, session.role.as_str()), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(newest.and_then(|(id, text)| Some((id, text?))))
}

fn classify(text: &str) -> Value {
    let quiet = Quiet { status_age_seconds: None, busy_wait_seconds: BUSY_WAIT_SECONDS, recent_events: 0 };
    let startup = Startup::of(text);
    let reason = if text.trim().is_empty() { "terminal output is empty" } else { startup.reason() };
    json!({ "busy_wait": busy_wait::classify(text, &quiet), "startup": [startup, reason] })
}

/// As SQLite stores it.
fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn insert(
    conn: &Connection,
    new: &NewCapture<'_>,
    classifier: &Value,
    sha256: &str,
) -> Result<i64, StoreError> {
    conn.prepare_cached(
        "INSERT INTO terminal_captures
            (task_id, role, tmux_session, tmux_pane_id, command_id, captured_at, history_lines, content_sha256,
             content, byte_count, line_count, classifier_json, source)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute((
        &new.task.id,
        new.session.role.as_str(),
        new.session.tmux_session.as_deref().unwrap_or_default(),
        new.pane_id,
        new.command_id,
        now_iso(),
        new.history_lines,
        sha256,
        new.text,
        number(new.text.len()),
        number(new.text.lines().count()),
        classifier.to_string(),
        new.source,
    ))?;
    Ok(conn.last_insert_rowid())
}

fn insert_segment(
    conn: &Connection,
    new: &NewCapture<'_>,
    segment: &Segment,
    capture_id: i64,
    previous_id: Option<i64>,
) -> Result<Value, StoreError> {
    let text = segment.text.as_deref();
    let line_count = text.unwrap_or_default().lines().count();
    conn.prepare_cached(
        "INSERT INTO transcript_segments
            (task_id, role, source_capture_id, previous_capture_id, captured_at, content_sha256, segment_text,
             segment_start_line, segment_end_line, byte_count, line_count, retention_class, segment_kind, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'hot', ?12, ?5)",
    )?
    .execute((
        &new.task.id,
        new.session.role.as_str(),
        capture_id,
        previous_id,
        now_iso(),
        sha256(text.unwrap_or_default()),
        text,
        segment.start_line.map(number),
        segment.end_line.map(number),
        number(text.unwrap_or_default().len()),
        number(line_count),
        segment.kind.as_str(),
    ))?;
    let id = conn.last_insert_rowid();
    emit(
        conn,
        new,
        "transcript_segment_recorded",
        json!({ "line_count": line_count, "segment_id": id, "segment_kind": segment.kind }),
    )?;
    Ok(json!({
        "id": id,
        "line_count": line_count,
        "mode": new.mode,
        "previous_capture_id": previous_id,
        "segment_kind": segment.kind,
        "source_capture_id": capture_id,
    }))
}

fn observe(
    conn: &Connection,
    new: &NewCapture<'_>,
    capture_id: i64,
    line_count: usize,
) -> Result<i64, StoreError> {
    let role = new.session.role;
    observations::record(
        conn,
        &Observation {
            task_id: &new.task.id,
            command_id: new.command_id,
            source_capture_id: Some(capture_id),
            role: role.as_str(),
            kind: "capture",
            severity: Severity::Info,
            message: &format!("captured {line_count} lines of the {role}'s terminal"),
            payload: json!({ "capture_id": capture_id, "line_count": line_count, "source": new.source }),
        },
    )
}

fn tell(
    conn: &Connection,
    new: &NewCapture<'_>,
    capture_id: i64,
    line_count: usize,
) -> Result<(), StoreError> {
    let facts = json!({
        "capture_id": capture_id,
        "history_lines": new.history_lines,
        "line_count": line_count,
        "mode": new.mode,
        "session": new.session.name,
        "source": new.source,
    });
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: &format!("{}_terminal_captured", new.session.role),
            task_id: Some(&new.task.id),
            command_id: new.command_id,
            correlation_id: None,
            payload: facts.clone(),
        },
    )?;
    emit(conn, new, "terminal_capture_recorded", facts)
}

fn emit(
    conn: &Connection,
    new: &NewCapture<'_>,
    event_type: &str,
    attributes: Value,
) -> Result<(), StoreError> {
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Workerctl,
            event_type,
            severity: Severity::Info,
            summary: &format!("{}'s terminal captured", new.session.role),
            task_id: Some(&new.task.id),
            run_id: runs::active_of_task(conn, &new.task.id)?.as_deref(),
            correlation: json!({ "command_id": new.command_id, "session_id": new.session.id }),
            attributes,
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    #[test]
    fn a_capture_keeps_what_is_new_and_shows_no_text() {
        let mut db = TestDb::new();
        let bound = db.pair("t1");
        let capture = |text: &str| {
            let new = NewCapture {
                task: &bound.task,
                session: &bound.worker,
                pane_id: "%1",
                command_id: None,
                source: "transcript_capture",
                history_lines: 200,
                mode: CaptureMode::Segment,
                text,
            };
            record(&db.conn, &new).unwrap()
        };
        let first = capture("a secret\nline");
        assert!(first.has_segment && !first.entry.to_string().contains("secret"), "{}", first.entry);
        assert_eq!(first.entry["capture"]["output_redacted"], true);
        assert_eq!(first.entry["worker"]["tmux_pane_id"], "%1");
        assert_eq!(first.with_text("a secret")["capture"]["output"], "a secret");
        assert!(!capture("a secret\nline").has_segment);
        let third = capture("a secret\nline\nmore");
        assert_eq!(third.entry["transcript_segment"]["previous_capture_id"], 2);
        assert_eq!(
            db.texts("SELECT segment_text FROM transcript_segments ORDER BY id"),
            ["a secret\nline", "more"]
        );
        assert_eq!(db.number("SELECT count(*) FROM terminal_captures"), 3);
        assert_eq!(
            db.texts("SELECT DISTINCT type FROM events WHERE type LIKE '%captured'"),
            ["worker_terminal_captured"]
        );
        let told = db
            .texts("SELECT payload_json FROM events UNION ALL SELECT attributes_json FROM telemetry_events");
        assert!(told.iter().all(|text| !text.contains("secret")), "{told:?}");
    }
}
