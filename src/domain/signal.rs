//! What Dispatch routes beside queued commands: how workers' turns ended.

use super::command::QueuedCommand;
use super::turn::TurnOutcome;
use super::words::words;

words! {
    /// What a pass of Dispatch can be limited to with `--type`.
    SignalFilter {
        /// Queued messages for managers.
        NotifyManager = "notify_manager",
        /// Queued messages for workers.
        NudgeWorker = "nudge_worker",
        /// Queued loop iterations.
        ContinueIteration = "continue_iteration",
        /// Facts about the turns of workers, however they ended.
        WorkerTaskComplete = "worker_task_complete",
    }
}

impl SignalFilter {
    /// The commands a pass with this filter carries out, in their order.
    pub fn commands(filter: Option<Self>) -> &'static [QueuedCommand] {
        match filter {
            None => QueuedCommand::ALL,
            Some(Self::NotifyManager) => &[QueuedCommand::NotifyManager],
            Some(Self::NudgeWorker) => &[QueuedCommand::NudgeWorker],
            Some(Self::ContinueIteration) => &[QueuedCommand::ContinueIteration],
            Some(Self::WorkerTaskComplete) => &[],
        }
    }

    /// Whether a pass with this filter routes facts about turns.
    pub fn routes_turns(filter: Option<Self>) -> bool {
        matches!(filter, None | Some(Self::WorkerTaskComplete))
    }
}

/// The signal by which a worker's ended turn reaches its manager.
pub fn turn_signal(outcome: TurnOutcome) -> &'static str {
    match outcome {
        TurnOutcome::Completed => "worker_task_complete",
        TurnOutcome::Interrupted => "worker_turn_interrupted",
        TurnOutcome::Failed => "worker_turn_failed",
    }
}
