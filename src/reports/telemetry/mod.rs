//! Telemetry views: what a person or a dashboard looks at before anything else.

mod alerts;
mod failures;
mod metrics;
mod operator;
mod snapshot;
mod task;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

pub use alerts::Alert;
pub use failures::{FailuresView, ReadFailures};
pub use metrics::{MetricsView, ReadMetrics};
pub use operator::{CheckView, Checks, Operator, ReadCheck, Thresholds};
pub use snapshot::{ReadSnapshot, SnapshotView};
pub use task::{ReadTask, TaskView};

use crate::domain::time::iso;
use crate::domain::window::Window;
use crate::store::drift::SessionProcess;
use crate::store::scope::Scope;
use crate::store::{StoreError, runs, tasks};

/// The version of the shape of the views.
const SCHEMA_VERSION: u32 = 1;

/// What a view is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Only this task, by id or name.
    pub task: Option<String>,
    /// Only this run, by id or name.
    pub run: Option<String>,
    /// Only this stretch of time up to now.
    pub window: Option<Window>,
    /// Only tasks that have not ended.
    pub active_only: bool,
    /// At most so many rows in each list.
    pub limit: u32,
    /// What is too much.
    pub thresholds: Thresholds,
    /// The active sessions whose process is not there.
    pub dead: Vec<SessionProcess>,
    /// Now.
    pub now: Timestamp,
}

impl Asked {
    /// # Errors
    /// `NotFound` for an unknown task or run.
    fn scope(&self, conn: &Connection) -> Result<Scope, StoreError> {
        let task = self.task.as_deref().map(|task| tasks::get(conn, task)).transpose()?;
        let run = self.run.as_deref().map(|run| runs::get(conn, run)).transpose()?;
        Ok(Scope {
            task_id: task.map(|task| task.id),
            run_id: run.map(|run| run.id),
            since: self.window.as_ref().map(|window| window.start(self.now)),
            active_only: self.active_only,
        })
    }

    fn span(&self, window: &Window) -> Span {
        Span {
            label: window.to_string(),
            seconds: window.seconds(),
            start: iso(window.start(self.now)),
            end: iso(self.now),
        }
    }
}

/// A stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// As it was asked for: `24h`.
    pub label: String,
    /// How long it is.
    pub seconds: i64,
    /// Its first instant.
    pub start: String,
    /// Now.
    pub end: String,
}
