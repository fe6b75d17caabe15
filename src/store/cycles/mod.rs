//! Observation cycles: what a manager saw each time it looked at its worker.
//!
//! A cycle's row is made first, so that one that dies leaves a trace; its spans and its result come
//! in one transaction at its end, together with what it took out of the manager's inbox.

mod context;
mod divergences;
mod record;
mod report;

#[cfg(test)]
mod tests;

pub use context::{Criteria, ManagerContext, ReadContext, WorkerReceipt};
pub use divergences::{Divergence, ListDivergences};
pub use record::{FailCycle, FinishCycle, Span, SpanClock, StartCycle, StartedCycle};
pub use report::{CycleReport, LastTurn, ReadWorkerState, TakenIn, WorkerState, status};
