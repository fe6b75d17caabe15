//! What Dispatch routes beside queued commands: how workers' turns ended, and what became known of
//! them otherwise. What a manager is told of it holds nothing that the worker wrote.

use super::command::QueuedCommand;
use super::session_fact::SessionFactKind;
use super::turn::TurnOutcome;
use super::words::words;
use crate::domain::shell::quoted;

words! {
    /// What a pass of Dispatch can be limited to with `--type`.
    SignalFilter {
        /// Queued messages for managers.
        NotifyManager = "notify_manager",
        /// Queued messages for workers.
        NudgeWorker = "nudge_worker",
        /// Queued loop iterations.
        ContinueIteration = "continue_iteration",
        /// Facts about workers: how their turns ended, and whether they exited, wait or cannot be read.
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

    /// Whether a pass with this filter routes facts about workers.
    pub fn routes_facts(filter: Option<Self>) -> bool {
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

/// What a manager is told when a worker's turn ended.
pub fn turn_message(outcome: TurnOutcome, worker: &str, task: &str) -> String {
    let what = match outcome {
        TurnOutcome::Completed => "finished a turn",
        TurnOutcome::Interrupted => "was interrupted in a turn",
        TurnOutcome::Failed => "ended a turn with an error",
    };
    format!(
        "Worker {worker} {what} on task {task}. Observe it with `conveyor cycle {}` (or the conveyor tool `cycle`), then decide what it needs.",
        quoted(task)
    )
}

/// What a manager is told when something else became known about its worker.
pub fn session_message(kind: SessionFactKind, worker: &str, task: &str) -> String {
    match kind {
        SessionFactKind::Exited => format!(
            "The process of worker {worker} on task {task} is gone: it does nothing more. Observe what it left with `conveyor cycle {}` (or the conveyor tool `cycle`); it has to be started and registered again, or the task ended.",
            quoted(task)
        ),
        SessionFactKind::Waiting => format!(
            "Worker {worker} on task {task} waits for an approval or an answer, and does nothing until it gets one. See what it asks with `conveyor approvals --task {}` (or the conveyor tool `approvals`).",
            quoted(task)
        ),
        SessionFactKind::TerminalExited => {
            format!("The terminal of worker {worker} on task {task} is gone; the session itself goes on.")
        }
        SessionFactKind::Unreadable => format!(
            "The events of worker {worker} on task {task} cannot be read any more: no end of a turn is seen until they can. `conveyor cycle {}` (or the conveyor tool `cycle`) says why, and what to do.",
            quoted(task)
        ),
        SessionFactKind::IdleWithMail => {
            format!("The manager of worker {worker} on task {task} is idle, with something in its mailbox.")
        }
    }
}
