//! Real files, and the system's own events.

use std::fs;
use std::io::Write;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;

/// Long enough for a loaded machine; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Passes on each `CatchUp`.
struct Listener(mpsc::UnboundedSender<()>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<CatchUp> for Listener {
    type Result = ();

    fn handle(&mut self, _: CatchUp, _: &mut Context<Self>) {
        let _ = self.0.send(());
    }
}

struct Watched {
    heard: mpsc::UnboundedReceiver<()>,
    _listener: Addr<Listener>,
    _guard: WatchGuard,
}

impl Watched {
    fn new(files: &FileWatch, path: &Path) -> Self {
        let (tell, heard) = mpsc::unbounded_channel();
        let listener = Listener(tell).start();
        let guard = files.watch(path, &listener.clone().recipient());
        Self { heard, _listener: listener, _guard: guard }
    }

    async fn hears(&mut self, what: &str) {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        assert!(matches!(heard, Ok(Some(()))), "nothing was heard of {what}");
        while self.heard.try_recv().is_ok() {}
    }
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn scratch() -> (TempDir, FileWatch) {
    (tempfile::tempdir().unwrap(), FileWatch::start())
}

#[actix::test]
async fn every_kind_of_change_of_a_file_is_heard() {
    let (dir, files) = scratch();
    let path = dir.path().join("a.jsonl");
    let mut watched = Watched::new(&files, &path);
    watched.hears("the start").await;
    append(&path, "one\n");
    watched.hears("the file being made").await;
    append(&path, "two\n");
    watched.hears("an append").await;
    fs::File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
    watched.hears("a truncation").await;
    fs::rename(&path, dir.path().join("a.old")).unwrap();
    watched.hears("a rename away").await;
    append(&dir.path().join("b.jsonl"), "other\n");
    fs::rename(dir.path().join("b.jsonl"), &path).unwrap();
    watched.hears("a rename into place").await;
    fs::remove_file(&path).unwrap();
    watched.hears("a removal").await;
}

#[actix::test]
async fn a_file_in_a_directory_that_is_made_later_is_found() {
    let (dir, files) = scratch();
    let day = dir.path().join("sessions/2026/11/22");
    let path = day.join("rollout.jsonl");
    let mut watched = Watched::new(&files, &path);
    watched.hears("the start").await;
    fs::create_dir_all(&day).unwrap();
    watched.hears("the directory").await;
    append(&path, "one\n");
    watched.hears("the file").await;
}

#[actix::test]
async fn a_directory_that_comes_back_is_watched_again() {
    let (dir, files) = scratch();
    let day = dir.path().join("22");
    fs::create_dir(&day).unwrap();
    let mut first = Watched::new(&files, &day.join("a.jsonl"));
    let mut second = Watched::new(&files, &day.join("b.jsonl"));
    first.hears("the start").await;
    second.hears("the start").await;
    fs::remove_dir(&day).unwrap();
    fs::create_dir(&day).unwrap();
    first.hears("the removal").await;
    second.hears("the removal").await;
    append(&day.join("a.jsonl"), "one\n");
    first.hears("an append").await;
    append(&day.join("b.jsonl"), "one\n");
    second.hears("an append").await;
}

#[actix::test]
async fn only_the_watched_file_is_heard_of_and_only_while_it_is_watched() {
    let (dir, files) = scratch();
    let (path, other) = (dir.path().join("a.jsonl"), dir.path().join("b.jsonl"));
    let mut watched = Watched::new(&files, &path);
    let mut witness = Watched::new(&files, &other);
    watched.hears("the start").await;
    witness.hears("the start").await;
    append(&other, "one\n");
    witness.hears("its file").await;
    assert!(watched.heard.try_recv().is_err(), "heard of another file");

    let Watched { mut heard, _listener: listener, _guard: guard } = watched;
    drop(guard);
    append(&path, "one\n");
    append(&other, "two\n");
    witness.hears("its file").await;
    assert!(heard.try_recv().is_err(), "heard after the guard was gone");
    assert!(listener.connected());
}

#[actix::test]
async fn a_reader_of_the_file_is_no_change() {
    let (dir, files) = scratch();
    let (path, other) = (dir.path().join("a.jsonl"), dir.path().join("b.jsonl"));
    append(&path, "one\n");
    let mut watched = Watched::new(&files, &path);
    let mut witness = Watched::new(&files, &other);
    watched.hears("the start").await;
    witness.hears("the start").await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    append(&other, "one\n");
    witness.hears("its file").await;
    assert!(watched.heard.try_recv().is_err(), "heard of a read");
}
