//! Every view on a large history, as a command that a supervisor serves: none may read a whole table
//! to show its end.

use std::path::Path;
use std::process::Stdio;

use conveyor::domain::time::iso;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

use crate::Options;
use crate::support::report::{Goal, Row};
use crate::support::stats::measure as repeat;
use crate::support::supervisor::{StateRoot, Supervisor};

const GOAL_MS: f64 = 100.0;

/// Each view is asked for this often.
const SAMPLES: u32 = 5;

/// The views of all tasks, and of `t0`, which has a tenth of everything; `t999` has as much as most tasks.
const VIEWS: &[&str] = &[
    "tasks",
    "tasks --active",
    "sessions",
    "audit t0",
    "audit t999",
    "mutation-audit t0",
    "replay t0",
    "replay t0 --format compact",
    "replay t0 --format transcript",
    "replay t0 --format full-transcript --include-content",
    "replay t0 --since 1d",
    "replay t0 --until 5d",
    "replay t999",
    "transcript-show t0",
    "divergences t0",
    "deliveries",
    "deliveries --task t0",
    "deliveries --task t999",
    "deliveries --state sent",
    "deliveries --state unknown",
    "deliveries --session m0",
    "manager-inbox t0",
    "worker-inbox t0",
    "session-inbox m0",
    "commands",
    "commands --state pending",
    "commands --task t999",
    "criteria --list t0",
    "runs --list",
    "loop-status t0 --run loop-0",
    "cycle t0",
    "tail w0",
    "tail w0 --subtype nothing",
    "top --json",
    "approvals",
    "wait --for inbox --timeout 0 --task t1",
    "discover turn",
    "discover --all",
    "telemetry",
    "telemetry --task t0",
    "telemetry --search worker",
    "telemetry --task t0 --search worker",
    "telemetry --task t999 --search worker",
    "telemetry --summary",
    "telemetry metrics",
    "telemetry metrics --window 30d",
    "telemetry metrics --window 30d --active-only",
    "telemetry task t0",
    "telemetry failures",
    "telemetry failures --task t0",
    "telemetry snapshot t0",
    "telemetry check",
    "evidence",
    "trace correlation-10",
    "dispatch --dry-run",
    "db-doctor",
    "db-doctor --live",
    "reconcile",
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

/// Makes the history, which ends now.
fn generate(database: &Path, events: u32) {
    let database = Connection::open(database).unwrap();
    let begin = Timestamp::now() - SignedDuration::from_secs(i64::from(events));
    let at = move |context: &Context<'_>| Ok(iso(begin + SignedDuration::from_secs(context.get(0)?)));
    let owner = |context: &Context<'_>| context.get(0).map(owner);
    database.create_scalar_function("at", 1, FunctionFlags::SQLITE_DETERMINISTIC, at).unwrap();
    database.create_scalar_function("owner", 1, FunctionFlags::SQLITE_DETERMINISTIC, owner).unwrap();
    database
        .execute_batch(&format!(
            "PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; PRAGMA temp_store = MEMORY;
             CREATE TEMP TABLE number (i INTEGER PRIMARY KEY);
             INSERT INTO number
                 WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {events}) SELECT i FROM n;"
        ))
        .unwrap();
    database.execute_batch(include_str!("generate.sql")).unwrap();
}

/// The task of a row: every tenth is of the first task, the others take turns.
fn owner(row: i64) -> i64 {
    if row % 10 == 0 { 0 } else { 1 + (row - row / 10 - 1) % 999 }
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
