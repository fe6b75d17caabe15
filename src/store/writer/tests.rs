//! Group commit, on a real database.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tempfile::TempDir;

use super::*;
use crate::domain::Failure;
use crate::store::open;

const PATIENCE: Duration = Duration::from_secs(30);

/// A writer whose commits are counted, and a connection that sees only what was committed.
struct Desk {
    writer: Writer,
    commits: Arc<AtomicUsize>,
    look: Connection,
    _dir: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self::with_commits_that_fail(false)
    }

    fn with_commits_that_fail(fail: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.db");
        let conn = open::writer(&path).unwrap();
        conn.execute_batch("CREATE TABLE note (text TEXT)").unwrap();
        let commits = Arc::new(AtomicUsize::new(0));
        let counted = commits.clone();
        let hook = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            fail
        };
        conn.commit_hook(Some(hook)).unwrap();
        let writer = Writer::start(conn, Signals::default()).unwrap();
        Self { writer, commits, look: Connection::open(&path).unwrap(), _dir: dir }
    }

    fn log_bytes(&self) -> u64 {
        let log = self._dir.path().join("w.db-wal");
        std::fs::metadata(log).map_or(0, |log| log.len())
    }

    /// Keeps the writer busy until the sender is dropped, so that what is written meanwhile waits.
    async fn hold(&self) -> Sender<()> {
        let (release, released) = crossbeam_channel::bounded(0);
        let (begun, has_begun) = oneshot::channel();
        let writer = self.writer.clone();
        actix::spawn(async move { writer.write(Hold { begun, released }).await });
        has_begun.await.unwrap();
        release
    }

    /// Writes the notes into one batch; gives each one's answer.
    async fn write_together(&self, notes: Vec<Note>) -> Vec<Result<(), StoreError>> {
        let release = self.hold().await;
        let writes = join_all(notes.into_iter().map(|note| self.writer.write(note)));
        let (answers, ()) = futures_util::future::join(writes, async { drop(release) }).await;
        answers
    }

    fn notes(&self) -> Vec<String> {
        let mut statement = self.look.prepare("SELECT text FROM note ORDER BY rowid").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

struct Hold {
    begun: oneshot::Sender<()>,
    released: Receiver<()>,
}

impl Change for Hold {
    type Out = ();

    fn run(self, _: &Connection) -> Result<(), StoreError> {
        self.begun.send(()).unwrap();
        // Ends by an error when the sender is dropped.
        let _ = self.released.recv();
        Ok(())
    }
}

enum Note {
    /// So many pages are all that the file may have.
    Limit(u32),
    /// More than is left in such a file.
    Large(&'static str),
    Kept(&'static str),
    Refused,
    Panics,
}

impl Change for Note {
    type Out = ();
    const TOUCHES: &'static [Topic] = &[Topic::Work];

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        if let Self::Limit(pages) = self {
            return Ok(tx.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?);
        }
        if let Self::Large(text) = self {
            tx.execute("INSERT INTO note VALUES (?1 || zeroblob(1000000))", [text])?;
            return Ok(());
        }
        let text = if let Self::Kept(text) = self { text } else { "half done" };
        tx.execute("INSERT INTO note VALUES (?1)", [text])?;
        match self {
            Self::Kept(_) | Self::Limit(_) | Self::Large(_) => Ok(()),
            Self::Refused => Err(Failure::refused("no").into()),
            Self::Panics => panic!("a defect"),
        }
    }
}

#[actix::test]
async fn changes_that_wait_share_a_commit() {
    for (changes, commits) in [(1, 1), (MAX_BATCH, 1), (MAX_BATCH + 1, 2)] {
        let desk = Desk::new();
        let notes = (0..changes).map(|_| Note::Kept("a")).collect();
        let answers = desk.write_together(notes).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(desk.notes().len(), changes);
        assert_eq!(desk.commits.load(Ordering::SeqCst), 1 + commits, "of the hold, and of {changes} changes");
    }
}

#[actix::test]
async fn a_change_that_fails_or_panics_takes_nothing_with_it() {
    let desk = Desk::new();
    let notes = vec![Note::Kept("a"), Note::Refused, Note::Kept("b"), Note::Panics, Note::Kept("c")];
    let answers = desk.write_together(notes).await;
    assert!(
        matches!(
            answers.as_slice(),
            [Ok(()), Err(StoreError::Refused(_)), Ok(()), Err(StoreError::Panicked(what)), Ok(())] if what == "a defect"
        ),
        "{answers:?}"
    );
    assert_eq!(desk.notes(), ["a", "b", "c"]);
    assert_eq!(desk.commits.load(Ordering::SeqCst), 2);
}

#[actix::test]
async fn nobody_is_told_of_success_by_a_commit_that_failed() {
    let desk = Desk::with_commits_that_fail(true);
    let answers = desk.write_together(vec![Note::Kept("a"), Note::Refused]).await;
    assert!(
        matches!(answers.as_slice(), [Err(StoreError::NotCommitted(_)), Err(StoreError::Refused(_))]),
        "{answers:?}"
    );
    assert_eq!(desk.notes(), [""; 0]);
}

#[actix::test]
async fn in_a_full_file_what_fits_is_kept_and_what_does_not_is_told() {
    let desk = Desk::new();
    let pages: u32 = desk.look.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    desk.writer.write(Note::Limit(pages + 4)).await.unwrap();
    for _ in 0..3 {
        let kept = desk.notes().len();
        let notes = vec![Note::Kept("a"), Note::Large("b"), Note::Kept("c")];
        let answers = desk.write_together(notes).await;
        let told: usize = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(desk.notes().len(), kept + told, "{answers:?}");
        let Err(error) = &answers[1] else { panic!("{answers:?}") };
        assert!(error.to_string().contains("full"), "{error}");
    }
    desk.writer.write(Note::Limit(u32::MAX)).await.unwrap();
    desk.writer.write(Note::Large("d")).await.unwrap();
    assert!(desk.notes().last().unwrap().starts_with('d'));
    let sound: String = desk.look.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

enum Look {
    Count,
    Writes,
    Panics,
}

impl Query for Look {
    type Out = i64;

    fn run(self, conn: &Connection) -> Result<i64, StoreError> {
        match self {
            Self::Count => Ok(conn.query_row("SELECT count(*) FROM note", [], |row| row.get(0))?),
            Self::Writes => Ok(conn.execute("DELETE FROM note", []).map(|_| 0)?),
            Self::Panics => panic!("a defect"),
        }
    }
}

#[actix::test]
async fn a_read_takes_its_turn_sees_what_was_answered_and_cannot_write() {
    let desk = Desk::new();
    for count in 1..4 {
        desk.writer.write(Note::Kept("a")).await.unwrap();
        assert!(matches!(desk.writer.read(Look::Panics).await, Err(StoreError::Panicked(_))));
        let refused = desk.writer.read(Look::Writes).await.unwrap_err();
        assert!(refused.to_string().contains("readonly"), "{refused}");
        assert_eq!(desk.writer.read(Look::Count).await.unwrap(), count);
    }
}

#[actix::test]
async fn what_was_answered_is_in_the_file() {
    let desk = Desk::new();
    for count in 1..20 {
        desk.writer.write(Note::Kept("a")).await.unwrap();
        assert_eq!(desk.notes().len(), count);
    }
}

#[actix::test]
async fn closing_waits_for_what_was_queued_and_refuses_the_rest() {
    let desk = Desk::new();
    let other = desk.writer.clone();
    let release = desk.hold().await;
    let write = desk.writer.write(Note::Kept("a"));
    let close = other.clone().close();
    let (written, (), ()) = futures_util::future::join3(write, close, async { drop(release) }).await;
    written.unwrap();
    assert_eq!(desk.notes(), ["a"]);
    assert!(matches!(other.write(Note::Kept("b")).await, Err(StoreError::Closed)));
}

#[actix::test]
async fn only_what_changed_something_wakes_those_who_watch_it() {
    let dir = tempfile::tempdir().unwrap();
    let conn = open::writer(&dir.path().join("w.db")).unwrap();
    conn.execute_batch("CREATE TABLE note (text TEXT)").unwrap();
    let signals = Signals::default();
    let (mut work, inbox) = (signals.watch(Topic::Work), signals.watch(Topic::Inbox));
    let writer = Writer::start(conn, signals).unwrap();
    writer.write(Note::Refused).await.unwrap_err();
    // What one batch raised stands before the next is answered.
    writer.write(Note::Refused).await.unwrap_err();
    assert!(!work.has_changed().unwrap());
    writer.write(Note::Kept("a")).await.unwrap();
    work.changed().await.unwrap();
    assert!(!inbox.has_changed().unwrap());
}

#[actix::test]
async fn a_long_log_is_not_left_to_whoever_opens_the_database_next() {
    let desk = Desk::new();
    desk.writer.write(Note::Kept("kept")).await.unwrap();
    assert!(desk.log_bytes() > log::LONG_BYTES, "the schema alone is that long");
    desk.writer.clone().close().await;
    assert_eq!(desk.log_bytes(), 0);
    assert_eq!(desk.notes(), ["kept"]);
}

#[actix::test]
async fn a_log_is_written_back_beside_the_writer_and_starts_anew_when_it_is_long() {
    let desk = Desk::new();
    let pages = || -> (i64, i64) {
        desk.look.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| Ok((row.get(1)?, row.get(2)?))).unwrap()
    };
    let long: &str = "a note of twenty pages ".repeat(4000).leak();
    while pages().0 < log::MANY_PAGES {
        desk.writer.write(Note::Kept(long)).await.unwrap();
    }
    desk.writer.write(Note::Kept("the last")).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while pages().1 < log::MANY_PAGES {
        assert!(Instant::now() < deadline, "{:?} pages, and of them written back", pages());
        tokio::task::yield_now().await;
    }
    let mut before = 0;
    while pages().0 >= before {
        assert!(Instant::now() < deadline, "{:?} pages, and of them written back", pages());
        before = pages().0;
        desk.writer.write(Note::Kept(long)).await.unwrap();
    }
    assert_eq!(desk.notes().last().map(String::as_str), Some(long));
}
