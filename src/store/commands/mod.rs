//! Commands: side effects that were asked for, durable before anybody acts on them.

mod direct;
mod enqueue;

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use direct::{Outcome, attempt, attempted, settle};
pub use enqueue::{Enqueue, Enqueued, QueueOptions, RequestedIteration};

use super::page::{self, Newest, Page, Source};
use super::scope::Filter;
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Query, StoreError, row, tasks};
use crate::domain::ids::new_id;
use crate::domain::time::now_iso;
use crate::domain::{AttemptState, CommandState, Failure};

/// A row of `commands`, as `conveyor commands --json` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// `command-<uuid>`.
    pub id: String,
    /// Unique; the id itself unless the caller chose one.
    pub idempotency_key: String,
    /// When it was asked for.
    pub created_at: String,
    /// When its row last changed.
    pub updated_at: String,
    /// The task it is for.
    pub task_id: Option<String>,
    /// That task's name.
    pub task_name: Option<String>,
    /// A worker of the time before sessions.
    pub worker_id: Option<String>,
    /// A manager of the time before sessions.
    pub manager_id: Option<String>,
    /// Ties it to the other records of the same cause.
    pub correlation_id: Option<String>,
    /// A [`QueuedCommand`](crate::domain::QueuedCommand), or the word of a record of something done elsewhere.
    #[serde(rename = "type")]
    pub command_type: String,
    /// How far it got.
    pub state: CommandState,
    /// Not claimed before this instant.
    pub available_at: Option<String>,
    /// The dispatcher that claimed it last.
    pub claimed_by: Option<String>,
    /// When.
    pub claimed_at: Option<String>,
    /// When that claim may be taken over.
    pub claim_expires_at: Option<String>,
    /// How often it was claimed.
    pub attempts: i64,
    /// How often it may be claimed.
    pub max_attempts: i64,
    /// A permission that must be granted when it is carried out.
    pub required_permission: Option<String>,
    /// What to do: for a queued command `message` and what goes with it.
    pub payload: Value,
    /// What came of it.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// Its attempts, oldest first, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_history: Option<Vec<CommandAttempt>>,
}

/// The columns of [`Command::of`], from `commands c LEFT JOIN tasks t`.
const COLUMNS: &str = "c.id, c.idempotency_key, c.created_at, c.updated_at, c.task_id, t.name, c.worker_id, c.manager_id, \
    c.correlation_id, c.type, c.state, c.available_at, c.claimed_by, c.claimed_at, c.claim_expires_at, c.attempts, \
    c.max_attempts, c.required_permission, c.payload_json, c.result_json, c.error";

impl Command {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            idempotency_key: row.get(1)?,
            created_at: row.get(2)?,
            updated_at: row.get(3)?,
            task_id: row.get(4)?,
            task_name: row.get(5)?,
            worker_id: row.get(6)?,
            manager_id: row.get(7)?,
            correlation_id: row.get(8)?,
            command_type: row.get(9)?,
            state: row::word(row, 10)?,
            available_at: row.get(11)?,
            claimed_by: row.get(12)?,
            claimed_at: row.get(13)?,
            claim_expires_at: row.get(14)?,
            attempts: row.get(15)?,
            max_attempts: row.get(16)?,
            required_permission: row.get(17)?,
            payload: row::json(row, 18)?,
            result: row::optional_json(row, 19)?,
            error: row.get(20)?,
            attempt_history: None,
        })
    }
}

/// A row of `command_attempts`: one dispatcher's go at a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandAttempt {
    /// Its row id; the fencing token of the claim.
    pub id: i64,
    /// The command.
    pub command_id: String,
    /// The command's correlation id.
    pub correlation_id: String,
    /// Who claimed it.
    pub dispatcher_id: String,
    /// When it was claimed.
    pub started_at: String,
    /// When the attempt ended.
    pub finished_at: Option<String>,
    /// How far it got.
    pub state: AttemptState,
    /// What came of it.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// Text may have reached the target.
    pub side_effect_started: bool,
    /// All of it was sent.
    pub side_effect_completed: bool,
}

