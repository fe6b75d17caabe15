//! `conveyor replay`

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::show::Show;
use crate::actors::calls::replay::ReplayArgs;
use crate::domain::time::parse_iso;
use crate::domain::words_of_time::span;
use crate::reports::replay::{Entry, Replay, Severity};

impl Show for ReplayArgs {
    fn text(&self, replay: &Replay) -> Option<String> {
        let clock = Clock::new(self.local);
        let mut lines = head(replay, &clock);
        if let Some(until) = &replay.older_until {
            lines.push(format!("… before that: conveyor replay {} --until {until}", self.task));
        }
        let mut before: Option<&Entry> = None;
        for entry in &replay.entries {
            lines.extend(told(entry, before, &clock));
            before = Some(entry);
        }
        if replay.entries.is_empty() {
            lines.push("nothing is on record".to_owned());
        }
        Some(lines.join("\n"))
    }
}

/// The time zone that times are shown in.
struct Clock(TimeZone);

impl Clock {
    fn new(local: bool) -> Self {
        Self(if local { TimeZone::system() } else { TimeZone::UTC })
    }

    fn show(&self, at: Timestamp, format: &str) -> String {
        at.to_zoned(self.0.clone()).strftime(format).to_string()
    }
}

fn head(replay: &Replay, clock: &Clock) -> Vec<String> {
    let task = &replay.task;
    let mut lines = vec![
        format!("Task: {}", task.name),
        format!("State: {}", task.state),
        format!("Mode: {}", replay.mode),
    ];
    if let Some(first) = replay.entries.first().and_then(|entry| parse_iso(&entry.timestamp)) {
        lines.push(format!("Times: {}", clock.show(first, "%Z")));
    }
    lines.push(String::new());
    if let Some(finish) = replay.entries.iter().rev().find(|entry| entry.kind == "finish") {
        lines.push("Finished:".to_owned());
        lines.push(format!("- At: {}", finish.timestamp));
        lines.push(format!("- Record: {}", finish.summary));
        lines.push(format!("- Audit: conveyor mutation-audit {} --json", task.name));
        lines.push(String::new());
    }
    lines
}

/// An entry, and the day before it where it is another than that of the entry before.
fn told(entry: &Entry, before: Option<&Entry>, clock: &Clock) -> Vec<String> {
    let Some(at) = parse_iso(&entry.timestamp) else { return vec![entry.summary.clone()] };
    let day = |at| clock.show(at, "%A %Y-%m-%d");
    let day_before = before.and_then(|before| parse_iso(&before.timestamp)).map(day);
    let mut lines = Vec::new();
    if day_before.as_ref() != Some(&day(at)) {
        let bold = Style::new().bold();
        lines.push(format!("{bold}{}{bold:#}", day(at)));
    }
    let gap = before.and_then(|before| span(&before.timestamp, &entry.timestamp));
    let gap = gap.map(|gap| format!("+{gap}")).unwrap_or_default();
    let style = style(entry);
    let dim = Style::new().dimmed();
    let time = clock.show(at, "%H:%M:%S");
    lines.push(format!(
        "{time} {dim}{gap:>8}{dim:#}  {:<9} {style}{}{style:#}",
        entry.actor,
        one_line(&entry.summary)
    ));
    lines.extend(text(&entry.details).into_iter().flat_map(indented));
    lines
}

fn style(entry: &Entry) -> Style {
    match (entry.severity, &*entry.kind) {
        (Severity::Error, _) => AnsiColor::Red.on_default(),
        (Severity::Warning, _) => AnsiColor::Yellow.on_default(),
        (_, "decision" | "finish" | "acceptance_criterion") => AnsiColor::Green.on_default(),
        (_, "turn_started" | "turn_ended") => AnsiColor::Cyan.on_default(),
        (_, "silence") => Style::new().dimmed(),
        _ => Style::new(),
    }
}

/// What was said or shown, where it is to be shown.
fn text(details: &Value) -> Option<&str> {
    ["message", "segment_text"].iter().find_map(|key| details[*key].as_str())
}

fn indented(text: &str) -> Vec<String> {
    text.lines().map(|line| format!("{:29}│ {}", "", printable(line))).collect()
}

fn one_line(text: &str) -> String {
    printable(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Without what would command the terminal.
fn printable(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).collect()
}
