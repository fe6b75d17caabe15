//! What the machine itself takes for the parts of an operation.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher};

use super::stats::Distribution;

fn measure(samples: u32, mut operation: impl FnMut()) -> Distribution {
    let sample = |_| {
        let begun = Instant::now();
        operation();
        begun.elapsed()
    };
    (0..samples).map(sample).collect()
}

/// Writing 4 KiB over what is there, and waiting for the disk.
pub(crate) fn fsync(directory: &Path, samples: u32) -> Distribution {
    let mut file = File::create(directory.join("fsync")).unwrap();
    measure(samples, || {
        file.rewind().unwrap();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    })
}

/// Committing one row, as durably as conveyor does.
pub(crate) fn commit(directory: &Path, samples: u32) -> Distribution {
    let database = rusqlite::Connection::open(directory.join("commit.db")).unwrap();
    database
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE note (text TEXT)")
        .unwrap();
    measure(samples, || {
        database.execute("INSERT INTO note VALUES (?1)", ["a line of some length, as they are"]).unwrap();
    })
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
    measure(samples, || {
        file.write_all(b"a line\n").unwrap();
        told.recv_timeout(Duration::from_secs(10)).unwrap();
    })
}

/// Starting this program with `argument`, at which it ends at once, and waiting for that.
pub(crate) fn process(argument: &str, samples: u32) -> Distribution {
    let program = std::env::current_exe().unwrap();
    measure(samples, || {
        let status = Command::new(&program).arg(argument).stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
    })
}
