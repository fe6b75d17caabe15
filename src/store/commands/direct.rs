//! Commands that their caller carries out itself, without a dispatcher: the row is the record.
//!
//! `insert` before the effect, [`attempt`] when it begins, [`settle`] when it is over, so that a
//! crash between the two leaves a trace.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Command, find};
use crate::domain::{CommandState, Failure, time::now_iso};
use crate::store::StoreError;
use crate::store::telemetry::{self, Actor, Severity, Telemetry};

/// How a command ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Done; the result as a JSON object.
    Succeeded(Value),
    /// Not done; what went wrong.
    Failed {
        /// One sentence.
        error: String,
        /// What is known about the failure, as a JSON object.
        result: Value,
    },
}

/// Marks a pending command as being carried out.
///
/// # Errors
/// `Internal` when the command is not pending.
pub fn attempt(conn: &Connection, id: &str) -> Result<(), StoreError> {
    let command = change_state(conn, id, CommandState::Pending, CommandState::Attempted)?;
    tell(conn, &command, Severity::Info)
}

/// Settles a command that was being carried out.
///
/// # Errors
/// `Internal` when the command is not `attempted`.
pub fn settle(conn: &Connection, id: &str, outcome: &Outcome) -> Result<(), StoreError> {
    let (state, severity, result, error) = match outcome {
        Outcome::Succeeded(result) => (CommandState::Succeeded, Severity::Info, result, None),
        Outcome::Failed { error, result } => (CommandState::Failed, Severity::Error, result, Some(error)),
    };
    conn.prepare_cached("UPDATE commands SET result_json = ?2, error = ?3 WHERE id = ?1")?.execute((
        id,
        result.to_string(),
        error,
    ))?;
    let command = change_state(conn, id, CommandState::Attempted, state)?;
    tell(conn, &command, severity)
}

/// The commands of a task, of one of two types, that are being carried out, or were when their process
/// was killed.
///
/// # Errors
/// Whatever SQLite answers.
pub fn attempted(conn: &Connection, task_id: &str, types: &[&str; 2]) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT id FROM commands WHERE task_id = ?1 AND type IN (?2, ?3) AND state = 'attempted'",
    )?;
    Ok(statement.query_map((task_id, types[0], types[1]), |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn change_state(
    conn: &Connection,
    id: &str,
    from: CommandState,
    to: CommandState,
) -> Result<Command, StoreError> {
    let changed = conn
        .prepare_cached("UPDATE commands SET state = ?3, updated_at = ?4 WHERE id = ?1 AND state = ?2")?
        .execute((id, from.as_str(), to.as_str(), now_iso()))?;
    match find(conn, id)?.filter(|_| changed == 1) {
        Some(command) => Ok(command),
        None => Err(Failure::internal(format!(
            "command {id} cannot become {}: it is not {}",
            to.as_str(),
            from.as_str()
        ))
        .into()),
    }
}

fn tell(conn: &Connection, command: &Command, severity: Severity) -> Result<(), StoreError> {
    let state = command.state.as_str();
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Workerctl,
            event_type: &format!("command_{state}"),
            severity,
            summary: &format!("{} command {state}", command.command_type),
            task_id: command.task_id.as_deref(),
            run_id: None,
            correlation: json!({
                "command_id": command.id,
                "command_type": command.command_type,
                "correlation_id": command.correlation_id,
            }),
            attributes: json!({ "error": command.error, "state": state }),
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::commands::{NewCommand, insert};
    use crate::store::testing::TestDb;

    #[test]
    fn a_command_goes_from_pending_over_attempted_to_settled_and_nowhere_else() {
        let db = TestDb::new();
        let new = NewCommand {
            command_type: "deregister_session",
            task_id: None,
            correlation_id: None,
            idempotency_key: None,
            required_permission: None,
            payload: json!({ "name": "w1" }),
        };
        let id = insert(&db.conn, new).unwrap().id;
        let done = Outcome::Succeeded(json!({ "ok": true }));
        assert!(settle(&db.conn, &id, &done).is_err(), "not attempted yet");
        attempt(&db.conn, &id).unwrap();
        assert!(attempt(&db.conn, &id).is_err(), "attempted once only");
        settle(&db.conn, &id, &done).unwrap();
        assert!(settle(&db.conn, &id, &done).is_err(), "settled once only");
        assert_eq!(find(&db.conn, &id).unwrap().unwrap().state, CommandState::Succeeded);
        assert_eq!(
            db.texts("SELECT event_type FROM telemetry_events ORDER BY rowid"),
            ["command_created", "command_attempted", "command_succeeded"]
        );
    }
}
