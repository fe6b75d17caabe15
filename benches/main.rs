//! Everything that is measured, as one program and one table.
//!
//! Each measurement is a module of its own. Beside what conveyor takes stands what the machine
//! itself takes for the same thing, measured in the same run on the same disk.
//!
//! `cargo xtask bench [NAME] [--json]`

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a console tool for developers")]

mod dispatch;
mod history;
mod idle;
mod ingest;
mod latency;
mod one_shot;
mod support;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde_json::json;

use support::limits;
use support::report::{Row, Table};

/// Measure how fast conveyor is, and what the machine allows
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Args {
    /// Only this measurement [default: all]
    name: Option<Name>,
    #[command(flatten)]
    options: Options,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// Open this database, look into it, end: what any process that uses it costs.
    #[arg(long, hide = true)]
    only_open: Option<PathBuf>,
}

/// How much is measured.
#[derive(Debug, Clone, clap::Args)]
struct Options {
    /// Repetitions of what is short
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// Size of the rollout that is read, in megabytes
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    rollout_mb: u32,
    /// Commands that are queued and delivered
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    deliveries: u32,
    /// Bound pairs of an idle supervisor
    #[arg(long, value_delimiter = ',', default_value = "1,100,500")]
    pairs: Vec<u32>,
    /// How long an idle supervisor is watched, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Rollout events of the large history
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..))]
    events: u32,
    /// The directory of the state roots, and so the disk [default: the temporary one]
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Options {
    fn directory(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(std::env::temp_dir)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// What the machine takes
    Limits,
    /// A command from its start to its end
    OneShot,
    /// A completion on its way to its manager
    Latency,
    /// A large rollout, and one line after it
    Ingest,
    /// Commands queued, and delivered
    Dispatch,
    /// A supervisor with nothing to do, or little
    Idle,
    /// Every view on a large history
    History,
}

fn main() {
    let args = Args::parse();
    if let Some(database) = &args.only_open {
        return limits::only_open(database);
    }
    let names = args.name.map_or_else(|| Name::value_variants().to_vec(), |name| vec![name]);
    let rows = names.into_iter().flat_map(|name| measure(name, &args.options));
    let table: Table = rows.collect();
    if args.json {
        println!("{}", json!({"machine": support::machine::describe(), "rows": table.json()}));
    } else {
        println!("{}\n\n{table}", support::machine::describe());
    }
}

fn measure(name: Name, options: &Options) -> Vec<Row> {
    match name {
        Name::Limits => limits::measure(options),
        Name::OneShot => one_shot::measure(options),
        Name::Latency => latency::measure(options),
        Name::Ingest => ingest::measure(options),
        Name::Dispatch => dispatch::measure(options),
        Name::Idle => idle::measure(options),
        Name::History => history::measure(options),
    }
}
