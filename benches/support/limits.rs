//! What the machine itself takes for the parts of an operation.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher};
use rusqlite::Connection;
use tempfile::TempDir;

use super::process::processor_time;
use super::report::Row;
use super::stats::{Distribution, measure as repeat};
use crate::Options;

/// What everything else is seen beside.
pub(crate) fn measure(options: &Options) -> Vec<Row> {
    let directory = TempDir::with_prefix_in("cv-bench-", options.directory()).unwrap();
    let (directory, samples) = (directory.path(), options.samples);
    let row = |what: &str, measured: &Distribution| Row::new(what, measured.median_ms(), "ms");
    vec![
        row("limit: an fsync of 4 KiB, median", &fsync(directory, samples)),
        row("limit: an SQLite commit (WAL, FULL), median", &commit(directory, samples)),
        row("limit: an inotify round trip, median", &file_event(directory, samples)),
    ]
}

/// Writing 4 KiB over what is there, and waiting for the disk.
pub(crate) fn fsync(directory: &Path, samples: u32) -> Distribution {
    let mut file = File::create(directory.join("fsync")).unwrap();
    repeat(samples, || {
        file.rewind().unwrap();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    })
}

/// Committing one row, as durably as conveyor does.
pub(crate) fn commit(directory: &Path, samples: u32) -> Distribution {
    let database = note_database(&directory.join("commit.db"));
    repeat(samples, || note(&database))
}

/// Processor time that one such commit takes.
pub(crate) fn commit_processor_time(directory: &Path) -> Duration {
    const COMMITS: u32 = 2000;
    let database = note_database(&directory.join("commit-time.db"));
    let before = processor_time(std::process::id());
    for _ in 0..COMMITS {
        note(&database);
    }
    (processor_time(std::process::id()) - before) / COMMITS
}

fn note_database(path: &Path) -> Connection {
    let database = Connection::open(path).unwrap();
    let schema = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE note (text TEXT)";
    database.execute_batch(schema).unwrap();
    database
}

fn note(database: &Connection) {
    let line = ["a line of some length, as they are"];
    database.prepare_cached("INSERT INTO note VALUES (?1)").unwrap().execute(line).unwrap();
}

/// From appending to a file to another thread's being told of it by the system.
pub(crate) fn file_event(directory: &Path, samples: u32) -> Distribution {
    let directory = directory.join("events");
    std::fs::create_dir(&directory).unwrap();
    let path = directory.join("file");
    let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
    let (tell, told) = crossbeam_channel::unbounded();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| event.kind.is_modify()) {
            let _ = tell.send(());
        }
    })
    .unwrap();
    watcher.watch(&directory, RecursiveMode::NonRecursive).unwrap();
    repeat(samples, || {
        file.write_all(b"a line\n").unwrap();
        told.recv_timeout(Duration::from_secs(10)).unwrap();
    })
}

/// Finding the ends of all lines of a file; in megabytes a second.
pub(crate) fn scan(path: &Path) -> f64 {
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let (mut bytes, mut lines) = (0, 0);
    let begun = Instant::now();
    loop {
        let read = file.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        bytes += read;
        lines += memchr::memchr_iter(b'\n', &buffer[..read]).count();
    }
    assert!(lines > 0);
    bytes as f64 / 1e6 / begun.elapsed().as_secs_f64()
}

/// Starting a process that only opens `database`, and waiting for its end.
pub(crate) fn process_that_opens(database: &Path, samples: u32) -> Distribution {
    repeat(samples, || assert!(opener(database).status().unwrap().success()))
}

fn opener(database: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--only-open").arg(database).stdout(Stdio::null());
    command
}

/// What that process does.
pub(crate) fn only_open(database: &Path) {
    let database = Connection::open(database).unwrap();
    let tasks: i64 = database.query_row("SELECT count(*) FROM tasks", [], |row| row.get(0)).unwrap();
    assert!(tasks >= 0);
}
