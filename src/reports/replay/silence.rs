//! The worker's silence, made visible.

use serde_json::json;

use super::Replay;
use super::entry::{Entry, Severity};
use crate::domain::time::{just_after, parse_iso};
use crate::domain::words_of_time::span;
use crate::store::history::{Gap, Quiet};

/// From how long on nothing happening is worth telling.
pub const SILENCE: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// Where for long nothing happened. `until` is the end of the time that is told.
pub fn gaps(replay: &Replay, until: &str) -> Vec<Gap> {
    let instants = replay.entries.iter().map(|entry| entry.timestamp.as_str());
    let ends = instants.clone().skip(1).chain([until]);
    instants
        .zip(ends)
        .filter(|(from, until)| is_long(from, until))
        .map(|(from, until)| Gap { from: from.to_owned(), until: until.to_owned() })
        .collect()
}

/// Puts the worker's silence between the entries; `found` is what it had done by the end of each gap.
pub fn tell_silence(replay: &mut Replay, gaps: &[Gap], found: &[Option<Quiet>]) {
    let silences = gaps.iter().zip(found).filter_map(|(gap, quiet)| silence(gap, quiet.as_ref()?));
    replay.entries.extend(silences);
    replay.entries.sort_by(|a, b| a.timestamp.cmp(&b.timestamp));
    replay.entry_count = replay.entries.len();
}

fn silence(gap: &Gap, quiet: &Quiet) -> Option<Entry> {
    let last = super::instant(&quiet.last_event_at);
    // What it did within the gap shortened its silence.
    let from = last.max(gap.from.clone());
    if !is_long(&from, &gap.until) {
        return None;
    }
    let (name, lasted) = (&quiet.session, span(&from, &gap.until)?);
    let (summary, severity) = if quiet.in_turn {
        (format!("{name} is silent for {lasted} in the middle of its turn"), Severity::Warning)
    } else {
        (format!("{name} is idle for {lasted}"), Severity::Info)
    };
    let row = ("codex_events", json!(quiet.event_id));
    let details = json!({
        "from": from, "in_turn": quiet.in_turn, "last_event_at": quiet.last_event_at, "session_name": name, "until": gap.until,
    });
    // After what happened at the same instant.
    let at = just_after(&from);
    Some(Entry::new(&at, "worker", "silence", row, summary).with(details).rated(severity))
}

fn is_long(from: &str, until: &str) -> bool {
    match (parse_iso(from), parse_iso(until)) {
        (Some(from), Some(until)) => until.duration_since(from) >= SILENCE,
        _ => false,
    }
}
