//! `cargo xtask soak`: the tests that make things go wrong, over and over, with the sum of what they
//! did.

use crate::error::{Error, Result};
use crate::fuzz;
use crate::process::cargo;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

/// How long one turn of each test takes.
const TURN: Duration = Duration::from_secs(60);

/// What was done, by name, and how often something was wrong.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    done: BTreeMap<String, u64>,
    violations: u64,
}

/// Runs them for `minutes`, one after the other. Each turn has a seed of its own, from `seed` on.
pub(crate) fn soak(minutes: u64, seed: Option<u64>) -> Result {
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let mut seed = seed.unwrap_or_else(now);
    let mut sum = Sum::default();
    while Instant::now() < end {
        let left = end.saturating_duration_since(Instant::now());
        let seconds = TURN.min(left / 3).as_secs().max(1);
        eprintln!("--- seed {seed}, {} s left; so far: {}", left.as_secs(), sum.text());
        for command in [model(seconds), crash(seconds, seed), faults(), fuzz::command(seconds)] {
            sum.take(command);
        }
        seed += 1;
    }
    eprintln!("soak: {} minutes: {}", minutes, sum.text());
    if sum.violations == 0 { Ok(()) } else { Err(Error::Violations(sum.violations)) }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn test(args: &[&str]) -> Command {
    let mut command = cargo();
    command.args(["test", "--package", "conveyor"]).args(args);
    command
}

fn model(seconds: u64) -> Command {
    let mut command = test(&["--lib", "--", "--nocapture", "model::"]);
    command.env("CONVEYOR_MODEL_SECONDS", seconds.to_string());
    command
}

fn crash(seconds: u64, seed: u64) -> Command {
    let mut command = test(&["--test", "it", "--", "--nocapture", "crash::"]);
    command.env("CONVEYOR_CRASH_SECONDS", seconds.to_string()).env("CONVEYOR_CRASH_SEED", seed.to_string());
    command
}

fn faults() -> Command {
    test(&["--test", "it", "--", "--nocapture", "supervisor::"])
}

impl Sum {
    /// Runs a test and adds what it says it did; shows all it said when something was wrong.
    fn take(&mut self, mut command: Command) {
        match command.output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                self.add(&said);
                if !output.status.success() {
                    self.violations += 1;
                    eprintln!("{said}{}", String::from_utf8_lossy(&output.stdout));
                }
            }
            Err(error) => {
                self.violations += 1;
                eprintln!("cannot start the tests: {error}");
            }
        }
    }

    /// Adds the counts in lines such as `crash: 12 kills, 3 rounds`.
    fn add(&mut self, said: &str) {
        for counts in said.lines().filter_map(|line| {
            ["model: ", "crash: ", "fuzz: "].iter().find_map(|test| line.strip_prefix(test))
        }) {
            for count in counts.split(", ") {
                let Some((number, what)) = count.split_once(' ') else { continue };
                let Ok(number) = number.parse::<u64>() else { continue };
                *self.done.entry(what.to_owned()).or_default() += number;
            }
        }
    }

    fn text(&self) -> String {
        let done = self.done.iter().map(|(what, number)| format!("{number} {what}"));
        let violations = format!("{} violations", self.violations);
        done.chain([violations]).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tests_did_is_added_up() {
        let mut sum = Sum::default();
        sum.add(
            "running 1 test\nmodel: 2 stories, 30 changes, 4 kills\ncrash: 5 kills, 1 rounds\nother: 7 kills",
        );
        sum.add("crash: 6 kills, 1 rounds\ncrash: nonsense");
        assert_eq!(sum.text(), "30 changes, 15 kills, 2 rounds, 2 stories, 0 violations");
    }

    #[test]
    fn a_test_that_cannot_run_is_a_violation() {
        let mut sum = Sum::default();
        sum.take(Command::new("/nowhere/cargo"));
        sum.take(Command::new("false"));
        sum.take(Command::new("true"));
        assert_eq!(sum.violations, 2);
    }
}
