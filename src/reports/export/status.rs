//! Where a task stands.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::domain::Role;
use crate::store::sessions::Session;
use crate::store::tasks::Task;
use crate::store::{StoreError, acks, bindings, bundle, criteria, handoffs, manager_config, sessions};

/// Where a task stands: its pair, what was agreed, and its runs.
pub(super) fn read(conn: &Connection, task: &Task) -> Result<Value, StoreError> {
    let binding = bindings::latest_of_task(conn, &task.id)?;
    let (worker, manager) = match &binding {
        Some(binding) => (
            sessions::find(conn, &binding.worker_session_id)?,
            sessions::find(conn, &binding.manager_session_id)?,
        ),
        None => (None, None),
    };
    let ack = |role| acks::latest(conn, &task.id, role);
    Ok(json!({
        "binding": binding,
        "criteria": criteria::summary(&criteria::of_task(conn, &task.id)?),
        "manager": manager.as_ref().map(describe),
        "manager_ack": ack(Role::Manager)?,
        "manager_config": manager_config::find(conn, &task.id)?,
        "runs": bundle::runs(conn, &task.id)?,
        "task": task,
        "worker": worker.as_ref().map(describe),
        "worker_ack": ack(Role::Worker)?,
        "worker_handoff": handoffs::latest(conn, &task.id)?,
    }))
}

/// A session without the token that proves it.
fn describe(session: &Session) -> Value {
    json!({
        "codex_session_id": session.codex_session_id,
        "codex_session_path": session.codex_session_path,
        "cwd": session.cwd,
        "id": session.id,
        "last_heartbeat_at": session.last_heartbeat_at,
        "name": session.name,
        "registered_at": session.registered_at,
        "role": session.role,
        "state": session.state,
        "tmux_pane_id": session.tmux_pane_id,
        "tmux_session": session.tmux_session,
    })
}
