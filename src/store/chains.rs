//! Correlation chains: for each command and each routed fact, which attempts, notifications and
//! decisions belong to it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commands::{Command, CommandAttempt};
use super::decisions::ManagerDecision;
use super::notifications::Notification;

/// What belongs to one command, or to one routed fact that no command asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// What ties it together.
    pub correlation_id: Option<String>,
    /// When it began.
    pub created_at: String,
    /// The command; none for a routed fact.
    pub command_id: Option<String>,
    /// The command's type, or the fact's signal.
    pub command_type: String,
    /// How far the command, or the notification, got.
    pub command_state: String,
    /// The attempts at the command.
    pub attempt_ids: Vec<i64>,
    /// The notifications.
    pub routed_notification_ids: Vec<i64>,
    /// The observation cycle that took a notification of it.
    pub manager_cycle_id: Option<i64>,
    /// The decision that the command names.
    pub manager_decision_id: Option<i64>,
    /// The observation cycle that the decision is based on.
    pub manager_decision_cycle_id: Option<i64>,
    /// The fact's signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal_type: Option<String>,
    /// The rollout event that is the fact's cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_event_id: Option<i64>,
}

/// The chains of one task's records, in the order of their beginnings.
pub fn chains(
    commands: &[Command],
    attempts: &[CommandAttempt],
    notifications: &[Notification],
    decisions: &[ManagerDecision],
) -> Vec<Chain> {
    let of_commands = commands.iter().map(|command| of_command(command, attempts, notifications, decisions));
    let facts = notifications.iter().filter(|notification| notification.command_id.is_none());
    let mut chains: Vec<Chain> = of_commands.chain(facts.map(of_fact)).collect();
    chains.sort_by(|a, b| a.created_at.cmp(&b.created_at));
    chains
}

fn of_command(
    command: &Command,
    attempts: &[CommandAttempt],
    notifications: &[Notification],
    decisions: &[ManagerDecision],
) -> Chain {
    let routed = || notifications.iter().filter(|n| n.command_id.as_ref() == Some(&command.id));
    let decision_id = named_decision(&command.payload);
    let decision = decisions.iter().find(|decision| Some(decision.id) == decision_id);
    Chain {
        correlation_id: command.correlation_id.clone(),
        created_at: command.created_at.clone(),
        command_id: Some(command.id.clone()),
        command_type: command.command_type.clone(),
        command_state: command.state.to_string(),
        attempt_ids: attempts.iter().filter(|a| a.command_id == command.id).map(|a| a.id).collect(),
        routed_notification_ids: routed().map(|notification| notification.id).collect(),
        manager_cycle_id: routed().find_map(|notification| notification.consumed_manager_cycle_id),
        manager_decision_id: decision_id,
        manager_decision_cycle_id: decision.and_then(|decision| decision.manager_cycle_id),
        signal_type: None,
        source_event_id: None,
    }
}

fn of_fact(notification: &Notification) -> Chain {
    Chain {
        correlation_id: Some(notification.correlation_id.clone()),
        created_at: notification.created_at.clone(),
        command_id: None,
        command_type: notification.signal_type.clone(),
        command_state: notification.state.clone(),
        attempt_ids: Vec::new(),
        routed_notification_ids: vec![notification.id],
        manager_cycle_id: notification.consumed_manager_cycle_id,
        manager_decision_id: None,
        manager_decision_cycle_id: None,
        signal_type: Some(notification.signal_type.clone()),
        source_event_id: notification.source_event_id,
    }
}

/// The decision that a command's payload names.
pub(super) fn named_decision(payload: &Value) -> Option<i64> {
    let checked = &payload["manager_decision"]["decision_id"];
    payload["manager_decision_id"].as_i64().or_else(|| checked.as_i64())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::commands::{self, NewCommand};
    use crate::store::page::Page;
    use crate::store::testing::TestDb;
    use crate::store::{decisions, notifications};

    #[test]
    fn a_chain_holds_what_belongs_to_one_cause() {
        let mut db = TestDb::new();
        let pair = db.pair("t1");
        let fact = db.deliver(&pair, "a fact");
        db.conn
            .execute("UPDATE routed_notifications SET created_at = '2026-01-01T00:00:00.000Z'", [])
            .unwrap();
        let command = NewCommand {
            command_type: "continue_iteration",
            task_id: Some(&pair.task.id),
            correlation_id: Some("c-1"),
            idempotency_key: None,
            required_permission: None,
            payload: json!({ "manager_decision_id": 1 }),
        };
        let command_id = commands::insert(&db.conn, command).unwrap().id;
        let delivered = db.deliver(&pair, "a command");
        db.conn
            .execute(
                "UPDATE routed_notifications SET command_id = ?1 WHERE id = ?2",
                (&command_id, delivered),
            )
            .unwrap();
        db.conn
            .execute_batch(&format!(
                "INSERT INTO manager_cycles (id, task_id, started_at, state) VALUES (5, '{task}', 'now', 'succeeded');
                 INSERT INTO manager_decisions (id, task_id, manager_cycle_id, decision, reason, created_at, payload_json)
                     VALUES (1, '{task}', 5, 'nudge', 'r', 'now', '{{}}');
                 INSERT INTO command_attempts (id, command_id, correlation_id, dispatcher_id, started_at, state)
                     VALUES (9, '{command_id}', 'c-1', 'd', 'now', 'succeeded')",
                task = pair.task.id
            ))
            .unwrap();
        let (task, page) = (&*pair.task.id, Page::everything());
        let found = chains(
            &commands::newest_of_task(&db.conn, task, &page).unwrap().rows,
            &commands::newest_attempts_of_task(&db.conn, task, &page).unwrap().rows,
            &notifications::newest_of_task(&db.conn, task, &page).unwrap().rows,
            &decisions::newest_of_task(&db.conn, task, &page).unwrap().rows,
        );
        let [of_fact, of_command] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((of_fact.command_id.as_ref(), &*of_fact.routed_notification_ids), (None, &[fact][..]));
        assert_eq!(of_fact.signal_type.as_deref(), Some("nudge_worker"));
        assert_eq!((of_command.correlation_id.as_deref(), &*of_command.attempt_ids), (Some("c-1"), &[9][..]));
        assert_eq!(of_command.routed_notification_ids, [delivered]);
        assert_eq!(
            (of_command.manager_decision_id, of_command.manager_decision_cycle_id),
            (Some(1), Some(5))
        );
    }
}
