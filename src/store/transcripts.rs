//! Transcripts: the segments of the terminals that are kept, and what is dropped of them.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::captures::{self, Capture, NewCapture};
use super::events::{self, Event};
use super::page::{self, Newest, Page, Source};
use super::sessions::Session;
use super::tasks::{self, Task};
use super::{Change, Query, StoreError, answer_size, bindings, row, sessions};
use crate::domain::shell::quoted;
use crate::domain::transcript::{CaptureMode, SegmentKind};
use crate::domain::{Failure, Role, Sides};

/// A row of `transcript_segments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSegment {
    /// Its row id.
    pub id: i64,
    /// The task.
    pub task_id: String,
    /// Whose terminal.
    pub role: Role,
    /// The capture it is a part of.
    pub source_capture_id: i64,
    /// The capture before.
    pub previous_capture_id: Option<i64>,
    /// When the terminal showed it.
    pub captured_at: String,
    /// The hash of its text.
    pub content_sha256: String,
    /// Its text; none for metadata, and after it was dropped.
    pub segment_text: Option<String>,
    /// Its first line in the capture, counted from 1.
    pub segment_start_line: Option<i64>,
    /// Its last line.
    pub segment_end_line: Option<i64>,
    /// Bytes of the text, also after it was dropped.
    pub byte_count: i64,
    /// Lines of the text, likewise.
    pub line_count: i64,
    /// `hot`, `warm`, `cold` or `redacted`.
    pub retention_class: String,
    /// What it is.
    pub segment_kind: SegmentKind,
    /// Something was taken out of its text.
    pub redacted: bool,
    /// When it was recorded.
    pub created_at: String,
}

const COLUMNS: &str = "id, task_id, role, source_capture_id, previous_capture_id, captured_at, content_sha256, \
    segment_text, segment_start_line, segment_end_line, byte_count, line_count, retention_class, segment_kind, \
    redacted, created_at";

impl StoredSegment {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            role: row::word(row, 2)?,
            source_capture_id: row.get(3)?,
            previous_capture_id: row.get(4)?,
            captured_at: row.get(5)?,
            content_sha256: row.get(6)?,
            segment_text: row.get(7)?,
            segment_start_line: row.get(8)?,
            segment_end_line: row.get(9)?,
            byte_count: row.get(10)?,
            line_count: row.get(11)?,
            retention_class: row.get(12)?,
            segment_kind: row::word(row, 13)?,
            redacted: row.get(14)?,
            created_at: row.get(15)?,
        })
    }
}

/// The newest segments of a task, oldest first, with their texts.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest(
    conn: &Connection,
    task_id: &str,
    sides: Sides,
    limit: u32,
) -> Result<Vec<StoredSegment>, StoreError> {
    let newest = select_newest(COLUMNS, sides);
    let sql = format!("SELECT * FROM ({newest}) ORDER BY id");
    let segments = conn
        .prepare_cached(&sql)?
        .query_map((task_id, limit), StoredSegment::of)?
        .collect::<Result<_, _>>()?;
    Ok(segments)
}

/// The newest segments of a task within a page; their texts only when those are to be shown.
///
/// # Errors
/// Whatever SQLite answers; `Refused` when the texts are too much for one answer.
pub fn newest_of_task(
    conn: &Connection,
    task_id: &str,
    page: &Page,
    include_content: bool,
) -> Result<Newest<StoredSegment>, StoreError> {
    let newest = |columns: &str| format!("SELECT {columns} FROM transcript_segments");
    fn source(select: &str) -> Source<'_> {
        Source { select, of_task: "task_id = ?1", at: "captured_at", order: "id", written_at_once: None }
    }
    if include_content {
        let sizes = newest("octet_length(segment_text)");
        let sizes = page::newest(conn, &source(&sizes), task_id, page, |row| row.get::<_, Option<i64>>(0))?;
        answer_size::refuse_too_much(sizes.rows.iter().flatten().sum(), "the transcripts of the task")?;
    }
    let columns = if include_content { COLUMNS } else { &COLUMNS.replace("segment_text", "NULL") };
    page::newest(conn, &source(&newest(columns)), task_id, page, StoredSegment::of)
}

fn select_newest(columns: &str, sides: Sides) -> String {
    let side = match sides {
        Sides::All => "",
        Sides::Worker => "AND role = 'worker'",
        Sides::Manager => "AND role = 'manager'",
    };
    format!("SELECT {columns} FROM transcript_segments WHERE task_id = ?1 {side} ORDER BY id DESC LIMIT ?2")
}

