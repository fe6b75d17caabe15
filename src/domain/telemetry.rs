//! The words of telemetry: who did something, how much it matters, and how it can be looked at.

use super::words::words;

words! {
    /// Who did something.
    Actor {
        /// Dispatch, routing or executing.
        Dispatch = "dispatch",
        /// A manager session.
        Manager = "manager",
        /// A person at a command line.
        Operator = "operator",
        /// The runtime itself.
        System = "system",
        /// A worker session.
        Worker = "worker",
        /// This program, on somebody's behalf.
        Workerctl = "workerctl",
    }
}

words! {
    /// How much something matters.
    Severity {
        /// Only for looking closely.
        Debug = "debug",
        /// Ordinary.
        Info = "info",
        /// Somebody may want to look.
        Warning = "warning",
        /// Something failed.
        Error = "error",
    }
}

words! {
    /// A view of more than single events.
    TelemetryView {
        /// Counts of a stretch of time, and what there is now.
        Metrics = "metrics",
        /// One task as a dashboard shows it.
        Snapshot = "snapshot",
        /// Whether limits are kept.
        Check = "check",
        /// One task, for whoever looks into what went wrong.
        Task = "task",
        /// What went wrong, across tasks.
        Failures = "failures",
    }
}
