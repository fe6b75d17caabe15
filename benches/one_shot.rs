//! A command from its start to its end: with a supervisor that serves it, and without one.

use std::process::{Command, Stdio};

use crate::Options;
use crate::support::limits;
use crate::support::report::{Goal, Row};
use crate::support::stats::{Distribution, measure as repeat};
use crate::support::supervisor::{StateRoot, Supervisor};

/// What a command may take longer than an empty process that opens the database.
const ALLOWANCE_MS: f64 = 2.0;

const COMMAND: [&str; 2] = ["tasks", "--json"];

pub(crate) fn measure(options: &Options) -> Vec<Row> {
    let root = StateRoot::new(&options.directory());
    root.run(&["tasks", "--create", "demo", "--goal", "be listed"]);
    let embedded = run_often(&|| root.command(&COMMAND), options.samples);
    let empty = limits::process_that_opens(&root.database(), options.samples);
    let supervisor = Supervisor::start(root);
    let warm = run_often(&|| supervisor.root.command(&COMMAND), options.samples);
    let row = |what: &str, measured: &Distribution| {
        Row::new(what, measured.median_ms(), "ms")
            .limit("an empty process that opens the database", empty.median_ms(), "ms")
            .goal(Goal::AtMost(empty.median_ms() + ALLOWANCE_MS))
    };
    vec![
        row("one command, served by a supervisor: median", &warm),
        Row::new("one command, served by a supervisor: p99", warm.p99_ms(), "ms"),
        row("one command, without a supervisor: median", &embedded),
        Row::new("one command, without a supervisor: p99", embedded.p99_ms(), "ms"),
    ]
}

fn run_often(command: &dyn Fn() -> Command, samples: u32) -> Distribution {
    repeat(samples, || {
        let status = command().stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
    })
}
