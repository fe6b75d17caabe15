//! The first line of a rollout: which thread it is.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::json::RawObject;
use super::line::RolloutLine;
use super::reader::ReadLimits;
use super::source::{self, ReadError};

/// Which thread a rollout records, from its `session_meta` line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionMeta {
    /// The thread.
    pub id: String,
    /// The root thread: the same as `id`, except for a sub-agent's.
    pub root_id: String,
    /// The thread that started this one as a sub-agent.
    pub parent_thread_id: Option<String>,
    /// The thread whose history this one continues.
    pub forked_from_id: Option<String>,
    /// Working directory at the start.
    pub cwd: Option<String>,
    /// The client that made the thread, e.g. `codex-tui`.
    pub originator: Option<String>,
    /// Where the thread comes from: `cli`, `vscode`, `exec`, `subagent`, …
    pub source: Option<String>,
    /// Version of Codex that made the thread.
    pub cli_version: Option<String>,
    /// When the thread was made, ISO 8601.
    pub timestamp: Option<String>,
}

/// Why a file does not tell which thread it records.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// The file cannot be read; says why.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file has no line yet.
    #[error("the rollout {} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The first line is something else.
    #[error("{} is no rollout: its first line is not session_meta", path.display())]
    NotSessionMeta {
        /// The file.
        path: PathBuf,
    },
    /// The `session_meta` line names no thread.
    #[error("the session_meta line of {} has no id", path.display())]
    NoId {
        /// The file.
        path: PathBuf,
    },
}

impl SessionMeta {
    /// Reads the first line of the rollout at `path`, or of its compressed form `path.zst`.
    ///
    /// # Errors
    /// [`MetaError`]: unreadable, empty, not a rollout, or without a thread id.
    pub fn read(path: &Path) -> Result<Self, MetaError> {
        let (_, first) = source::open_at_with_first_line(path, 0, ReadLimits::default().line_bytes as u64)?;
        Self::of_first(&first, path)
    }

    /// Reads the first line of the rollout at `path`.
    pub(super) fn of_first(first: &[u8], path: &Path) -> Result<Self, MetaError> {
        if first.is_empty() {
            return Err(MetaError::Empty { path: path.to_owned() });
        }
        let line = RolloutLine::parse(first)
            .filter(|line| line.kind == "session_meta")
            .ok_or_else(|| MetaError::NotSessionMeta { path: path.to_owned() })?;
        Self::of(&line).ok_or_else(|| MetaError::NoId { path: path.to_owned() })
    }

    /// Reads a `session_meta` line; `None` for other lines and when there is no id.
    pub fn of(line: &RolloutLine<'_>) -> Option<Self> {
        if line.kind != "session_meta" {
            return None;
        }
        let payload = RawObject::parse(&line.payload)?;
        let id = payload.string("id").filter(|id| !id.is_empty())?;
        let source = payload.object("source");
        let spawn = source.as_ref().and_then(|source| source.object("subagent")?.object("thread_spawn"));
        Some(Self {
            root_id: payload.string("session_id").unwrap_or_else(|| id.clone()),
            id,
            parent_thread_id: payload
                .string("parent_thread_id")
                .or_else(|| spawn.and_then(|spawn| spawn.string("parent_thread_id"))),
            forked_from_id: payload.string("forked_from_id"),
            cwd: payload.string("cwd"),
            originator: payload.string("originator"),
            source: payload.string("source").or_else(|| source.and_then(|source| source.first_key())),
            cli_version: payload.string("cli_version"),
            timestamp: payload.string("timestamp"),
        })
    }

    /// The thread works for another one and is nobody's session to talk to.
    pub fn is_subagent(&self) -> bool {
        self.parent_thread_id.is_some() || self.source.as_deref() == Some("subagent")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str) -> Result<SessionMeta, MetaError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rollout.jsonl");
        fs::write(&path, text).unwrap();
        SessionMeta::read(&path)
    }

    #[test]
    fn the_least_and_the_most_a_line_can_say() {
        let least = read("{\"type\":\"session_meta\",\"payload\":{\"id\":\"a\"}}\n").unwrap();
        assert_eq!((least.id.as_str(), least.root_id.as_str()), ("a", "a"));
        assert_eq!(least.cwd, None);
        assert!(!least.is_subagent());

        let spawned = read(
            r#"{"type":"session_meta","payload":{"id":"b","session_id":"a","cwd":"/w","originator":"o","cli_version":"1","timestamp":"T","forked_from_id":"f","source":{"subagent":{"thread_spawn":{"parent_thread_id":"a"}}}}}"#,
        );
        let expect = SessionMeta {
            id: "b".to_owned(),
            root_id: "a".to_owned(),
            parent_thread_id: Some("a".to_owned()),
            forked_from_id: Some("f".to_owned()),
            cwd: Some("/w".to_owned()),
            originator: Some("o".to_owned()),
            source: Some("subagent".to_owned()),
            cli_version: Some("1".to_owned()),
            timestamp: Some("T".to_owned()),
        };
        assert_eq!(spawned.unwrap(), expect);
        assert!(expect.is_subagent());
        let reviewer = r#"{"type":"session_meta","payload":{"id":"r","source":{"subagent":"review"}}}"#;
        assert!(read(reviewer).unwrap().is_subagent());
    }

    #[test]
    fn what_is_no_rollout_says_so() {
        assert!(matches!(read(""), Err(MetaError::Empty { .. })));
        for text in ["\n", "hello\n", "{\"type\":\"event_msg\",\"payload\":{}}\n", "{\"type\":\"session_me"] {
            assert!(matches!(read(text), Err(MetaError::NotSessionMeta { .. })), "{text:?}");
        }
        for payload in ["{}", r#"{"id":""}"#, r#"{"id":5}"#, "7"] {
            let line = format!("{{\"type\":\"session_meta\",\"payload\":{payload}}}\n");
            assert!(matches!(read(&line), Err(MetaError::NoId { .. })), "{line}");
        }
        let missing = SessionMeta::read(Path::new("/nowhere/rollout.jsonl"));
        assert!(matches!(missing, Err(MetaError::Read(ReadError::Missing { .. }))));
    }
}
