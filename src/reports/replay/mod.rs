//! The replay of a task: what happened to it, in the order in which it happened.

mod audit_log;
mod entry;
mod record;
mod silence;
mod story;

use serde::{Deserialize, Serialize};

pub use entry::{Entry, Severity};
pub use silence::{SILENCE, gaps, tell_silence};

use crate::domain::Failure;
use crate::domain::redaction::redact;
use crate::domain::time::{iso, just_after, parse_iso};
use crate::domain::words::words;
use crate::store::audit::Audit;
use crate::store::history::History;
use crate::store::page::Newest;
use crate::store::tasks::Task;

words! {
    /// How a replay is told.
    ReplayFormat {
        /// What was asked for, decided and delivered.
        Compact = "compact",
        /// Everything, as the story of what happened.
        Timeline = "timeline",
        /// As compact, with criteria, looks and what was kept of the terminals.
        Transcript = "transcript",
        /// As transcript, with the texts.
        FullTranscript = "full-transcript",
    }
}

words! {
    /// Whose part of a replay.
    ReplayRole {
        /// Everybody's.
        All = "all",
        /// The worker's.
        Worker = "worker",
        /// The manager's.
        Manager = "manager",
        /// The reviewers'.
        Reviewer = "reviewer",
        /// This program's, on somebody's behalf.
        Workerctl = "workerctl",
    }
}

/// Which part of a history is told, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayOptions {
    /// How.
    pub format: ReplayFormat,
    /// Whose part.
    pub role: ReplayRole,
    /// At most so many entries, the newest.
    pub limit: Option<u32>,
    /// With messages and terminals.
    pub include_content: bool,
}

impl ReplayOptions {
    /// Refuses to tell verbatim what nobody asked to see.
    ///
    /// # Errors
    /// `Usage` for a full transcript without its content.
    pub fn check(&self) -> Result<(), Failure> {
        if self.format == ReplayFormat::FullTranscript && !self.include_content {
            return Err(Failure::usage("a full transcript shows messages and terminals verbatim")
                .hint("to see them: `conveyor replay TASK --format full-transcript --include-content`")
                .hint("without them: `conveyor replay TASK --format transcript`"));
        }
        Ok(())
    }
}

/// What happened to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// The task.
    pub task: Task,
    /// How it is told.
    pub mode: ReplayFormat,
    /// Whose part.
    pub role: ReplayRole,
    /// How many entries there are.
    pub entry_count: usize,
    /// What happened, oldest first.
    pub entries: Vec<Entry>,
    /// More happened before this instant, which is where the page before this one ends.
    pub older_until: Option<String>,
}

impl Replay {
    /// Tells a history.
    pub fn of(history: History, options: &ReplayOptions) -> Self {
        let mut entries = match options.format {
            ReplayFormat::Compact => record::compact(&history),
            ReplayFormat::Timeline => story::timeline(&history),
            ReplayFormat::Transcript | ReplayFormat::FullTranscript => record::transcript(&history),
        };
        let older_until = horizon(&history).map(|horizon| keep_whole(&mut entries, &horizon));
        // Among things of the same millisecond the order of the kinds is the order of cause and effect.
        entries.sort_by(|a, b| a.timestamp.cmp(&b.timestamp));
        if !options.include_content {
            for entry in &mut entries {
                entry.details = redact(std::mem::take(&mut entry.details));
            }
        }
        let mut replay = Self {
            task: history.audit.task,
            mode: options.format,
            role: options.role,
            entry_count: 0,
            entries,
            older_until,
        };
        replay.cut(options);
        replay
    }

    /// Leaves out what was not asked for.
    pub fn cut(&mut self, options: &ReplayOptions) {
        if options.role != ReplayRole::All {
            self.entries.retain(|entry| entry.actor == options.role.as_str());
        }
        let limit = options.limit.map_or(usize::MAX, |limit| limit as usize);
        let too_many = self.entries.len().saturating_sub(limit);
        let newest_cut = self.entries.drain(..too_many).next_back();
        if let Some(newest) = newest_cut {
            let splits = self.entries.first().is_some_and(|first| first.timestamp == newest.timestamp);
            let first = self.entries.first().filter(|_| !splits).map(|first| first.timestamp.clone());
            self.older_until = Some(first.unwrap_or_else(|| just_after(&newest.timestamp)));
        }
        self.entry_count = self.entries.len();
    }
}

/// Where a history that was cut begins to be whole: before it, some list has no rows any more.
fn horizon(history: &History) -> Option<String> {
    fn first<'a, T>(rows: &'a [T], at: impl Fn(&'a T) -> &'a str) -> Option<&'a str> {
        rows.first().map(at)
    }
    fn cut<'a, T>(list: &'a Newest<T>, at: impl Fn(&'a T) -> &'a str) -> Option<&'a str> {
        list.rows.first().filter(|_| list.has_older).map(at)
    }
    let Audit { commands, command_attempts, routed_notifications, .. } = &history.audit;
    let of_audit = history.audit.older.iter().filter_map(|list| match list.as_str() {
        "events" => first(&history.audit.events, |row| &row.created_at),
        "commands" => first(commands, |row| &row.created_at),
        "command_attempts" => first(command_attempts, |row| &row.started_at),
        "routed_notifications" => first(routed_notifications, |row| &row.created_at),
        "deliveries" => first(&history.audit.deliveries, |row| &row.claimed_at),
        "manager_decisions" => first(&history.audit.manager_decisions, |row| &row.created_at),
        _ => None,
    });
    let of_pair = [
        cut(&history.looks, |row| &row.started_at),
        cut(&history.segments, |row| &row.captured_at),
        cut(&history.begun, |row| &row.at),
        cut(&history.ended, |row| &row.at),
        cut(&history.facts, |row| &row.recorded_at),
        cut(&history.direct, |row| &row.claimed_at),
    ];
    of_audit.chain(of_pair.into_iter().flatten()).map(instant).max()
}

/// Keeps what is after the horizon, where nothing is missing; gives where the page before has to end.
fn keep_whole(entries: &mut Vec<Entry>, horizon: &str) -> String {
    // At the horizon itself a row may have been cut off. A page of such rows alone is shown all the
    // same: there would be no way past it otherwise.
    if entries.iter().any(|entry| &*entry.timestamp > horizon) {
        entries.retain(|entry| &*entry.timestamp > horizon);
        just_after(horizon)
    } else {
        entries.retain(|entry| &*entry.timestamp == horizon);
        horizon.to_owned()
    }
}

/// An instant as entries have it: agent-conveyor and Codex write some with whole seconds, which as
/// texts would come after the milliseconds of the same second.
fn instant(text: &str) -> String {
    parse_iso(text).map_or_else(|| text.to_owned(), iso)
}

#[cfg(test)]
mod tests;
