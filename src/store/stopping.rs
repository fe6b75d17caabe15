//! Stopping one session: the record before, and what came of it.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::commands::{self, NewCommand, Outcome};
use super::events::{self, Event};
use super::sessions::{self, LinkedSession, Session};
use super::{Change, StoreError, Topic};
use crate::domain::Failure;

/// Records that a session is going to be ended.
#[derive(Debug)]
pub struct BeginStop {
    /// The session's id.
    pub session_id: String,
    /// Bytes of what it is told first; none when it is told nothing.
    pub message_bytes: Option<usize>,
}

/// A stop whose intent is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The command row.
    pub command_id: String,
    /// The session, as it was.
    pub linked: LinkedSession,
}

impl Change for BeginStop {
    type Out = Stop;

    fn run(self, tx: &Connection) -> Result<Stop, StoreError> {
        let linked = sessions::get_linked(tx, &self.session_id)?;
        let command = NewCommand {
            command_type: "stop_session",
            task_id: None,
            correlation_id: None,
            idempotency_key: None,
            required_permission: None,
            payload: json!({ "role": linked.session.role, "session": linked.session.name, "target": target(&linked.session) }),
        };
        let command_id = commands::insert(tx, command)?.id;
        commands::attempt(tx, &command_id)?;
        if let Some(bytes) = self.message_bytes {
            let payload = json!({ "session": linked.session.name, "text_length": bytes });
            tell(tx, &command_id, "session_stop_message", payload)?;
        }
        Ok(Stop { command_id, linked })
    }
}

/// Records what came of a stop. A session that was running is gone now.
#[derive(Debug)]
pub struct FinishStop {
    /// The recorded intent.
    pub stop: Stop,
    /// Whether it was running and has been ended, or why that failed.
    pub outcome: Result<bool, Failure>,
}

impl Change for FinishStop {
    type Out = ();
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        let Self { stop: Stop { command_id, linked }, outcome } = self;
        let session = &linked.session;
        let killed = match outcome {
            Ok(killed) => killed,
            Err(failure) => {
                let result = json!({ "expected_failure": false, "session": session.name });
                let outcome = Outcome::Failed { error: failure.message, result };
                return commands::settle(tx, &command_id, &outcome);
            }
        };
        if killed {
            sessions::set_gone(tx, &session.id)?;
        }
        let stopped = json!({
            "killed_session": killed,
            "role": session.role,
            "session": session.name,
            "target": target(session),
        });
        tell(tx, &command_id, "session_stopped", stopped.clone())?;
        commands::settle(tx, &command_id, &Outcome::Succeeded(stopped))
    }
}

/// Where the session runs, as the contract names it.
fn target(session: &Session) -> Option<&str> {
    session.tmux_session.as_deref()
}

fn tell(conn: &Connection, command_id: &str, event_type: &str, payload: Value) -> Result<(), StoreError> {
    let event =
        Event { actor: "workerctl", event_type, command_id: Some(command_id), payload, ..Event::default() };
    events::record(conn, &event)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;
    use crate::store::testing::TestDb;

    fn stop(db: &mut TestDb, outcome: Result<bool, Failure>) {
        let session_id = sessions::get(&db.conn, "w1").unwrap().id;
        let stop = db.write(BeginStop { session_id, message_bytes: None }).unwrap();
        db.write(FinishStop { stop, outcome }).unwrap();
    }

    #[test]
    fn only_what_was_running_is_gone_afterwards() {
        let mut db = TestDb::new();
        db.session("w1", Role::Worker);
        stop(&mut db, Err(Failure::external("tmux said no")));
        stop(&mut db, Ok(false));
        assert_eq!(db.texts("SELECT state FROM sessions"), ["active"]);
        stop(&mut db, Ok(true));
        assert_eq!(db.texts("SELECT state FROM sessions"), ["gone"]);
        assert_eq!(
            db.texts("SELECT state FROM commands ORDER BY rowid"),
            ["failed", "succeeded", "succeeded"]
        );
        assert_eq!(
            db.jsons("SELECT payload_json FROM events"),
            [
                json!({ "killed_session": false, "role": "worker", "session": "w1", "target": null }),
                json!({ "killed_session": true, "role": "worker", "session": "w1", "target": null }),
            ]
        );
    }
}
