//! One thing that happened.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How much it matters to somebody who reads the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Ordinary.
    Info,
    /// Something that a person may have to look at.
    Warning,
    /// Something failed.
    Error,
}

/// One thing that happened to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub timestamp: String,
    /// Who did it: `worker`, `manager`, `reviewer`, `dispatch`, `workerctl`, or a person.
    pub actor: String,
    /// What kind of thing it is.
    pub kind: String,
    /// The table with its row.
    pub source: String,
    /// The row.
    pub source_id: Value,
    /// What happened, in a sentence.
    pub summary: String,
    /// What else is known.
    pub details: Value,
    /// How much it matters.
    pub severity: Severity,
}

impl Entry {
    /// Something ordinary. `at` may be as any program wrote it.
    pub(super) fn new(at: &str, actor: &str, kind: &str, row: (&str, Value), summary: String) -> Self {
        let (source, source_id) = row;
        Self {
            timestamp: super::instant(at),
            actor: actor.to_owned(),
            kind: kind.to_owned(),
            source: source.to_owned(),
            source_id,
            summary,
            details: Value::Null,
            severity: Severity::Info,
        }
    }

    pub(super) fn with(self, details: Value) -> Self {
        Self { details, ..self }
    }

    pub(super) fn rated(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }
}