/// The newest segments of a task named by a person, oldest first, with their texts.
#[derive(Debug)]
pub struct ShowTranscript {
    /// The task, by id or name.
    pub task: String,
    /// Whose terminals.
    pub sides: Sides,
    /// At most this many.
    pub limit: u32,
    /// The texts will be shown, so that they must not be too much for one answer.
    pub include_content: bool,
}

impl Query for ShowTranscript {
    type Out = (Task, Vec<StoredSegment>);

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        let task = tasks::get(conn, &self.task)?;
        if self.include_content {
            let sizes = select_newest("octet_length(segment_text) AS bytes", self.sides);
            let sql = format!("SELECT COALESCE(SUM(bytes), 0) FROM ({sizes})");
            let bytes = conn.prepare_cached(&sql)?.query_row((&task.id, self.limit), |row| row.get(0))?;
            answer_size::refuse_too_much(bytes, &format!("the transcripts of task {}", task.name))?;
        }
        let segments = newest(conn, &task.id, self.sides, self.limit)?;
        Ok((task, segments))
    }
}

/// A task and the sessions of the pair that is, or was last, bound to it.
#[derive(Debug)]
pub struct PairToCapture {
    /// The task, by id or name.
    pub task: String,
    /// Which of the two.
    pub sides: Sides,
}

impl Query for PairToCapture {
    type Out = (Task, Vec<Session>);

    /// # Errors
    /// `NotFound` for an unknown task, `Refused` for one that was never bound.
    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        let task = tasks::get(conn, &self.task)?;
        let Some(binding) = bindings::latest_of_task(conn, &task.id)? else {
            return Err(Failure::refused(format!("task {} was never bound to a pair", task.name))
                .hint(format!(
                    "conveyor bind --task {} --worker WORKER --manager MANAGER",
                    quoted(&task.name)
                ))
                .into());
        };
        let session = |role: &Role| match role {
            Role::Worker => sessions::get(conn, &binding.worker_session_id),
            Role::Manager => sessions::get(conn, &binding.manager_session_id),
        };
        let sessions = self.sides.roles().iter().map(session).collect::<Result<_, _>>()?;
        Ok((task, sessions))
    }
}

/// Records what a terminal showed.
#[derive(Debug)]
pub struct RecordCapture {
    /// The task.
    pub task: Task,
    /// The session in the terminal.
    pub session: Session,
    /// The pane.
    pub pane_id: String,
    /// Lines of scroll-back that were asked for.
    pub history_lines: u32,
    /// What is kept.
    pub mode: CaptureMode,
    /// What the terminal showed.
    pub text: String,
}

impl Change for RecordCapture {
    type Out = Capture;

    fn run(self, tx: &Connection) -> Result<Capture, StoreError> {
        captures::record(
            tx,
            &NewCapture {
                task: &self.task,
                session: &self.session,
                pane_id: &self.pane_id,
                command_id: None,
                source: "transcript_capture",
                history_lines: self.history_lines,
                mode: self.mode,
                text: &self.text,
            },
        )
    }
}

/// What pruning dropped, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Nothing was changed.
    pub dry_run: bool,
    /// How many of the newest keep their texts.
    pub keep_latest: u32,
    /// Texts that were dropped.
    pub pruned_count: usize,
    /// Texts that are too many.
    pub would_prune_count: usize,
}

impl Pruned {
    fn new(keep_latest: u32, dry_run: bool, surplus: usize) -> Self {
        let pruned_count = if dry_run { 0 } else { surplus };
        Self { dry_run, keep_latest, pruned_count, would_prune_count: surplus }
    }
}

/// Drops the texts of a task's segments but the newest of each side, and the captures they were
/// part of. The latest capture of a side stays: what is new is told by it.
#[derive(Debug)]
pub struct PruneTranscript {
    /// The task, by id or name.
    pub task: String,
    /// How many of the newest keep their texts.
    pub keep_latest: u32,
    /// Only count.
    pub dry_run: bool,
}

impl Change for PruneTranscript {
    type Out = Pruned;

    fn run(self, tx: &Connection) -> Result<Pruned, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        let mut surplus: Vec<i64> = Vec::new();
        for role in Role::ALL {
            surplus.extend(surplus_segments(tx, &task.id, *role, self.keep_latest)?);
        }
        surplus.sort_unstable_by(|a, b| b.cmp(a));
        if !self.dry_run && !surplus.is_empty() {
            drop_segment_texts(tx, &task.id, &surplus)?;
            let payload = json!({ "keep_latest": self.keep_latest, "segment_ids": surplus });
            tell_pruned(tx, Some(&task.id), "transcript_segments_pruned", payload)?;
        }
        Ok(Pruned::new(self.keep_latest, self.dry_run, surplus.len()))
    }
}

