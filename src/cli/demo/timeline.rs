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
            output::talk_styled(text);
            Ok(())
        } else {
            output::print(text)
        }
    }

    /// Something happened that is no step.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub(super) fn note(&self, who: Who, text: &str) -> Result<(), Failure> {
        self.say(&line(self.seconds(), who, text))
    }

    /// A step has been seen.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub(super) fn step(&mut self, step: &'static str, who: Who, text: String) -> Result<(), Failure> {
        let at_seconds = self.seconds();
        self.say(&line(at_seconds, who, &text))?;
        self.steps.push(Step { at_seconds, step, who, text });
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

fn line(at_seconds: f64, who: Who, text: &str) -> String {
    let (style, dim) = (who.style(), Style::new().dimmed());
    let (name, text) = (who.name(), text.replace('\n', TEXT_INDENT));
    format!("{dim}{at_seconds:7.2} s{dim:#}  {style}{name:<10}{style:#}  {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned() {
        let check = |at_seconds: f64, who: Who, text: &str, expect: &str| {
            let line = line(at_seconds, who, text);
            assert_eq!(anstream::adapter::strip_str(&line).to_string(), expect);
        };
        check(0.0, Who::You, "begin", "   0.00 s  you         begin");
        check(12.345, Who::Supervisor, "one\ntwo", "  12.35 s  supervisor  one\n                       two");
    }
}