const ATTEMPT_COLUMNS: &str = "id, command_id, correlation_id, dispatcher_id, started_at, finished_at, state, \
    result_json, error, side_effect_started, side_effect_completed";

impl CommandAttempt {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            command_id: row.get(1)?,
            correlation_id: row.get(2)?,
            dispatcher_id: row.get(3)?,
            started_at: row.get(4)?,
            finished_at: row.get(5)?,
            state: row::word(row, 6)?,
            result: row::optional_json(row, 7)?,
            error: row.get(8)?,
            side_effect_started: row.get(9)?,
            side_effect_completed: row.get(10)?,
        })
    }
}

/// The command with this id.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find(conn: &Connection, command_id: &str) -> Result<Option<Command>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM commands c LEFT JOIN tasks t ON t.id = c.task_id WHERE c.id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([command_id], Command::of).optional()?)
}

/// The attempts at a command, oldest first.
///
/// # Errors
/// Whatever SQLite answers.
pub fn attempts(conn: &Connection, command_id: &str) -> Result<Vec<CommandAttempt>, StoreError> {
    let sql = format!("SELECT {ATTEMPT_COLUMNS} FROM command_attempts WHERE command_id = ?1 ORDER BY id");
    let attempts =
        conn.prepare_cached(&sql)?.query_map([command_id], CommandAttempt::of)?.collect::<Result<_, _>>()?;
    Ok(attempts)
}

/// The newest commands of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_of_task(conn: &Connection, task_id: &str, page: &Page) -> Result<Newest<Command>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM commands c JOIN tasks t ON t.id = c.task_id");
    let source = Source {
        select: &select,
        of_task: "c.task_id = ?1",
        at: "c.created_at",
        order: "c.rowid",
        written_at_once: Some("commands c"),
    };
    page::newest(conn, &source, task_id, page, Command::of)
}

/// The commands of one type of a task, oldest first.
///
/// # Errors
/// Whatever SQLite answers.
pub fn of_type(conn: &Connection, task_id: &str, command_type: &str) -> Result<Vec<Command>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM commands c JOIN tasks t ON t.id = c.task_id
         WHERE c.task_id = ?1 AND c.type = ?2 ORDER BY c.rowid"
    );
    let rows = conn
        .prepare_cached(&sql)?
        .query_map([task_id, command_type], Command::of)?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}

/// The attempts at the newest commands of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn newest_attempts_of_task(
    conn: &Connection,
    task_id: &str,
    page: &Page,
) -> Result<Newest<CommandAttempt>, StoreError> {
    let columns = ATTEMPT_COLUMNS.replace(", ", ", a.");
    // From the commands to their attempts, so that reading ends where the page does.
    let select =
        format!("SELECT a.{columns} FROM commands c CROSS JOIN command_attempts a ON a.command_id = c.id");
    let source = Source {
        select: &select,
        of_task: "c.task_id = ?1",
        at: "a.started_at",
        order: "c.rowid DESC, a.id",
        written_at_once: None,
    };
    let mut newest = page::newest(conn, &source, task_id, page, CommandAttempt::of)?;
    newest.rows.sort_by_key(|attempt| attempt.id);
    Ok(newest)
}

/// A command before it has a row.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCommand<'a> {
    /// A [`QueuedCommand`](crate::domain::QueuedCommand)'s word, or that of a record of something done elsewhere.
    pub command_type: &'a str,
    /// The task it is for.
    pub task_id: Option<&'a str>,
    /// Given by the caller; otherwise a fresh `dispatch-<uuid>`.
    pub correlation_id: Option<&'a str>,
    /// Given by the caller; otherwise the command's id.
    pub idempotency_key: Option<&'a str>,
    /// A permission that must be granted when it is carried out.
    pub required_permission: Option<&'a str>,
    /// What to do.
    pub payload: Value,
}

