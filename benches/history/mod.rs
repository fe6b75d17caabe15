//! Every view on a large history, as a command that a supervisor serves: none may read a whole table
//! to show its end.

use std::path::Path;
use std::process::Stdio;

use rusqlite::Connection;

use crate::Options;
use crate::support::report::{Goal, Row};
use crate::support::stats::measure as repeat;
use crate::support::supervisor::{StateRoot, Supervisor};

const GOAL_MS: f64 = 100.0;

/// Each view is asked for this often.
const SAMPLES: u32 = 5;

/// The views of all tasks, and of `t0`, which has a tenth of everything.
const VIEWS: [&str; 36] = [
    "tasks",
    "tasks --active",
    "sessions",
    "audit t0",
    "mutation-audit t0",
    "transcript-show t0",
    "divergences t0",
    "deliveries",
    "deliveries --task t0",
    "deliveries --state sent",
    "manager-inbox t0",
    "worker-inbox t0",
    "session-inbox m0",
    "commands",
    "commands --state pending",
    "criteria --list t0",
    "runs --list",
    "cycle t0",
    "tail w0",
    "approvals",
    "wait --for inbox --timeout 0 --task t0",
    "replay t0",
    "replay t0 --format full-transcript",
    "db-doctor",
    "db-doctor --live",
    "reconcile",
    "discover turn",
    "telemetry",
    "telemetry metrics",
    "telemetry task t0",
    "telemetry failures",
    "telemetry snapshot t0",
    "telemetry check",
    "evidence",
    "trace correlation-10",
    "dispatch --dry-run",
];

pub(crate) fn measure(options: &Options) -> Vec<Row> {
    let root = StateRoot::new(&options.directory());
    root.run(&["tasks", "--create", "first", "--goal", "make the database"]);
    generate(&root.database(), options.events);
    let worker = root.rollout();
    let database = Connection::open(root.database()).unwrap();
    database
        .execute(
            "UPDATE sessions SET codex_session_path = ?1, codex_session_id = ?2 WHERE name = 'w0'",
            [worker.path.to_str().unwrap(), &worker.thread],
        )
        .unwrap();
    drop(database);
    let supervisor = Supervisor::start(root);
    VIEWS.iter().map(|view| time(&supervisor, view)).collect()
}

fn generate(database: &Path, events: u32) {
    let database = Connection::open(database).unwrap();
    database
        .execute_batch(&format!(
            "PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; PRAGMA temp_store = MEMORY;
             CREATE TEMP VIEW number AS
                 WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {events}) SELECT i FROM n;
             CREATE TEMP TABLE moment (i INTEGER PRIMARY KEY, of_task INTEGER, at TEXT);
             INSERT INTO moment SELECT i, CASE WHEN i >= 1000 AND i % 10 = 0 THEN 0 ELSE i % 1000 END,
                 strftime('%Y-%m-%dT%H:%M:%fZ', 1760000000 + i, 'unixepoch') FROM number;"
        ))
        .unwrap();
    database.execute_batch(include_str!("generate.sql")).unwrap();
}

fn time(supervisor: &Supervisor, view: &str) -> Row {
    let args: Vec<&str> = view.split(' ').collect();
    let mut code = None;
    let times = repeat(SAMPLES, || {
        let mut command = supervisor.root.command(&args);
        code = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().code();
    });
    let note = match code {
        Some(0) => String::new(),
        Some(code) => format!(" (exit code {code})"),
        None => " (killed)".to_owned(),
    };
    Row::new(format!("{view}{note}"), times.median_ms(), "ms").goal(Goal::AtMost(GOAL_MS))
}