fn surplus_segments(conn: &Connection, task_id: &str, role: Role, keep: u32) -> Result<Vec<i64>, StoreError> {
    let ids = conn
        .prepare_cached(
            "SELECT id FROM (SELECT id, segment_text IS NOT NULL AS has_text FROM transcript_segments
                             WHERE task_id = ?1 AND role = ?2 ORDER BY id DESC LIMIT -1 OFFSET ?3)
             WHERE has_text",
        )?
        .query_map((task_id, role.as_str(), keep), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(ids)
}

fn drop_segment_texts(conn: &Connection, task_id: &str, ids: &[i64]) -> Result<(), StoreError> {
    for_each(
        conn,
        ids,
        "UPDATE transcript_segments SET segment_text = NULL, segment_kind = 'metadata', retention_class = 'cold'
         WHERE id = ?1",
    )?;
    conn.prepare_cached(
        "UPDATE terminal_captures SET content = NULL
         WHERE task_id = ?1 AND content IS NOT NULL
           AND id < (SELECT MAX(later.id) FROM terminal_captures later
                     WHERE later.task_id = ?1 AND later.role = terminal_captures.role)
           AND NOT EXISTS (SELECT 1 FROM transcript_segments s
                           WHERE s.task_id = ?1 AND s.role = terminal_captures.role
                             AND s.segment_text IS NOT NULL AND s.source_capture_id <= terminal_captures.id)",
    )?
    .execute([task_id])?;
    Ok(())
}

/// Drops the texts of the captures of legacy workers but the newest of each.
#[derive(Debug)]
pub struct PruneCaptures {
    /// How many of the newest keep their texts.
    pub keep_latest: u32,
    /// Only count.
    pub dry_run: bool,
}

impl Change for PruneCaptures {
    type Out = Pruned;

    fn run(self, tx: &Connection) -> Result<Pruned, StoreError> {
        let surplus: Vec<i64> = tx
            .prepare_cached(
                "SELECT c.id FROM workers w JOIN transcript_captures c ON c.worker_id = w.id
                 WHERE c.content IS NOT NULL
                   AND (SELECT COUNT(*) FROM (SELECT 1 FROM transcript_captures later
                        WHERE later.worker_id = w.id AND later.id > c.id LIMIT ?1)) >= ?1
                 ORDER BY c.id DESC",
            )?
            .query_map([self.keep_latest], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        if !self.dry_run && !surplus.is_empty() {
            for_each(
                tx,
                &surplus,
                "UPDATE transcript_captures
                 SET content = NULL, capture_kind = 'metadata_only', retention_class = 'warm' WHERE id = ?1",
            )?;
            let payload = json!({ "capture_ids": surplus, "keep_latest": self.keep_latest });
            tell_pruned(tx, None, "transcript_captures_pruned", payload)?;
        }
        Ok(Pruned::new(self.keep_latest, self.dry_run, surplus.len()))
    }
}

fn for_each(conn: &Connection, ids: &[i64], update: &str) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(update)?;
    for id in ids {
        statement.execute([id])?;
    }
    Ok(())
}

