//! Whether a manager may do something, checked on record.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::events::{self, Event};
use super::tasks::{self, Task};
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, StoreError, handoffs, manager_config};
use crate::domain::Failure;
use crate::domain::permissions::{self, Denial, Permission, PermissionSet};
use crate::domain::shell::quoted;

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionCheck {
    /// What was asked for: a permission by any of its names, or a category.
    pub action: String,
    /// There is no reason against it.
    pub allowed: bool,
    /// The worker's latest handoff.
    pub handoff_id: Option<i64>,
    /// What speaks against it.
    pub reasons: Vec<Denial>,
}

impl ActionCheck {
    /// What would make it allowed, a command for each reason against it.
    pub fn hints(&self, task: &str) -> Vec<String> {
        let permissions = Asked::named(&self.action).map(Asked::permissions).unwrap_or_default();
        let permission = permissions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" --permit ");
        let hint = |reason: &Denial| match reason {
            Denial::MissingWorkerHandoff => {
                format!("say where the work stands: `conveyor handoff {} --summary TEXT`", quoted(task))
            }
            Denial::MissingManagerConfig | Denial::PermissionNotEnabled => {
                format!("grant it: `conveyor manager-config {} --permit {permission}`", quoted(task))
            }
        };
        self.reasons.iter().map(hint).collect()
    }
}

/// Checks an action and records that in the audit log and in telemetry.
///
/// A category is allowed when any of its actions is.
///
/// # Errors
/// `NotFound` when nobody knows the action.
pub fn check(
    conn: &Connection,
    task: &Task,
    action: &str,
    require_handoff: bool,
) -> Result<ActionCheck, StoreError> {
    let asked = Asked::named(action)?;
    let handoff_id = handoffs::latest(conn, &task.id)?.map(|handoff| handoff.id);
    let config = manager_config::find(conn, &task.id)?;
    let denial = match config {
        None => Some(Denial::MissingManagerConfig),
        Some(config) if asked.is_granted(&config.permissions) => None,
        Some(_) => Some(Denial::PermissionNotEnabled),
    };
    let without_handoff = (require_handoff && handoff_id.is_none()).then_some(Denial::MissingWorkerHandoff);
    let reasons: Vec<Denial> = denial.into_iter().chain(without_handoff).collect();
    let check = ActionCheck { action: action.to_owned(), allowed: reasons.is_empty(), handoff_id, reasons };
    record(conn, task, &check)?;
    Ok(check)
}

enum Asked {
    Category(&'static str),
    Permissions(Vec<Permission>),
}

impl Asked {
    fn named(name: &str) -> Result<Self, Failure> {
        match (permissions::category(name), Permission::named(name)) {
            (Some(category), _) => Ok(Self::Category(category)),
            (None, Some(permissions)) => Ok(Self::Permissions(permissions)),
            (None, None) => Err(permissions::unknown(name)),
        }
    }

    /// What would have to be granted.
    fn permissions(self) -> Vec<Permission> {
        match self {
            Self::Category(wanted) => {
                Permission::all().filter(|known| known.category() == wanted).take(1).collect()
            }
            Self::Permissions(permissions) => permissions,
        }
    }

    fn is_granted(&self, granted: &PermissionSet) -> bool {
        match self {
            Self::Category(category) => !granted.actions(category).is_empty(),
            Self::Permissions(permissions) => granted.allows(permissions),
        }
    }
}

fn record(conn: &Connection, task: &Task, check: &ActionCheck) -> Result<(), StoreError> {
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "manager_permission_checked",
            task_id: Some(&task.id),
            payload: json!(check),
            ..Event::default()
        },
    )?;
    let (severity, answer) =
        if check.allowed { (Severity::Info, "granted") } else { (Severity::Warning, "denied") };
    telemetry::emit(
        conn,
        &Telemetry {
            actor: Actor::Manager,
            event_type: "manager_permission_checked",
            severity,
            summary: &format!("permission {} {answer}", check.action),
            task_id: Some(&task.id),
            run_id: None,
            correlation: json!({ "action": check.action }),
            attributes: json!(check),
        },
    )?;
    Ok(())
}

/// A check, and what is granted beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedPermission {
    /// The task.
    pub task: Task,
    /// The outcome.
    pub check: ActionCheck,
    /// Whether the task has a supervision contract.
    pub configured: bool,
    /// What it grants.
    pub granted: PermissionSet,
}

/// [`check`] for a task named by a person.
#[derive(Debug)]
pub struct CheckPermission {
    /// The task, by id or name.
    pub task: String,
    /// A permission by any of its names, or a category.
    pub action: String,
    /// The worker must have written a handoff.
    pub require_handoff: bool,
}

impl Change for CheckPermission {
    type Out = CheckedPermission;

    fn run(self, tx: &Connection) -> Result<CheckedPermission, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        let check = check(tx, &task, &self.action, self.require_handoff)?;
        let config = manager_config::find(tx, &task.id)?;
        let configured = config.is_some();
        let granted = config.map(|config| config.permissions).unwrap_or_default();
        Ok(CheckedPermission { task, check, configured, granted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FailureKind;
    use crate::store::manager_config::{ConfigChange, Configure};
    use crate::store::testing::TestDb;

    fn ask(db: &mut TestDb, action: &str, require_handoff: bool) -> ActionCheck {
        let ask = CheckPermission { task: "one".into(), action: action.into(), require_handoff };
        db.write(ask).unwrap().check
    }

    #[test]
    fn every_reason_against_an_action_is_given_in_order() {
        use Denial::*;
        let mut db = TestDb::new();
        db.task("one");
        assert_eq!(ask(&mut db, "repo.open_pr", true).reasons, [MissingManagerConfig, MissingWorkerHandoff]);
        let permits = vec!["repo.open_pr".into(), "worker_session.compact".into()];
        db.write(Configure {
            task: "one".into(),
            change: ConfigChange { permits, ..ConfigChange::default() },
        })
        .unwrap();
        let mut check = |action: &str, require_handoff: bool, reasons: &[Denial]| {
            let found = ask(&mut db, action, require_handoff);
            assert_eq!((&*found.reasons, found.allowed), (reasons, reasons.is_empty()), "{action}");
        };
        check("repo.open_pr", false, &[]);
        check("create_pr", false, &[]);
        check("repo", false, &[]);
        check("context", false, &[PermissionNotEnabled]);
        check("repo.push_branch", false, &[PermissionNotEnabled]);
        check("worker_compact_clear", true, &[PermissionNotEnabled, MissingWorkerHandoff]);
        check("repo.open_pr", true, &[MissingWorkerHandoff]);
    }

    #[test]
    fn a_check_is_on_record_whatever_came_out_and_an_unknown_name_is_not_one() {
        let mut db = TestDb::new();
        db.task("one");
        ask(&mut db, "repo.open_pr", false);
        assert_eq!(
            db.jsons("SELECT payload_json FROM events WHERE type = 'manager_permission_checked'"),
            [
                json!({"action": "repo.open_pr", "allowed": false, "handoff_id": null, "reasons": ["missing_manager_config"]})
            ]
        );
        assert_eq!(db.texts("SELECT severity FROM telemetry_events"), ["warning"]);
        let unknown = CheckPermission { task: "one".into(), action: "bogus".into(), require_handoff: false };
        assert_eq!(db.refusal(unknown).kind, FailureKind::NotFound);
        assert_eq!(db.texts("SELECT severity FROM telemetry_events").len(), 1);
    }
}
