//! The supervision contract of a task: what its manager holds the worker to, and may do.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::StoreError;
use crate::domain::permissions::{Permission, PermissionSet};

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
