//! Closing a task: it is finished, or stopped. In steps, so that nothing outside happens without a
//! record: [`BeginClosing`] checks and records the intent, [`RecordSeen`] keeps what the terminals
//! showed, then the sessions are ended, then [`CompleteClosing`] or [`FailClosing`] records what
//! came of it.

mod begin;
mod capture;
mod end;
mod gates;
mod refusals;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use begin::BeginClosing;
pub use capture::{RecordSeen, SeenTerminal};
pub use end::{CompleteClosing, EndedSessions, FailClosing};
pub use gates::{AckAudit, CriteriaAudit, EpilogueAudit};

use super::decision_check::DecisionCheck;
use super::evidence::ExecutedAudit;
use super::sessions::LinkedSession;
use super::tasks::Task;
use crate::domain::transcript::CaptureMode;
use crate::domain::words::words;

words! {
    /// How a task is closed; the word is the type of its command.
    Closing {
        /// Its work is done.
        Finish = "finish_task",
        /// It is given up.
        Stop = "stop_task",
    }
}

impl Closing {
    /// What becomes of the task's active run.
    fn run_status(self) -> &'static str {
        match self {
            Self::Finish => "finished",
            Self::Stop => "abandoned",
        }
    }

    /// The telemetry event that tells of it.
    fn telemetry_type(self) -> &'static str {
        match self {
            Self::Finish => "task_finished",
            Self::Stop => "task_stopped",
        }
    }
}

/// Which of its checks must succeed before a task is finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gates {
    /// No criterion may be open.
    pub criteria: bool,
    /// Both sides must have acknowledged the contract.
    pub acks: bool,
    /// Every configured epilogue step must have succeeded.
    pub epilogue: bool,
    /// Somebody must have tried to disprove the work.
    pub adversarial_proof: bool,
    /// Commands that were run, on what stands there now, must carry each satisfied criterion.
    pub executed_evidence: bool,
}

/// What is captured of the terminals before they are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureOptions {
    /// Capture at all.
    pub before_stop: bool,
    /// Lines of scroll-back.
    pub lines: u32,
    /// What is kept.
    pub mode: CaptureMode,
    /// Fail when there is nothing to capture.
    pub require_segment: bool,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self { before_stop: false, lines: 200, mode: CaptureMode::Segment, require_segment: false }
    }
}

/// How a closing stands: the answer of the commands, and the result of their command rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The task was closed before; only its sessions were tidied up.
    pub already_done_followup: bool,
    /// The command row.
    pub command_id: String,
    /// Who acknowledged the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_ack_audit: Option<AckAudit>,
    /// Where the criteria stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_audit: Option<CriteriaAudit>,
    /// The decision to stop that was recorded.
    pub final_decision_id: Option<i64>,
    /// Where the epilogue stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_epilogue_audit: Option<EpilogueAudit>,
    /// What carries the satisfied criteria, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_executed_evidence_audit: Option<ExecutedAudit>,
    /// The observation that was recorded.
    pub final_observation_id: Option<i64>,
    /// The task's work is done.
    pub finish: bool,
    /// The manager's session was running and was ended.
    pub killed_manager: bool,
    /// The worker's session was running and was ended.
    pub killed_worker: bool,
    /// Whether the named decision covers this.
    pub manager_decision: DecisionCheck,
    /// The manager's session.
    pub manager_session: Option<String>,
    /// What was captured of the terminals.
    pub pre_stop_transcript_captures: Vec<Value>,
    /// Why.
    pub reason: String,
    /// The manager's session was to be ended.
    pub stop_manager: bool,
    /// The worker's session was to be ended.
    pub stop_worker: bool,
    /// The task's name.
    pub task: String,
    /// The worker's session.
    pub worker: Option<String>,
    /// The worker's session.
    pub worker_session: Option<String>,
}

/// A closing whose intent is on record.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// How.
    pub closing: Closing,
    /// The task, as it was.
    pub task: Task,
    /// The worker to end, if it is to be ended.
    pub worker: Option<LinkedSession>,
    /// The manager to end, if it is to be ended.
    pub manager: Option<LinkedSession>,
    /// The sessions whose terminals are to be captured first.
    pub to_capture: Vec<LinkedSession>,
    /// The report so far.
    pub report: Report,
}
