//! The audit of a task: what was done to it, and what came of it, on one page.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::acks::{self, Ack};
use super::chains::{Chain, chains};
use super::commands::{self, Command, CommandAttempt};
use super::criteria::{self, Criterion};
use super::decisions::{self, ManagerDecision};
use super::deliveries::{self, Delivery};
use super::events::{self, AuditEvent};
use super::handoffs::{self, Handoff};
use super::notifications::{self, Notification};
use super::page::{Newest, Page};
use super::tasks::{self, Task};
use super::terminals::{self, StoredCapture};
use super::{Query, StoreError};

/// What is on record about a task. Each list has the newest rows, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// The task.
    pub task: Task,
    /// What was done to it.
    pub events: Vec<AuditEvent>,
    /// Its durable commands.
    pub commands: Vec<Command>,
    /// The attempts at them.
    pub command_attempts: Vec<CommandAttempt>,
    /// Facts and messages that were routed.
    pub routed_notifications: Vec<Notification>,
    /// How those were delivered.
    pub deliveries: Vec<Delivery>,
    /// What belongs together.
    pub correlation_chains: Vec<Chain>,
    /// What its managers decided.
    pub manager_decisions: Vec<ManagerDecision>,
    /// All of its acceptance criteria.
    pub acceptance_criteria: Vec<Criterion>,
    /// What its pair said it understood.
    pub acknowledgements: Vec<Ack>,
    /// Where its workers said they stood.
    pub handoffs: Vec<Handoff>,
    /// What its terminals showed.
    pub terminal_captures: Vec<StoredCapture>,
    /// The lists of which there are older rows.
    pub older: Vec<String>,
}

/// A page of a task's audit.
#[derive(Debug)]
pub struct ReadAudit {
    /// The task, by id or name.
    pub task: String,
    /// Which part.
    pub page: Page,
    /// Show what terminals showed.
    pub include_content: bool,
}

impl Query for ReadAudit {
    type Out = Audit;

    /// # Errors
    /// `NotFound` for an unknown task, `Refused` when the texts are too much for one answer.
    fn run(self, conn: &Connection) -> Result<Audit, StoreError> {
        read(conn, tasks::get(conn, &self.task)?, &self.page, self.include_content)
    }
}

/// As [`ReadAudit`], for use inside another query.
///
/// # Errors
/// As there.
pub fn read(conn: &Connection, task: Task, page: &Page, include_content: bool) -> Result<Audit, StoreError> {
    let id = &*task.id;
    let mut older = Older::default();
    let commands = older.note("commands", commands::newest_of_task(conn, id, page)?);
    let command_attempts = older.note("command_attempts", commands::newest_attempts_of_task(conn, id, page)?);
    let routed_notifications =
        older.note("routed_notifications", notifications::newest_of_task(conn, id, page)?);
    let manager_decisions = older.note("manager_decisions", decisions::newest_of_task(conn, id, page)?);
    Ok(Audit {
        events: older.note("events", events::newest_of_task(conn, id, page)?),
        deliveries: older.note("deliveries", deliveries::newest_of_task(conn, id, page)?),
        correlation_chains: chains(&commands, &command_attempts, &routed_notifications, &manager_decisions),
        acceptance_criteria: criteria::of_task(conn, id)?,
        acknowledgements: older.note("acknowledgements", acks::newest_of_task(conn, id, page)?),
        handoffs: older.note("handoffs", handoffs::newest_of_task(conn, id, page)?),
        terminal_captures: older
            .note("terminal_captures", terminals::newest_of_task(conn, id, page, include_content)?),
        commands,
        command_attempts,
        routed_notifications,
        manager_decisions,
        older: older.0,
        task,
    })
}

/// The names of the lists that were cut.
#[derive(Default)]
struct Older(Vec<String>);

impl Older {
    fn note<T>(&mut self, list: &str, newest: Newest<T>) -> Vec<T> {
        if newest.has_older {
            self.0.push(list.to_owned());
        }
        newest.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transcript::CaptureMode;
    use crate::store::captures::{self, NewCapture};
    use crate::store::testing::TestDb;

    fn database() -> TestDb {
        let mut db = TestDb::new();
        let pair = db.pair("t1");
        db.pair("t2");
        for message in ["one", "two", "three"] {
            db.deliver(&pair, message);
        }
        let capture = NewCapture {
            task: &pair.task,
            session: &pair.worker,
            pane_id: "%1",
            command_id: None,
            source: "test",
            history_lines: 1,
            mode: CaptureMode::Segment,
            text: "what it showed",
        };
        captures::record(&db.conn, &capture).unwrap();
        db
    }

    #[test]
    fn an_audit_holds_one_tasks_records_and_says_what_it_left_out() {
        let db = database();
        let read = |limit| {
            let page = Page { limit, ..Page::default() };
            db.read(ReadAudit { task: "t1".into(), page, include_content: true })
        };
        let all = read(10);
        assert_eq!((all.task.name.as_str(), all.events.len(), all.older.len()), ("t1", 2, 0));
        assert_eq!((all.routed_notifications.len(), all.correlation_chains.len()), (3, 3));
        assert_eq!(all.terminal_captures[0].content.as_deref(), Some("what it showed"));
        let page = Page { limit: 10, ..Page::default() };
        let redacted = db.read(ReadAudit { task: "t1".into(), page, include_content: false });
        let capture = &redacted.terminal_captures[0];
        assert_eq!((capture.content.as_ref(), capture.content_redacted), (None, true));
        let newest = read(2);
        assert_eq!(newest.older, ["routed_notifications"]);
        assert_eq!(newest.routed_notifications, all.routed_notifications[1..]);
    }
}
