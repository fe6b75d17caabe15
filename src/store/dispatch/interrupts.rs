//! Direct interrupts: the record before, and what came of it.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::entry;
use super::nudges::{Told, outcome_fields};
use crate::domain::Failure;
use crate::domain::ids::new_id;
use crate::store::commands::{self, NewCommand, Outcome};
use crate::store::{Change, StoreError, sessions};

/// Records that a session is going to be interrupted; gives the command's id.
#[derive(Debug)]
pub struct BeginInterrupt {
    /// The session's id.
    pub session_id: String,
    /// The key that somebody asked for; none for the best way there is.
    pub key: Option<String>,
}

impl Change for BeginInterrupt {
    type Out = String;

    fn run(self, tx: &Connection) -> Result<String, StoreError> {
        let session = sessions::get(tx, &self.session_id)?;
        let command = NewCommand {
            command_type: "interrupt_session",
            task_id: None,
            correlation_id: None,
            idempotency_key: None,
            required_permission: None,
            payload: json!({ "key": self.key, "session": session.name, "target": session.tmux_session }),
        };
        let command_id = commands::insert(tx, command)?.id;
        commands::attempt(tx, &command_id)?;
        Ok(command_id)
    }
}

/// Records what came of an interrupt.
#[derive(Debug)]
pub struct FinishInterrupt {
    /// The command that was begun; none for one that was refused or tried out before.
    pub command_id: Option<String>,
    /// The session as it was named.
    pub session: String,
    /// The key that was pressed, or `turn/interrupt` for one by the app-server.
    pub key: String,
    /// The length of the text sent after it.
    pub followup_length: usize,
    /// Whether it was a dry run, or why it failed.
    pub outcome: Result<bool, Failure>,
}

impl Change for FinishInterrupt {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        let session = sessions::find(tx, &self.session)?;
        let mut details = entry(json!({"followup_length": self.followup_length, "key": self.key}));
        details.extend(outcome_fields(&self.outcome.as_ref().map(|dry_run| *dry_run)));
        if let Some(command_id) = &self.command_id {
            let result = Value::Object(details.clone());
            let outcome = match &self.outcome {
                Ok(_) => Outcome::Succeeded(result),
                Err(failure) => Outcome::Failed { error: failure.message.clone(), result },
            };
            commands::settle(tx, command_id, &outcome)?;
        }
        let told = Told {
            what: "interrupt",
            past: "interrupted",
            session: &self.session,
            command_id: self.command_id.as_deref(),
            failed: self.outcome.is_err(),
            details,
        };
        told.record(tx, session.as_ref(), &new_id("dispatch"))
    }
}
