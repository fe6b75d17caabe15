//! What a manager decides after looking at its worker.

use jiff::Timestamp;

use super::time::parse_iso;
use super::words::words;

words! {
    /// A manager's decision.
    Decision {
        /// Leave the worker alone.
        Wait = "wait",
        /// Tell the worker something.
        Nudge = "nudge",
        /// Stop what the worker is doing.
        Interrupt = "interrupt",
        /// Ask a person.
        Escalate = "escalate",
        /// End the task.
        Stop = "stop",
        /// Look closer.
        Inspect = "inspect",
    }
}

words! {
    /// Why a recorded decision does not cover an action.
    DecisionDoubt {
        /// No decision was named.
        MissingId = "missing_decision_id",
        /// There is no such decision.
        NotFound = "decision_not_found",
        /// It is about another task.
        TaskMismatch = "decision_task_mismatch",
        /// It decided something else.
        Mismatch = "decision_mismatch",
        /// Nobody knows when it was made.
        TimestampInvalid = "decision_timestamp_invalid",
        /// It was made too long ago.
        Stale = "decision_stale",
    }
}

/// A decision older than this covers nothing any more.
pub const MAX_DECISION_AGE_SECONDS: f64 = 900.0;

/// What is known of a recorded decision.
#[derive(Debug, Clone, Copy)]
pub struct DecisionFacts<'a> {
    /// The task it is about.
    pub task_id: &'a str,
    /// What was decided.
    pub decision: Decision,
    /// When, as stored text.
    pub created_at: &'a str,
}

impl DecisionFacts<'_> {
    /// How old the decision is, in seconds; `None` when its time cannot be read.
    pub fn age_seconds(&self, now: Timestamp) -> Option<f64> {
        Some(now.duration_since(parse_iso(self.created_at)?).as_secs_f64())
    }

    /// Why this decision does not cover an action on `task_id` that one of `allowed` would.
    pub fn doubts(&self, task_id: &str, allowed: &[Decision], now: Timestamp) -> Vec<DecisionDoubt> {
        let age = self.age_seconds(now);
        let doubts = [
            (DecisionDoubt::TaskMismatch, self.task_id != task_id),
            (DecisionDoubt::Mismatch, !allowed.contains(&self.decision)),
            (DecisionDoubt::TimestampInvalid, age.is_none()),
            (DecisionDoubt::Stale, age.is_some_and(|age| age > MAX_DECISION_AGE_SECONDS)),
        ];
        doubts.into_iter().filter(|(_, doubtful)| *doubtful).map(|(doubt, _)| doubt).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(task_id: &str, decision: Decision, created_at: &str, expect: &[DecisionDoubt]) {
        let now = "2026-01-01T00:15:00Z".parse().unwrap();
        let facts = DecisionFacts { task_id, decision, created_at };
        assert_eq!(facts.doubts("task-1", &[Decision::Stop], now), expect, "{facts:?}");
    }

    #[test]
    fn a_decision_covers_its_own_task_and_action_for_a_while() {
        use Decision::{Stop, Wait};
        check("task-1", Stop, "2026-01-01T00:00:00Z", &[]);
        check("task-1", Stop, "2025-12-31T23:59:59Z", &[DecisionDoubt::Stale]);
        check("task-1", Wait, "2026-01-01T00:14:00Z", &[DecisionDoubt::Mismatch]);
        check("task-2", Stop, "2026-01-01T00:14:00Z", &[DecisionDoubt::TaskMismatch]);
        check(
            "task-2",
            Wait,
            "yesterday",
            &[DecisionDoubt::TaskMismatch, DecisionDoubt::Mismatch, DecisionDoubt::TimestampInvalid],
        );
    }
}