/// Inserts a pending command and its `command_created` telemetry.
///
/// # Errors
/// `Refused` when the idempotency key was used before; nothing is inserted then.
pub fn insert(conn: &Connection, new: NewCommand<'_>) -> Result<Command, StoreError> {
    let id = new_id("command");
    let idempotency_key = new.idempotency_key.unwrap_or(&id);
    refuse_used_key(conn, idempotency_key)?;
    let correlation_id = new.correlation_id.map_or_else(|| new_id("dispatch"), str::to_owned);
    let now = now_iso();
    conn.prepare_cached(
        "INSERT INTO commands (id, idempotency_key, created_at, updated_at, task_id, correlation_id, type, state,
                               required_permission, payload_json)
         VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, 'pending', ?7, ?8)",
    )?
    .execute((
        &id,
        idempotency_key,
        &now,
        new.task_id,
        &correlation_id,
        new.command_type,
        new.required_permission,
        new.payload.to_string(),
    ))?;
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Workerctl,
            event_type: "command_created",
            severity: Severity::Info,
            summary: &format!("{} command created", new.command_type),
            task_id: new.task_id,
            run_id: None,
            correlation: json!({
                "command_id": id, "command_type": new.command_type, "correlation_id": correlation_id,
            }),
            attributes: json!({
                "idempotency_key": idempotency_key, "manager_id": null, "worker_id": null,
                "required_permission": new.required_permission, "state": CommandState::Pending,
            }),
        },
    )?;
    find(conn, &id)?.ok_or(StoreError::Sql(rusqlite::Error::QueryReturnedNoRows))
}

fn refuse_used_key(conn: &Connection, key: &str) -> Result<(), StoreError> {
    let used: Option<(String, String)> = conn
        .prepare_cached("SELECT id, state FROM commands WHERE idempotency_key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match used {
        None => Ok(()),
        Some((id, state)) => Err(Failure::refused(format!(
            "nothing was queued: idempotency key {key} belongs to command {id}, which is {state}"
        ))
        .hint("see what came of it: `conveyor commands --attempts`")
        .into()),
    }
}

/// The newest commands that match every given filter, oldest first.
#[derive(Debug, Clone)]
pub struct ListCommands {
    /// The task's id or name.
    pub task: Option<String>,
    /// How far they got.
    pub state: Option<CommandState>,
    /// Their type.
    pub command_type: Option<String>,
    /// The task's worker, by name or id.
    pub worker: Option<String>,
    /// The task's manager, by name or id.
    pub manager: Option<String>,
    /// Fill in each command's attempts.
    pub attempts: bool,
    /// At most this many.
    pub limit: u32,
}

impl Query for ListCommands {
    type Out = Vec<Command>;

    fn run(self, conn: &Connection) -> Result<Vec<Command>, StoreError> {
        let mut filter = Filter::default();
        if let Some(task) = self.task {
            // Ended tasks may share a name; a single task's commands are found in their order.
            match tasks::ids_of(conn, &task)?.as_slice() {
                [id] => filter.add("c.task_id = ?", id.clone()),
                _ => filter.add("c.task_id IN (SELECT id FROM tasks WHERE id = ? OR name = ?)", task),
            }
        }
        if let Some(state) = self.state {
            filter.add("c.state = ?", state.as_str().to_owned());
        }
        if let Some(command_type) = self.command_type {
            filter.add("c.type = ?", command_type);
        }
        for (role, session) in [("worker", self.worker), ("manager", self.manager)] {
            if let Some(session) = session {
                filter.add(&belongs_to(role), session);
            }
        }
        // Those in one state are in the order of their instants.
        let order = if self.state.is_some() { "c.created_at DESC, c.rowid DESC" } else { "c.rowid DESC" };
        let sql = format!(
            "SELECT {COLUMNS} FROM commands c LEFT JOIN tasks t ON t.id = c.task_id
             WHERE {} ORDER BY {order} LIMIT {}",
            filter.sql(),
            self.limit
        );
        let mut commands: Vec<Command> =
            conn.prepare_cached(&sql)?.query_map(filter.values(), Command::of)?.collect::<Result<_, _>>()?;
        commands.reverse();
        if self.attempts {
            for command in &mut commands {
                command.attempt_history = Some(attempts(conn, &command.id)?);
            }
        }
        Ok(commands)
    }
}

