//! The timeline: every step as it is seen, and all of them at the end.

use std::time::Instant;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::cli::output;
use crate::domain::Failure;

/// Who acts in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Who {
    /// The person at the keyboard, whose part the demonstration takes.
    You,
    Supervisor,
    Dispatch,
    Worker,
    Manager,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::You => "you",
            Self::Supervisor => "supervisor",
            Self::Dispatch => "dispatch",
            Self::Worker => "worker",
            Self::Manager => "manager",
        }
    }

    fn style(self) -> Style {
        let color = match self {
            Self::You => AnsiColor::White,
            Self::Supervisor => AnsiColor::Blue,
            Self::Dispatch => AnsiColor::Magenta,
            Self::Worker => AnsiColor::Green,
            Self::Manager => AnsiColor::Yellow,
        };
        color.on_default().bold()
    }
}

/// A step that was seen.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// Since the start.
    at_seconds: f64,
    step: &'static str,
    who: Who,
    text: String,
}

/// Prints steps as they come and keeps them.
#[derive(Debug)]
pub(super) struct Timeline {
    started: Instant,
    /// The answer is JSON, so the steps are told on standard error.
    json: bool,
    steps: Vec<Step>,
}

impl Timeline {
    pub(super) fn new(json: bool) -> Self {
        Self { started: Instant::now(), json, steps: Vec::new() }
    }

    /// A line that is no step.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub(super) fn say(&self, text: &str) -> Result<(), Failure> {
        if self.json {
            output::talk(text);
            Ok(())
        } else {
            output::print(text)
        }
    }

    /// A step has been seen.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub(super) fn step(&mut self, step: &'static str, who: Who, text: String) -> Result<(), Failure> {
        let seen = Step { at_seconds: self.seconds(), step, who, text };
        self.say(&line(&seen))?;
        self.steps.push(seen);
        Ok(())
    }

    /// Since the start, to the millisecond.
    pub(super) fn seconds(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// Further lines of a text stand under its first.
const TEXT_INDENT: &str = "\n                       ";

fn line(step: &Step) -> String {
    let (style, dim) = (step.who.style(), Style::new().dimmed());
    format!(
        "{dim}{:7.2} s{dim:#}  {style}{:<10}{style:#}  {}",
        step.at_seconds,
        step.who.name(),
        step.text.replace('\n', TEXT_INDENT)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned() {
        let check = |at_seconds: f64, who: Who, text: &str, expect: &str| {
            let line = line(&Step { at_seconds, step: "s", who, text: text.into() });
            assert_eq!(anstream::adapter::strip_str(&line).to_string(), expect);
        };
        check(0.0, Who::You, "begin", "   0.00 s  you         begin");
        check(12.345, Who::Supervisor, "one\ntwo", "  12.35 s  supervisor  one\n                       two");
    }
}
