//! A session, its rollout and a database, for the tests of whoever reads.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::{Ingested, Pass};
use crate::domain::Failure;
use crate::store::Store;
use crate::store::rollout::GetCursor;

pub(in crate::actors) const META: &str =
    r#"{"timestamp":"T","type":"session_meta","payload":{"id":"thread-1"}}"#;
pub(in crate::actors) const START: &str =
    r#"{"type":"event_msg","payload":{"type":"task_started","turn_id":"a"}}"#;
pub(in crate::actors) const SAID: &str =
    r#"{"type":"event_msg","payload":{"type":"agent_message","message":"still at it"}}"#;
pub(in crate::actors) const END: &str =
    r#"{"type":"event_msg","payload":{"type":"task_complete","turn_id":"a","last_agent_message":"done"}}"#;
pub(in crate::actors) const END_B: &str =
    r#"{"type":"event_msg","payload":{"type":"turn_aborted","turn_id":"b"}}"#;

/// A store with worker `w1`, whose rollout is `rollout`.
pub(in crate::actors) struct World {
    pub(in crate::actors) store: Store,
    pub(in crate::actors) rollout: PathBuf,
    pub(in crate::actors) look: Connection,
    _dir: TempDir,
}

impl World {
    pub(in crate::actors) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("w.db");
        let store = Store::open(&database, 1).unwrap();
        let rollout = dir.path().join("w1.jsonl");
        let look = Connection::open(&database).unwrap();
        let world = Self { store, rollout, look, _dir: dir };
        world.register("thread-1");
        world
    }

    /// Registers `w1`, for the first time or again.
    pub(in crate::actors) fn register(&self, thread: &str) {
        self.look
            .execute(
                "INSERT INTO sessions (id, name, role, identity_token, codex_session_path, codex_session_id, cwd, registered_at, state)
                 VALUES ('session-1', 'w1', 'worker', 'token-1', ?1, ?2, '/repo', 'now', 'active')
                 ON CONFLICT (id) DO UPDATE SET last_ingest_offset = NULL, codex_session_id = ?2",
                (self.rollout.to_str(), thread),
            )
            .unwrap();
    }

    /// Makes `w1` read from another file, as after `/clear`.
    pub(in crate::actors) fn move_to(&self, path: &Path, thread: &str) {
        self.look
            .execute(
                "UPDATE sessions SET codex_session_path = ?1, codex_session_id = ?2, last_ingest_offset = NULL",
                (path.to_str(), thread),
            )
            .unwrap();
    }

    pub(in crate::actors) fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(&self.rollout, text).unwrap();
    }

    pub(in crate::actors) fn add(&self, text: impl AsRef<[u8]>) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&self.rollout).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    pub(in crate::actors) async fn pass(&self, asked: bool) -> Result<Ingested, Failure> {
        let cursor = self.store.read(GetCursor("w1".into())).await?;
        let mut pass = Pass::new(&self.store, cursor, asked);
        pass.read_to_end().await?;
        Ok(pass.ingested)
    }

    pub(in crate::actors) async fn ingest(&self) -> Ingested {
        self.pass(true).await.unwrap()
    }

    /// Ingests, expecting `(new_events, new_offset, skipped_lines)`.
    pub(in crate::actors) async fn expect(&self, counts: (u64, usize, u64)) {
        let ingested = self.ingest().await;
        let found = (ingested.new_events, ingested.new_offset as usize, ingested.skipped_lines);
        assert_eq!(found, counts);
    }

    /// Ingests, expecting a failure that says `message`, and nothing changed.
    pub(in crate::actors) async fn expect_failure(&self, message: &str) {
        let before = self.contents();
        let failure = self.pass(true).await.unwrap_err();
        assert!(failure.message.contains(message) && failure.message.contains("w1"), "{failure:?}");
        assert!(!failure.hints.is_empty(), "{failure:?}");
        assert_eq!(self.contents(), before);
    }

    pub(in crate::actors) fn contents(&self) -> (i64, i64, Option<i64>) {
        let sql = "SELECT (SELECT count(*) FROM codex_events), (SELECT count(*) FROM telemetry_events), last_ingest_offset FROM sessions";
        self.look.query_row(sql, [], |row| row.try_into()).unwrap()
    }

    pub(in crate::actors) fn facts(&self) -> Vec<String> {
        let sql = "SELECT turn_key || ' ' || outcome || ' ' || COALESCE(error_json ->> '$.message', '') FROM turn_facts ORDER BY id";
        let mut statement = self.look.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

pub(in crate::actors) fn lines(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}