/// SQL: the command's own (older) worker or manager, or one that its task was ever bound to, is
/// named `?`.
fn belongs_to(role: &str) -> String {
    format!(
        "(c.{role}_id IN (SELECT id FROM {role}s WHERE id = ? OR name = ?)
          OR c.task_id IN (SELECT b.task_id FROM bindings b JOIN sessions s ON s.id = b.{role}_session_id
                           WHERE s.id = ? OR s.name = ?))"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::domain::QueuedCommand;
    use crate::store::testing::TestDb;

    fn enqueue(command: QueuedCommand, task: &str, message: &str) -> Enqueue {
        let options = QueueOptions::default();
        Enqueue { command, task: task.into(), message: message.into(), iteration: None, options }
    }

    fn all_of(limit: u32) -> ListCommands {
        ListCommands {
            task: None,
            state: None,
            command_type: None,
            worker: None,
            manager: None,
            attempts: false,
            limit,
        }
    }

    #[test]
    fn a_list_keeps_what_every_filter_matches() {
        let mut db = TestDb::new();
        db.pair("one");
        db.pair("two");
        for (command, task, message) in [
            (QueuedCommand::NudgeWorker, "one", "a"),
            (QueuedCommand::NotifyManager, "one", "b"),
            (QueuedCommand::NudgeWorker, "two", "c"),
        ] {
            db.write(enqueue(command, task, message)).unwrap();
        }
        db.conn
            .execute("UPDATE commands SET state = 'failed' WHERE payload_json LIKE '%\"b\"%'", [])
            .unwrap();
        let check = |filter: ListCommands, expect: &[&str]| {
            let commands = db.read(filter.clone());
            let messages: Vec<_> = commands.iter().map(|c| c.payload["message"].as_str().unwrap()).collect();
            assert_eq!(messages, expect, "{filter:?}");
        };
        let all = || all_of(9);
        let text = |text: &str| Some(text.to_owned());
        check(all(), &["a", "b", "c"]);
        check(all_of(2), &["b", "c"]);
        check(ListCommands { task: text("one"), ..all() }, &["a", "b"]);
        check(ListCommands { task: text("nope"), ..all() }, &[]);
        check(ListCommands { state: Some(CommandState::Pending), ..all() }, &["a", "c"]);
        check(ListCommands { command_type: text("nudge_worker"), task: text("two"), ..all() }, &["c"]);
        check(ListCommands { worker: text("two-w"), ..all() }, &["c"]);
        check(ListCommands { manager: text("one-m"), ..all() }, &["a", "b"]);
        check(ListCommands { manager: text("one-w"), ..all() }, &[]);
    }

    #[test]
    fn attempts_are_shown_only_where_they_were_asked_for() {
        let mut db = TestDb::new();
        db.task("one");
        let id = db.write(enqueue(QueuedCommand::NudgeWorker, "one", "a")).unwrap().command.id;
        db.conn
            .execute(
                "INSERT INTO command_attempts (command_id, correlation_id, dispatcher_id, started_at, state, result_json)
                 VALUES (?1, 'c', 'd-1', 'now', 'blocked', '{\"k\":1}')",
                [&id],
            )
            .unwrap();
        let plain = serde_json::to_value(db.read(all_of(9))).unwrap();
        assert_eq!(plain[0].get("attempt_history"), None);
        let with_attempts = db.read(ListCommands { attempts: true, ..all_of(9) });
        let shown = serde_json::to_value(with_attempts).unwrap();
        assert_eq!(
            shown[0]["attempt_history"],
            json!([{
                "id": 1, "command_id": id, "correlation_id": "c", "dispatcher_id": "d-1", "started_at": "now",
                "finished_at": Value::Null, "state": "blocked", "result": {"k": 1}, "error": Value::Null,
                "side_effect_started": false, "side_effect_completed": false,
            }])
        );
    }
}
