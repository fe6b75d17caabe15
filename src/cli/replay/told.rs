//! The story of a task, as lines for people.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::actors::calls::replay::ReplayArgs;
use crate::domain::printable::{one_line, printable};
use crate::domain::shell::quoted;
use crate::domain::time::parse_iso;
use crate::domain::words_of_time::span;
use crate::reports::replay::{Entry, Replay, Severity};

/// Tells entries one after the other.
pub(super) struct Teller {
    clock: Clock,
    /// When the entry before happened.
    before: Option<String>,
}

impl Teller {
    pub(super) fn new(local: bool) -> Self {
        Self { clock: Clock::new(local), before: None }
    }

    /// What stands above the entries.
    pub(super) fn head(args: &ReplayArgs, replay: &Replay) -> Vec<String> {
        let task = &replay.task;
        let now = Clock::new(args.local).show(Timestamp::now(), "%Z");
        let mut lines = vec![
            format!("Task: {}", one_line(&task.name)),
            format!("State: {}", one_line(&task.state)),
            format!("Mode: {}", replay.mode),
            format!("Times: {now}"),
            String::new(),
        ];
        let is_done = |entry: &&Entry| entry.kind == "finish" && entry.details["state"] == "succeeded";
        if let Some(finish) = replay.entries.iter().rev().find(is_done) {
            lines.push("Finished:".to_owned());
            lines.push(format!("- At: {}", one_line(&finish.timestamp)));
            lines.push(format!("- Record: {}", one_line(&finish.summary)));
            lines.push(format!("- Audit: conveyor mutation-audit {} --json", quoted(&one_line(&task.name))));
            lines.push(String::new());
        }
        if let Some(until) = &replay.older_until {
            lines.push(format!("… before that: conveyor replay {} --until {until}", quoted(&args.task)));
        }
        lines
    }

    /// An entry, below its day where that is another than the day of the entry before.
    pub(super) fn tell(&mut self, entry: &Entry) -> Vec<String> {
        let Some(at) = parse_iso(&entry.timestamp) else { return vec![one_line(&entry.summary)] };
        let day = |at| self.clock.show(at, "%A %Y-%m-%d");
        let day_before = self.before.as_deref().and_then(parse_iso).map(day);
        let mut lines = Vec::new();
        if day_before.as_ref() != Some(&day(at)) {
            let bold = Style::new().bold();
            lines.push(format!("{bold}{}{bold:#}", day(at)));
        }
        let gap = self.before.as_deref().and_then(|before| span(before, &entry.timestamp));
        let gap = gap.map(|gap| format!("+{gap}")).unwrap_or_default();
        let (style, dim) = (style(entry), Style::new().dimmed());
        let time = self.clock.show(at, "%H:%M:%S");
        let (actor, summary) = (one_line(&entry.actor), one_line(&entry.summary));
        lines.push(format!("{time} {dim}{gap:>8}{dim:#}  {actor:<9} {style}{summary}{style:#}"));
        lines.extend(text(&entry.details).into_iter().flat_map(indented));
        self.before = Some(entry.timestamp.clone());
        lines
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
    printable(text).lines().map(|line| format!("{:29}│ {line}", "")).collect()
}
