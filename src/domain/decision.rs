//! What a manager decides after looking at its worker.

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
