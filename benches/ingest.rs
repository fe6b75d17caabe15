//! A large rollout read into the database, and one line that is written after it.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use conveyor::actors::calls::ingest::IngestArgs;

use crate::Options;
use crate::support::limits;
use crate::support::report::{Goal, Row};
use crate::support::rollout::fill;
use crate::support::stats::{Distribution, measure as repeat};
use crate::support::supervisor::{StateRoot, Supervisor};

const GOAL_MB_PER_SECOND: f64 = 200.0;

/// The line after it may take this many times what it takes after a small rollout.
const GROWTH: f64 = 2.0;

const LINE: &[u8] =
    b"{\"timestamp\":\"2026-11-22T10:00:00.000Z\",\"type\":\"event_msg\",\"payload\":{\"type\":\"token_count\",\"info\":null}}\n";

pub(crate) fn measure(options: &Options) -> Vec<Row> {
    let small = read(options, 1);
    let large = read(options, options.rollout_mb);
    let megabytes = options.rollout_mb;
    let directory = options.directory();
    let commit = {
        let root = StateRoot::new(&directory);
        limits::commit(root.path(), options.samples).median_ms()
    };
    vec![
        Row::new(format!("reading a rollout of {megabytes} MB"), large.mb_per_second, "MB/s")
            .limit("memchr over the same file", large.scan, "MB/s")
            .goal(Goal::AtLeast(GOAL_MB_PER_SECOND)),
        Row::new("database bytes per rollout byte", large.database_ratio, ""),
        Row::new("one line after 1 MB: median", small.line.median_ms(), "ms"),
        Row::new(format!("one line after {megabytes} MB: median"), large.line.median_ms(), "ms")
            .limit("an SQLite commit", commit, "ms")
            .goal(Goal::AtMost(small.line.median_ms() * GROWTH)),
        Row::new(format!("one line after {megabytes} MB: p99"), large.line.p99_ms(), "ms"),
    ]
}

struct Read {
    mb_per_second: f64,
    scan: f64,
    database_ratio: f64,
    line: Distribution,
}

fn read(options: &Options, megabytes: u32) -> Read {
    let root = StateRoot::new(&options.directory());
    let rollout = root.rollout();
    let path = rollout.path.to_str().unwrap();
    root.run(&["register-worker", "--name", "w", "--codex-session", path]);
    let bytes = fill(&rollout.path, megabytes);
    let begun = Instant::now();
    root.run(&["ingest", "w"]);
    let elapsed = begun.elapsed();
    let scan = limits::scan(&rollout.path);
    let database_ratio = database_bytes(&root.database()) as f64 / bytes as f64;

    let mut rollout_file = std::fs::File::options().append(true).open(&rollout.path).unwrap();
    let supervisor = Supervisor::start(root);
    let mut client = supervisor.connect();
    let line = repeat(options.samples, || {
        rollout_file.write_all(LINE).unwrap();
        let reply = client.call(IngestArgs { name: "w".to_owned() });
        assert_eq!(reply["new_events"], 1, "{reply}");
    });
    Read { mb_per_second: bytes as f64 / 1e6 / elapsed.as_secs_f64(), scan, database_ratio, line }
}

fn database_bytes(database: &Path) -> u64 {
    let log = database.with_extension("db-wal");
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    size(database) + size(&log)
}
