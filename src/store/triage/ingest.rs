//! How reading the rollouts went.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::{CycleKind, CycleLine, cycle_count, newest_cycles};
use crate::store::StoreError;
use crate::store::scope::Scope;
use crate::store::telemetry::{LineKind, Tally, TelemetryLine, newest_lines};

/// How reading the rollouts went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ingest {
    /// Lines that became events.
    pub new_events: i64,
    /// Lines that could not be read.
    pub skipped_lines: i64,
    /// How often a rollout could not be read.
    pub error_count: i64,
    /// The newest cycles that failed of it.
    pub cycle_errors: Vec<CycleLine>,
    /// What else could not be read, newest first.
    pub recent_errors: Vec<TelemetryLine>,
    /// The newest reads that skipped lines.
    pub recent_skipped: Vec<TelemetryLine>,
}

/// How reading the rollouts went, of which `tallies` are counted already.
///
/// # Errors
/// Whatever SQLite answers.
pub fn ingest(conn: &Connection, scope: &Scope, tallies: &[Tally], limit: u32) -> Result<Ingest, StoreError> {
    let is_error =
        |tally: &&Tally| tally.severity == "error" && tally.event_type.starts_with("codex_events_");
    let told_errors: i64 = tallies.iter().filter(is_error).map(|tally| tally.events).sum();
    let skipped_lines: i64 = tallies.iter().map(|tally| tally.skipped_lines).sum();
    let newest =
        |kind, count| if count > 0 { newest_lines(conn, scope, kind, limit) } else { Ok(Vec::new()) };
    Ok(Ingest {
        new_events: tallies.iter().map(|tally| tally.new_events).sum(),
        skipped_lines,
        error_count: told_errors + cycle_count(conn, scope, CycleKind::IngestFailed)?,
        cycle_errors: newest_cycles(conn, scope, CycleKind::IngestFailed, limit)?,
        recent_errors: newest(LineKind::IngestErrors, told_errors)?,
        recent_skipped: newest(LineKind::SkippedLines, skipped_lines)?,
    })
}
