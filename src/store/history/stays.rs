//! Stays: from when to when which pair was bound to a task. What its sessions did meanwhile belongs
//! to the task's history.

use rusqlite::Connection;

use crate::store::StoreError;
use crate::store::page::{Newest, Page};

/// Pairs of a task that are looked at. More than a few are bound only where something is wrong.
const MAX_STAYS: u32 = 100;

/// A binding, whatever its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stay {
    /// `binding-<uuid>`.
    pub(super) binding_id: String,
    /// Since when.
    pub(super) from: String,
}

/// The newest stays of a task, oldest first.
pub(super) fn of_task(conn: &Connection, task_id: &str) -> Result<Vec<Stay>, StoreError> {
    let mut stays: Vec<Stay> = conn
        .prepare_cached(
            "SELECT id, created_at FROM bindings WHERE task_id = ?1 AND worker_session_id IS NOT NULL
             ORDER BY rowid DESC LIMIT ?2",
        )?
        .query_map((task_id, MAX_STAYS), |row| Ok(Stay { binding_id: row.get(0)?, from: row.get(1)? }))?
        .collect::<Result<_, _>>()?;
    stays.reverse();
    Ok(stays)
}

/// The newest rows of all stays, cut as a page is.
pub(super) fn newest<T>(
    stays: &[Stay],
    page: &Page,
    of_stay: impl Fn(&Stay) -> Result<Newest<T>, StoreError>,
) -> Result<Newest<T>, StoreError> {
    let mut all = Newest { rows: Vec::new(), has_older: false };
    for stay in stays {
        let found = of_stay(stay)?;
        all.has_older |= found.has_older;
        all.rows.extend(found.rows);
    }
    let too_many = all.rows.len().saturating_sub(page.limit as usize);
    all.has_older |= too_many > 0;
    all.rows.drain(..too_many);
    Ok(all)
}

/// The SQL condition for something that happened at `at` during the stay `?1`.
pub(super) fn during(at: &str) -> String {
    format!(
        "{at} >= (SELECT created_at FROM bindings WHERE id = ?1)
         AND {at} <= (SELECT COALESCE(ended_at, '~') FROM bindings WHERE id = ?1)"
    )
}
