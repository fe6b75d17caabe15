//! An observation cycle: its steps, and what it tells a manager about the criteria of its task.

use serde::{Deserialize, Serialize};

use super::words::words;
use crate::domain::shell::quoted;

words! {
    /// A step of a cycle; each leaves a span.
    CyclePhase {
        /// The cycle's row is made.
        StartCycle = "start_cycle",
        /// What is new in the worker's rollout is read.
        IngestRollout = "ingest_rollout",
        /// The worker's state is told from its events.
        InferWorkerState = "infer_worker_state",
        /// The worker's screen is looked at.
        CapturePaneSignal = "capture_pane_signal",
        /// What the manager has to know is collected.
        LoadManagerContext = "load_manager_context",
        /// The result is stored.
        PersistCycleRow = "persist_cycle_row",
        /// The failure is stored.
        CycleFailed = "cycle_failed",
    }
}

words! {
    /// How a step went.
    SpanState {
        /// Well.
        Succeeded = "succeeded",
        /// It gave less than it should; the cycle goes on.
        Degraded = "degraded",
        /// It ended the cycle.
        Failed = "failed",
    }
}

words! {
    /// Why criteria should be negotiated now, or need not be.
    NegotiationReason {
        /// The task has none.
        NoCriteria = "no_criteria",
        /// All it has are for later, or not wanted.
        NoCurrentTaskCriteria = "no_current_task_criteria",
        /// There is something to work towards.
        ActiveCriteriaPresent = "active_criteria_present",
    }
}

/// Whether a manager should agree on criteria with its worker, and how. Advice; nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Negotiation {
    /// It should.
    pub needed: bool,
    /// Why.
    pub reason: NegotiationReason,
    /// What to say to the worker.
    pub prompt: Option<String>,
    /// What to do, in order.
    pub suggested_actions: Vec<String>,
}

impl Negotiation {
    /// The advice for a task with `current` criteria that are proposed, accepted or satisfied, and
    /// `set_aside` that are deferred or rejected. `task` is its name.
    pub fn advise(task: &str, current: usize, set_aside: usize) -> Self {
        if current > 0 {
            return Self {
                needed: false,
                reason: NegotiationReason::ActiveCriteriaPresent,
                prompt: None,
                suggested_actions: Vec::new(),
            };
        }
        let reason = if set_aside > 0 {
            NegotiationReason::NoCurrentTaskCriteria
        } else {
            NegotiationReason::NoCriteria
        };
        let prompt = "Name two to four acceptance criteria for the work at hand: what must be true before it \
                      counts as done, and how each can be checked. Say which are musts for this task and \
                      which can follow later.";
        Self { needed: true, reason, prompt: Some(prompt.to_owned()), suggested_actions: actions(task) }
    }
}

fn actions(task: &str) -> Vec<String> {
    let task = quoted(task);
    vec![
        format!("ask the worker: `conveyor enqueue-nudge-worker {task} --message PROMPT`"),
        format!(
            "record each must as agreed: `conveyor criteria {task} --add --criterion TEXT --source worker_proposed --status accepted`"
        ),
        format!(
            "record what can follow later: `conveyor criteria {task} --add --criterion TEXT --source worker_proposed --status deferred`"
        ),
        format!("look again: `conveyor cycle {task}`"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_are_negotiated_while_there_is_nothing_to_work_towards() {
        fn check(current: usize, set_aside: usize, needed: bool, reason: &str) {
            let advice = Negotiation::advise("t1", current, set_aside);
            assert_eq!((advice.needed, advice.reason.as_str()), (needed, reason));
            assert_eq!(advice.prompt.is_some(), needed);
            assert_eq!(advice.suggested_actions.len(), if needed { 4 } else { 0 });
            assert!(advice.suggested_actions.iter().all(|action| action.contains("t1")));
        }
        check(0, 0, true, "no_criteria");
        check(0, 2, true, "no_current_task_criteria");
        check(1, 0, false, "active_criteria_present");
        check(1, 2, false, "active_criteria_present");
    }
}
