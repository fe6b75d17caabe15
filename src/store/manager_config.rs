//! The supervision contract of a task: what its manager holds the worker to, and may do.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{StoreError, row};
use crate::domain::permissions::{Permission, PermissionSet};

/// A row of `manager_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerConfig {
    /// The task.
    pub task_id: String,
    /// `light`, `guided` or `strict`.
    pub supervision_mode: String,
    /// What the manager is to see to.
    pub objective: Option<String>,
    /// How.
    pub guidelines: Vec<String>,
    /// What must be true at the end, as first told.
    pub acceptance_criteria: Vec<String>,
    /// Files that explain the task.
    pub reference_paths: Vec<String>,
    /// What the manager may do.
    pub permissions: PermissionSet,
    /// Programs that the work is expected to need.
    pub tools: Vec<String>,
    /// The steps after the work.
    pub epilogues: Vec<String>,
    /// What the manager does when the worker ends a turn.
    pub nudge_on_completion: String,
    /// Both sides must have acknowledged this revision before anything goes on.
    pub require_acks: bool,
    /// Counts up with every change.
    pub revision: i64,
    /// When it was first recorded.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
}

impl ManagerConfig {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            task_id: row.get(0)?,
            supervision_mode: row.get(1)?,
            objective: row.get(2)?,
            guidelines: row::json(row, 3)?,
            acceptance_criteria: row::json(row, 4)?,
            reference_paths: row::json(row, 5)?,
            permissions: row::json(row, 6)?,
            tools: row::json(row, 7)?,
            epilogues: row::json(row, 8)?,
            nudge_on_completion: row.get(9)?,
            require_acks: row.get(10)?,
            revision: row.get(11)?,
            created_at: row.get(12)?,
            updated_at: row.get(13)?,
        })
    }
}

/// The config of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find(conn: &Connection, task_id: &str) -> Result<Option<ManagerConfig>, StoreError> {
    let config = conn
        .prepare_cached(
            "SELECT task_id, supervision_mode, objective, guidelines_json, acceptance_criteria_json, reference_paths_json,
                    permissions_json, tools_json, epilogues_json, nudge_on_completion, require_acks, revision,
                    created_at, updated_at
             FROM manager_configs WHERE task_id = ?1",
        )?
        .query_row([task_id], ManagerConfig::of)
        .optional()?;
    Ok(config)
}

/// What a task's config says of a permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionCheck {
    /// Whether everything that the name stands for is granted.
    pub allowed: bool,
    /// Whether the task has a config at all.
    pub configured: bool,
}

/// Whether the task's config grants a permission, by any of its names.
///
/// # Errors
/// Whatever SQLite answers.
pub fn permission_check(conn: &Connection, task_id: &str, name: &str) -> Result<PermissionCheck, StoreError> {
    let granted: Option<String> = conn
        .prepare_cached("SELECT permissions_json FROM manager_configs WHERE task_id = ?1")?
        .query_row([task_id], |row| row.get(0))
        .optional()?;
    let mut set = PermissionSet::default();
    if let Some(granted) =
        granted.as_deref().and_then(|json| serde_json::from_str::<Map<String, Value>>(json).ok())
    {
        set.apply(&granted);
    }
    let wanted = Permission::named(name);
    Ok(PermissionCheck {
        allowed: wanted.is_some_and(|wanted| set.allows(&wanted)),
        configured: granted.is_some(),
    })
}

/// What a task's config asks for before the task may be finished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FinishRules {
    /// The epilogue steps that must have succeeded.
    pub epilogues: Vec<String>,
    /// Both sides must have acknowledged the contract.
    pub require_acks: bool,
}

/// The finish rules of a task; without a config there are none.
///
/// # Errors
/// Whatever SQLite answers.
pub fn finish_rules(conn: &Connection, task_id: &str) -> Result<FinishRules, StoreError> {
    let rules = conn
        .prepare_cached("SELECT epilogues_json, require_acks FROM manager_configs WHERE task_id = ?1")?
        .query_row([task_id], |row| {
            Ok(FinishRules { epilogues: super::row::json(row, 0)?, require_acks: row.get(1)? })
        })
        .optional()?;
    Ok(rules.unwrap_or_default())
}
