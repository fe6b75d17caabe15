//! Captured terminals as they were recorded.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::page::{self, Newest, Page, Source};
use super::{StoreError, answer_size, row};
use crate::domain::Role;

/// A row of `terminal_captures`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredCapture {
    /// Its row id.
    pub id: i64,
    /// The task it was captured for.
    pub task_id: String,
    /// Whose terminal.
    pub role: Role,
    /// The tmux session.
    pub tmux_session: String,
    /// The pane.
    pub tmux_pane_id: Option<String>,
    /// The command it was part of.
    pub command_id: Option<String>,
    /// When.
    pub captured_at: String,
    /// Lines of scroll-back that were asked for.
    pub history_lines: i64,
    /// The hash of the text.
    pub content_sha256: String,
    /// What the terminal showed; none when it is not to be shown, and after it was dropped.
    pub content: Option<String>,
    /// There is a text, which is not to be shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub content_redacted: bool,
    /// Bytes of the text, also after it was dropped.
    pub byte_count: i64,
    /// Lines of the text, likewise.
    pub line_count: i64,
    /// What the classifiers saw in it.
    pub classifier: Value,
    /// What asked for it.
    pub source: String,
}

const COLUMNS: &str = "id, task_id, role, tmux_session, tmux_pane_id, command_id, captured_at, history_lines, \
    content_sha256, byte_count, line_count, classifier_json, source";

impl StoredCapture {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            task_id: row.get(1)?,
            role: row::word(row, 2)?,
            tmux_session: row.get(3)?,
            tmux_pane_id: row.get(4)?,
            command_id: row.get(5)?,
            captured_at: row.get(6)?,
            history_lines: row.get(7)?,
            content_sha256: row.get(8)?,
            byte_count: row.get(9)?,
            line_count: row.get(10)?,
            classifier: row::json(row, 11)?,
            source: row.get(12)?,
            content: row.get(13)?,
            content_redacted: row.get(14)?,
        })
    }
}

/// The newest captures of a task; with their texts when those are to be shown.
///
/// # Errors
/// Whatever SQLite answers; `Refused` when the texts are too much for one answer.
pub fn newest_of_task(
    conn: &Connection,
    task_id: &str,
    page: &Page,
    include_content: bool,
) -> Result<Newest<StoredCapture>, StoreError> {
    let texts = if include_content {
        refuse_too_much(conn, task_id, page)?;
        "content, FALSE"
    } else {
        "NULL, content IS NOT NULL"
    };
    newest(conn, &format!("{COLUMNS}, {texts}"), task_id, page, StoredCapture::of)
}

fn refuse_too_much(conn: &Connection, task_id: &str, page: &Page) -> Result<(), StoreError> {
    let sizes = newest(conn, "octet_length(content)", task_id, page, |row| row.get::<_, Option<i64>>(0))?;
    answer_size::refuse_too_much(sizes.rows.iter().flatten().sum(), "the captured terminals")
}

fn newest<T>(
    conn: &Connection,
    columns: &str,
    task_id: &str,
    page: &Page,
    of: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Newest<T>, StoreError> {
    let select = format!("SELECT {columns} FROM terminal_captures");
    let source = Source {
        select: &select,
        of_task: "task_id = ?1",
        at: "captured_at",
        order: "id",
        written_at_once: Some("terminal_captures"),
    };
    page::newest(conn, &source, task_id, page, of)
}
