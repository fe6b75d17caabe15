//! Rollout files, good and bad, read into a real database.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::codex::rollout::SessionMeta;
use crate::store::StoreOptions;

const META: &str = r#"{"timestamp":"T","type":"session_meta","payload":{"id":"thread-1"}}"#;
const START: &str = r#"{"type":"event_msg","payload":{"type":"task_started","turn_id":"a"}}"#;
const END: &str =
    r#"{"type":"event_msg","payload":{"type":"task_complete","turn_id":"a","last_agent_message":"done"}}"#;
const END_B: &str = r#"{"type":"event_msg","payload":{"type":"turn_aborted","turn_id":"b"}}"#;

/// A store with worker `w1`, whose rollout is `rollout`.
struct World {
    store: Store,
    rollout: PathBuf,
    look: Connection,
    _dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("w.db");
        let store = Store::open(&database, StoreOptions { readers: 1, watch: false }).unwrap();
        let rollout = dir.path().join("w1.jsonl");
        let look = Connection::open(&database).unwrap();
        let world = Self { store, rollout, look, _dir: dir };
        world.register("thread-1");
        world
    }

    /// Registers `w1`, for the first time or again.
    fn register(&self, thread: &str) {
        self.look
            .execute(
                "INSERT INTO sessions (id, name, role, identity_token, codex_session_path, codex_session_id, cwd, registered_at, state)
                 VALUES ('session-1', 'w1', 'worker', 'token-1', ?1, ?2, '/repo', 'now', 'active')
                 ON CONFLICT (id) DO UPDATE SET last_ingest_offset = NULL, codex_session_id = ?2",
                (self.rollout.to_str(), thread),
            )
            .unwrap();
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(&self.rollout, text).unwrap();
    }

    fn add(&self, text: impl AsRef<[u8]>) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&self.rollout).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    async fn pass(&self, asked: bool) -> Result<Ingested, Failure> {
        let cursor = self.store.read(GetCursor("w1".into())).await?;
        let mut pass = Pass::new(&self.store, cursor, asked);
        pass.read_to_end().await?;
        Ok(pass.ingested)
    }

    async fn ingest(&self) -> Ingested {
        self.pass(true).await.unwrap()
    }

    /// Ingests, expecting `(new_events, new_offset, skipped_lines)`.
    async fn expect(&self, counts: (u64, usize, u64)) {
        let ingested = self.ingest().await;
        let found = (ingested.new_events, ingested.new_offset as usize, ingested.skipped_lines);
        assert_eq!(found, counts);
    }

    /// Ingests, expecting a failure that says `message`, and nothing changed.
    async fn expect_failure(&self, message: &str) {
        let before = self.contents();
        let failure = self.pass(true).await.unwrap_err();
        assert!(failure.message.contains(message) && failure.message.contains("w1"), "{failure:?}");
        assert!(!failure.hints.is_empty(), "{failure:?}");
        assert_eq!(self.contents(), before);
    }

    fn contents(&self) -> (i64, i64, Option<i64>) {
        let sql = "SELECT (SELECT count(*) FROM codex_events), (SELECT count(*) FROM telemetry_events), last_ingest_offset FROM sessions";
        self.look.query_row(sql, [], |row| row.try_into()).unwrap()
    }

    fn facts(&self) -> Vec<String> {
        let sql = "SELECT turn_key || ' ' || outcome || ' ' || COALESCE(error_json ->> '$.message', '') FROM turn_facts ORDER BY id";
        let mut statement = self.look.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

fn lines(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

#[actix::test]
async fn what_is_new_is_read_once() {
    let world = World::new();
    let text = lines(&[META, START, END]);
    world.write(&text);
    world.expect((3, text.len(), 0)).await;
    world.expect((0, text.len(), 0)).await;
    assert_eq!(world.facts(), ["a completed "]);
    world.add(&lines(&[END_B])[..20]);
    world.expect((0, text.len(), 0)).await;
    world.add(&lines(&[END_B])[20..]);
    world.expect((1, text.len() + END_B.len() + 1, 0)).await;
    assert_eq!(world.facts(), ["a completed ", "b interrupted "]);
}

#[actix::test]
async fn only_somebody_who_asks_leaves_a_trace_of_a_look_at_nothing_new() {
    let world = World::new();
    world.write(lines(&[META]));
    world.ingest().await;
    let before = world.contents();
    world.pass(false).await.unwrap();
    assert_eq!(world.contents(), before);
    world.ingest().await;
    assert_eq!(world.contents().1, before.1 + 1);
}

#[actix::test]
async fn bad_lines_are_skipped_and_counted() {
    let world = World::new();
    let good = lines(&[META, "{broken", "[1]", "", r#"{"type":5}"#, START]);
    world.write(format!("{good}garbage\n\u{1}\u{2}\n"));
    world.expect((2, good.len(), 6)).await;
    world.expect((0, good.len(), 2)).await;
    world.add(lines(&[END]));
    world.expect((1, good.len() + "garbage\n\u{1}\u{2}\n".len() + END.len() + 1, 2)).await;
    assert_eq!(world.facts(), ["a completed "]);
}

#[actix::test]
async fn more_garbage_than_fits_a_batch_is_passed_over() {
    let world = World::new();
    let garbage = "no json\n".repeat(5000);
    let text = format!("{META}\n{garbage}{END}\n");
    world.write(&text);
    world.expect((2, text.len(), 5000)).await;
    assert_eq!(world.facts(), ["a completed "]);
}

#[actix::test]
async fn bytes_that_are_no_utf8_do_not_hide_the_end_of_a_turn() {
    let world = World::new();
    let end = END.replace("done", "d\u{1}ne").into_bytes();
    let end: Vec<u8> = end.into_iter().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    world.write([lines(&[META, START]).as_bytes(), &end, b"\n"].concat());
    world.expect((3, META.len() + START.len() + end.len() + 3, 0)).await;
    assert_eq!(world.facts(), ["a completed "]);
}

#[actix::test]
async fn a_fifty_megabyte_line_is_read() {
    let world = World::new();
    let huge = format!(
        r#"{{"type":"response_item","payload":{{"type":"message","text":"{}"}}}}"#,
        "a".repeat(50 << 20)
    );
    let text = lines(&[META, START, &huge, END]);
    world.write(&text);
    world.expect((4, text.len(), 0)).await;
    let longest = "SELECT MAX(length(payload_json)) FROM codex_events";
    assert!(world.look.query_row(longest, [], |row| row.get::<_, i64>(0)).unwrap() > 50 << 20);
    assert_eq!(world.facts(), ["a completed "]);
}

#[actix::test]
async fn a_rollout_that_cannot_be_read_on_is_a_clear_error_that_changes_nothing() {
    let world = World::new();
    world.expect_failure("does not exist").await;
    world.write("");
    world.expect((0, 0, 0)).await;
    world.write("{\"type\":\"session_me");
    world.expect((0, 0, 0)).await;
    world.write(lines(&[START]));
    world.expect_failure("not session_meta").await;
    world.write(lines(&["garbage", META]));
    world.expect_failure("not session_meta").await;
    world.write(lines(&[&META.replace("thread-1", "thread-2")]));
    world.expect_failure("records thread thread-2, not thread-1").await;

    let text = lines(&[META, START, END]);
    world.write(&text);
    world.expect((3, text.len(), 0)).await;
    world.write(&text[..text.len() - 4]);
    world.expect_failure("fewer than").await;
    world.write(text.replace('\n', " ") + "more\n");
    world.expect_failure("was replaced").await;
    world.write(text.replace("thread-1", "thread-9"));
    world.expect_failure("records thread thread-9").await;
    fs::remove_file(&world.rollout).unwrap();
    world.expect_failure("does not exist").await;
    fs::create_dir(&world.rollout).unwrap();
    world.expect_failure("not a regular file").await;
}

#[actix::test]
async fn a_later_registration_reads_a_rotated_rollout_from_its_start() {
    let world = World::new();
    world.write(lines(&[META, START, END]));
    world.ingest().await;
    let rotated = lines(&[&META.replace("thread-1", "thread-2"), END_B]);
    world.write(&rotated);
    world.register("thread-2");
    world.expect((2, rotated.len(), 0)).await;
    assert_eq!(world.facts(), ["a completed ", "b interrupted "]);
}

#[actix::test]
async fn many_readers_of_one_rollout_take_each_line_once() {
    let world = World::new();
    let turns: Vec<String> = (0..3000).map(|n| END.replace("\"a\"", &format!("\"{n}\""))).collect();
    world.write(format!("{META}\n{}\n", turns.join("\n")));
    let reads = futures_util::future::join_all((0..8).map(|_| world.ingest())).await;
    assert_eq!(reads.iter().map(|read| read.new_events).sum::<u64>(), 3001);
    assert_eq!(world.contents().0, 3001);
    assert_eq!(world.facts().len(), 3000);
}

#[actix::test]
async fn facts_are_the_same_whether_a_rollout_is_read_at_once_or_while_it_grows() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rollouts");
    let check = async |name: &str, expect: &[&str]| {
        let fixture = fixtures.join(name).with_extension("jsonl");
        let thread = SessionMeta::read(&fixture).unwrap().id;
        let text = fs::read_to_string(&fixture).unwrap();
        let (whole, growing) = (World::new(), World::new());
        whole.register(&thread);
        whole.write(&text);
        whole.ingest().await;
        growing.register(&thread);
        for line in text.split_inclusive('\n') {
            growing.add(line);
            growing.pass(false).await.unwrap();
        }
        assert_eq!(growing.facts(), whole.facts(), "{name}");
        assert_eq!(growing.contents().0, whole.contents().0, "{name}");
        for (fact, outcome) in whole.facts().iter().zip(expect) {
            assert!(fact.contains(outcome), "{name}: {fact}");
        }
        assert_eq!(whole.facts().len(), expect.len(), "{name}");
    };
    check("error-usage-limit", &["failed You’ve hit your usage limit"]).await;
    check("interrupted-tool-esc", &["completed", "completed", "completed", "interrupted", "interrupted"])
        .await;
    check("killed-mid-turn-resumed", &["failed the session's process stopped", "completed"]).await;
    check("steer-and-tab-queue", &["completed", "completed"]).await;
    check("tool-running", &[]).await;
}
