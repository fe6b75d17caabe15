//! Automation of this repository, run as `cargo xtask <command>`.
//!
//! `setup` prepares the machine, `test` runs every test, `bench` runs a benchmark, `soak` and
//! `fuzz` look for faults for as long as they are told to, and `ci` runs what a change must pass. Each command prints the programs it runs, so that any step can be
//! repeated by hand.

#![allow(clippy::print_stderr, reason = "a console tool reports its steps on stderr")]

mod bench;
mod captures;
mod ci;
mod codex;
mod error;
mod fuzz;
mod packages;
mod process;
mod setup;
mod soak;
mod test;

use clap::{Parser, Subcommand};
use error::Result;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Automation of the conveyor repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch the pinned Codex CLI and install what the tests need.
    Setup,
    /// Run every test (after `setup`).
    Test {
        /// Arguments for `cargo nextest run`, or for `cargo test` where nextest is not installed.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Measure how fast conveyor is, beside what the machine allows.
    Bench {
        /// Which measurement, and how; `--help` lists them [default: all].
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Kill the program, fail its disk and feed it nonsense, over and over; print what was tried.
    Soak {
        /// For how long.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// What the random choices begin with; another one each time unless given.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Run the fuzz tests for longer than the other tests do.
    Fuzz {
        /// For how long, all of them together.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Play the demonstration with the real Codex and put what the views show of it into the README.
    Captures,
    /// Check format, lints, documentation, dependencies and tests.
    Ci,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result {
    match command {
        Command::Setup => setup::setup(),
        Command::Test { args } => test::test(&args),
        Command::Bench { args } => bench::bench(&args),
        Command::Soak { minutes, seed } => soak::soak(minutes, seed),
        Command::Fuzz { seconds } => fuzz::fuzz(seconds),
        Command::Captures => captures::captures(),
        Command::Ci => ci::ci(),
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}