fn tell_pruned(
    conn: &Connection,
    task_id: Option<&str>,
    event_type: &str,
    payload: Value,
) -> Result<(), StoreError> {
    events::record(conn, &Event { actor: "workerctl", event_type, task_id, payload, ..Event::default() })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::bindings::BoundTask;
    use crate::store::testing::TestDb;

    fn capture(db: &mut TestDb, pair: &BoundTask, role: Role, text: &str) {
        let session = if role == Role::Worker { &pair.worker } else { &pair.manager };
        let record = RecordCapture {
            task: pair.task.clone(),
            session: session.clone(),
            pane_id: "%1".into(),
            history_lines: 200,
            mode: CaptureMode::Segment,
            text: text.into(),
        };
        db.write(record).unwrap();
    }

    fn show(sides: Sides, limit: u32) -> ShowTranscript {
        ShowTranscript { task: "t1".into(), sides, limit, include_content: true }
    }

    fn database() -> TestDb {
        let mut db = TestDb::new();
        let pair = db.pair("t1");
        for text in ["a", "a", "a\nb", "a\nb\nc"] {
            capture(&mut db, &pair, Role::Worker, text);
        }
        capture(&mut db, &pair, Role::Manager, "m");
        db
    }

    #[test]
    fn the_newest_segments_are_shown_in_their_order() {
        let db = database();
        let check = |sides, limit, expect: &[&str]| {
            let (_, segments) = db.read(show(sides, limit));
            let texts: Vec<&str> = segments.iter().flat_map(|s| s.segment_text.as_deref()).collect();
            assert_eq!(texts, expect, "{sides} {limit}");
        };
        check(Sides::All, 10, &["a", "b", "c", "m"]);
        check(Sides::All, 2, &["c", "m"]);
        check(Sides::Worker, 2, &["b", "c"]);
        check(Sides::Manager, 2, &["m"]);
        check(Sides::All, 0, &[]);
    }

    #[test]
    fn more_text_than_one_answer_carries_is_refused() {
        let mut db = TestDb::new();
        let pair = db.pair("t1");
        capture(&mut db, &pair, Role::Worker, &"x".repeat(17 << 20));
        let refusal = show(Sides::All, 10).run(&db.conn).unwrap_err().to_string();
        assert!(refusal.contains("t1"), "{refusal}");
        assert_eq!(db.read(ShowTranscript { include_content: false, ..show(Sides::All, 10) }).1.len(), 1);
    }

    #[test]
    fn pruning_a_task_keeps_the_newest_texts_of_each_side() {
        let mut db = database();
        let mut prune = |keep_latest, dry_run| {
            let pruned = db.write(PruneTranscript { task: "t1".into(), keep_latest, dry_run }).unwrap();
            (pruned.would_prune_count, pruned.pruned_count)
        };
        assert_eq!(prune(1, true), (2, 0));
        assert_eq!(prune(1, false), (2, 2));
        assert_eq!(prune(1, false), (0, 0));
        let kept = "SELECT segment_text FROM transcript_segments WHERE segment_text IS NOT NULL ORDER BY id";
        assert_eq!(db.texts(kept), ["c", "m"]);
        let captures = "SELECT content FROM terminal_captures WHERE content IS NOT NULL ORDER BY id";
        assert_eq!(db.texts(captures), ["a\nb\nc", "m"]);
        assert_eq!(
            db.jsons("SELECT payload_json FROM events WHERE type = 'transcript_segments_pruned'"),
            [json!({ "keep_latest": 1, "segment_ids": [2, 1] })]
        );
        let pair = bindings::bound_task(&db.conn, "t1").unwrap();
        capture(&mut db, &pair, Role::Worker, "a\nb\nc\nd");
        assert_eq!(db.read(show(Sides::Worker, 1)).1[0].segment_text.as_deref(), Some("d"));
    }

    #[test]
    fn pruning_captures_keeps_the_newest_of_each_legacy_worker() {
        let mut db = TestDb::new();
        db.conn
            .execute_batch(
                "INSERT INTO workers (id, name, tmux_session, identity_token, cwd, state, created_at, updated_at)
                 VALUES ('w-a', 'a', 'a', 'a', '/', 'active', 'now', 'now'), ('w-b', 'b', 'b', 'b', '/', 'active', 'now', 'now');
                 INSERT INTO transcript_captures (worker_id, sha256, content, captured_at, changed_at, history_lines,
                     byte_count, line_count, capture_kind, retention_class)
                 SELECT worker, 'h', 'text', 'now', 'now', 200, 4, 1, 'changed', 'hot'
                 FROM (SELECT 'w-a' AS worker UNION ALL SELECT 'w-a' UNION ALL SELECT 'w-a' UNION ALL SELECT 'w-b');",
            )
            .unwrap();
        let mut prune = |keep_latest, dry_run| {
            let pruned = db.write(PruneCaptures { keep_latest, dry_run }).unwrap();
            (pruned.would_prune_count, pruned.pruned_count)
        };
        assert_eq!(prune(2, true), (1, 0));
        assert_eq!(prune(1, false), (2, 2));
        assert_eq!(prune(0, true), (2, 0));
        let kept =
            "SELECT worker_id FROM transcript_captures WHERE content IS NOT NULL AND retention_class = 'hot'";
        assert_eq!(db.texts(kept), ["w-a", "w-b"]);
        let dropped =
            "SELECT capture_kind FROM transcript_captures WHERE content IS NULL AND retention_class = 'warm'";
        assert_eq!(db.texts(dropped), ["metadata_only", "metadata_only"]);
    }
}
