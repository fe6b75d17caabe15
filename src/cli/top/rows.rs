//! What is told of a pair, as words.

use crate::domain::session_fact::SessionFactKind;
use crate::store::top::{TopFrame, TopPair, TopSession};

/// The columns.
pub(super) const HEAD: [&str; 9] =
    ["TASK", "WORKER", "STATE", "SINCE", "LAST TURN", "MANAGER", "INBOX", "OPEN", "UNKNOWN"];

/// A dispatcher that was not heard of for longer is not at work.
const SILENT_SECONDS: f64 = 30.0;

/// A pair's cells, one a column.
pub(super) fn cells(pair: &TopPair) -> [String; HEAD.len()] {
    [
        pair.task.clone(),
        pair.worker.name.clone(),
        state(&pair.worker).to_owned(),
        pair.worker.staleness_seconds.map_or("-".to_owned(), age),
        pair.last_turn.map_or("-".to_owned(), |outcome| outcome.to_string()),
        pair.manager.name.clone(),
        format!("{}/{}", pair.worker.inbox, pair.manager.inbox),
        pair.open_criteria.to_string(),
        pair.unknown_deliveries.to_string(),
    ]
}

/// What a session does, or what keeps it from doing anything.
pub(super) fn state(session: &TopSession) -> &'static str {
    let has = |kind| session.conditions.contains(&kind);
    if has(SessionFactKind::Exited) {
        "exited"
    } else if has(SessionFactKind::Unreadable) {
        "unreadable"
    } else if has(SessionFactKind::Waiting) {
        "waits"
    } else {
        session.state.as_str()
    }
}

/// Whether a person had better look.
pub(super) fn needs_a_person(pair: &TopPair) -> bool {
    pair.unknown_deliveries > 0 || !pair.worker.conditions.is_empty() || !pair.manager.conditions.is_empty()
}

/// How many pairs there are, and who watches them.
pub(super) fn heading(frame: &TopFrame) -> String {
    let pairs = match frame.pairs.len() {
        1 => "1 pair".to_owned(),
        count => format!("{count} pairs"),
    };
    let watched = match (&frame.dispatcher, frame.supervised) {
        (Some(dispatcher), true) => format!("supervised, dispatched by {}", dispatcher.id),
        (None, true) => "supervised".to_owned(),
        (Some(dispatcher), false) if dispatcher.age_seconds < SILENT_SECONDS => {
            format!("no supervisor; {} was heard of {} ago", dispatcher.id, age(dispatcher.age_seconds))
        }
        (Some(dispatcher), false) => {
            format!(
                "nobody dispatches; {} was last heard of {} ago",
                dispatcher.id,
                age(dispatcher.age_seconds)
            )
        }
        (None, false) => "nobody dispatches: start `conveyor run --detach`".to_owned(),
    };
    format!("{pairs}, {watched}")
}

/// A time span in its greatest unit.
fn age(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..=99 => format!("{seconds}s"),
        100..=5_999 => format!("{}m", seconds / 60),
        6_000..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_greatest_unit() {
        let check = |seconds: f64, expect: &str| assert_eq!(age(seconds), expect);
        check(0.4, "0s");
        check(99.0, "99s");
        check(100.0, "1m");
        check(6_000.0, "1h");
        check(200_000.0, "2d");
    }
}
