//! How a loop stands, and what its manager had best do next.

use serde::{Deserialize, Serialize};

use super::words::words;

/// What went wrong since the run began, and what of the task is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopFailures {
    /// Commands that failed. One that a policy blocked did not fail.
    pub failed_commands: i64,
    /// Observation cycles that failed.
    pub failed_cycles: i64,
    /// Readings of the worker's rollout that failed.
    pub ingest_errors: i64,
    /// Looks at the worker's terminal that failed.
    pub pane_capture_failures: i64,
    /// Criteria that must hold and are not shown to.
    pub open_accepted_criteria: i64,
}

impl LoopFailures {
    /// How many kinds of them there are.
    pub fn alerts(&self) -> usize {
        let counts = [
            self.failed_commands,
            self.failed_cycles,
            self.ingest_errors,
            self.pane_capture_failures,
            self.open_accepted_criteria,
        ];
        counts.into_iter().filter(|count| *count > 0).count()
    }
}

words! {
    /// What the manager of a loop had best do next.
    Recommendation {
        /// Something failed, or must hold and is not shown to.
        InspectFailures = "inspect_failures",
        /// The worker has not read all of its inbox.
        WorkerShouldConsumeInbox = "worker_should_consume_inbox",
        /// Look at the pass, and decide about the next.
        ReadyForManagerReview = "ready_for_manager_review",
    }
}

/// The first that applies.
pub fn recommend(failures: &LoopFailures, worker_unconsumed: i64) -> Recommendation {
    if failures.alerts() > 0 {
        return Recommendation::InspectFailures;
    }
    if worker_unconsumed > 0 {
        return Recommendation::WorkerShouldConsumeInbox;
    }
    Recommendation::ReadyForManagerReview
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_before_the_inbox_and_the_inbox_before_the_review() {
        fn check(failures: LoopFailures, unconsumed: i64, expect: Recommendation) {
            assert_eq!(recommend(&failures, unconsumed), expect, "{failures:?}, {unconsumed}");
        }
        let none = LoopFailures::default();
        check(none, 0, Recommendation::ReadyForManagerReview);
        check(none, 1, Recommendation::WorkerShouldConsumeInbox);
        check(LoopFailures { failed_commands: 1, ..none }, 1, Recommendation::InspectFailures);
        check(LoopFailures { failed_cycles: 1, ..none }, 0, Recommendation::InspectFailures);
        check(LoopFailures { ingest_errors: 1, ..none }, 0, Recommendation::InspectFailures);
        check(LoopFailures { pane_capture_failures: 1, ..none }, 0, Recommendation::InspectFailures);
        check(LoopFailures { open_accepted_criteria: 1, ..none }, 0, Recommendation::InspectFailures);
    }

    #[test]
    fn an_alert_is_a_kind_of_failure() {
        let failures = LoopFailures { failed_commands: 7, ingest_errors: 2, ..LoopFailures::default() };
        assert_eq!(failures.alerts(), 2);
    }
}
