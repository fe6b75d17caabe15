//! The supervision contract of a task: what its manager holds the worker to, and may do.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::events::{self, Event};
use super::tasks::{self, Task};
use super::{Change, StoreError, row};
use crate::domain::permissions::{Permission, PermissionSet};
use crate::domain::supervision::{EpilogueStep, NudgeOnCompletion, SupervisionMode};
use crate::domain::time::now_iso;

/// A row of `manager_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerConfig {
    /// The task.
    pub task_id: String,
    /// How closely the manager supervises.
    pub supervision_mode: SupervisionMode,
    /// What the manager is to see to.
    pub objective: Option<String>,
    /// How.
    pub guidelines: Vec<String>,
    /// What must be true at the end, as first told.
    pub acceptance_criteria: Vec<String>,
    /// Files that explain the task.
    pub reference_paths: Vec<String>,
    /// What the manager may do.
    pub permissions: PermissionSet,
    /// Programs that the work is expected to need.
    pub tools: Vec<String>,
    /// The steps before the task may be finished: [`EpilogueStep`]s.
    pub epilogues: Vec<String>,
    /// What happens when the worker says that it is done.
    pub nudge_on_completion: NudgeOnCompletion,
    /// Both sides must have acknowledged this revision before anything goes on.
    pub require_acks: bool,
    /// Counts up with every change.
    pub revision: i64,
    /// When it was first recorded.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
}

impl ManagerConfig {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            task_id: row.get(0)?,
            supervision_mode: row::word(row, 1)?,
            objective: row.get(2)?,
            guidelines: row::json(row, 3)?,
            acceptance_criteria: row::json(row, 4)?,
            reference_paths: row::json(row, 5)?,
            permissions: row::json(row, 6)?,
            tools: row::json(row, 7)?,
            epilogues: row::json(row, 8)?,
            nudge_on_completion: row::word(row, 9)?,
            require_acks: row.get(10)?,
            revision: row.get(11)?,
            created_at: row.get(12)?,
            updated_at: row.get(13)?,
        })
    }

    /// The contract of a task that has none: guided, and nothing is permitted.
    fn initial(task_id: &str, now: String) -> Self {
        Self {
            task_id: task_id.to_owned(),
            supervision_mode: SupervisionMode::Guided,
            objective: None,
            guidelines: Vec::new(),
            acceptance_criteria: Vec::new(),
            reference_paths: Vec::new(),
            permissions: PermissionSet::default(),
            tools: Vec::new(),
            epilogues: Vec::new(),
            nudge_on_completion: NudgeOnCompletion::AskOperator,
            require_acks: false,
            revision: 1,
            created_at: now.clone(),
            updated_at: now,
        }
    }
}

/// The config of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn find(conn: &Connection, task_id: &str) -> Result<Option<ManagerConfig>, StoreError> {
    let config = conn
        .prepare_cached(
            "SELECT task_id, supervision_mode, objective, guidelines_json, acceptance_criteria_json, reference_paths_json,
                    permissions_json, tools_json, epilogues_json, nudge_on_completion, require_acks, revision,
                    created_at, updated_at
             FROM manager_configs WHERE task_id = ?1",
        )?
        .query_row([task_id], ManagerConfig::of)
        .optional()?;
    Ok(config)
}

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
    let config = find(conn, task_id)?;
    let wanted = Permission::named(name);
    let allowed = match (&config, &wanted) {
        (Some(config), Some(wanted)) => config.permissions.allows(wanted),
        _ => false,
    };
    Ok(PermissionCheck { allowed, configured: config.is_some() })
}

/// What to change in a contract. What is absent or empty stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigChange {
    /// How closely the manager supervises.
    pub mode: Option<SupervisionMode>,
    /// What the manager is to see to.
    pub objective: Option<String>,
    /// Replaces the guidelines.
    pub guidelines: Vec<String>,
    /// Replaces the first acceptance criteria.
    pub acceptance_criteria: Vec<String>,
    /// Replaces the reference files.
    pub reference_paths: Vec<String>,
    /// Replaces the expected tools.
    pub tools: Vec<String>,
    /// Replaces the epilogue steps.
    pub epilogues: Vec<EpilogueStep>,
    /// Grants these permissions, by any of their names.
    pub permits: Vec<String>,
    /// Grants and revokes, see [`PermissionSet::apply`].
    pub permissions: Map<String, Value>,
    /// What happens when the worker says that it is done.
    pub nudge_on_completion: Option<NudgeOnCompletion>,
    /// Both sides must acknowledge; never turned off again by a change.
    pub require_acks: bool,
}

impl ConfigChange {
    /// Applies it; gives a sentence for each entry of `permissions` that was ignored.
    fn apply_to(&self, config: &mut ManagerConfig) -> Vec<String> {
        let replace = |old: &mut Vec<String>, new: &[String]| {
            if !new.is_empty() {
                *old = new.to_vec();
            }
        };
        config.supervision_mode = self.mode.unwrap_or(config.supervision_mode);
        config.objective = self.objective.clone().or_else(|| config.objective.take());
        replace(&mut config.guidelines, &self.guidelines);
        replace(&mut config.acceptance_criteria, &self.acceptance_criteria);
        replace(&mut config.reference_paths, &self.reference_paths);
        replace(&mut config.tools, &each_once(self.tools.iter().map(|tool| tool.trim())));
        replace(&mut config.epilogues, &each_once(self.epilogues.iter().map(|step| step.as_str())));
        config.nudge_on_completion = self.nudge_on_completion.unwrap_or(config.nudge_on_completion);
        config.require_acks |= self.require_acks;
        config.permissions.grant(self.permits.iter().filter_map(|name| Permission::named(name)).flatten());
        config.permissions.apply(&self.permissions)
    }

    /// The permits that no permission has as a name.
    fn unknown_permits(&self) -> impl Iterator<Item = &String> {
        self.permits.iter().filter(|name| Permission::named(name).is_none())
    }
}

/// Without blanks and repetitions, in the order given.
fn each_once<'a>(entries: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for entry in entries.filter(|entry| !entry.is_empty()) {
        if !once.iter().any(|known| known == entry) {
            once.push(entry.to_owned());
        }
    }
    once
}

/// A contract after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// As it is now.
    pub config: ManagerConfig,
    /// A sentence for each permission that was given but is none.
    pub warnings: Vec<String>,
}

/// Changes a task's contract, making the initial one first where there is none. The revision grows
/// only when something is different afterwards; then, and for a first contract, there is an audit
/// event.
///
/// # Errors
/// Whatever SQLite answers.
pub fn configure(conn: &Connection, task: &Task, change: &ConfigChange) -> Result<Configured, StoreError> {
    let now = now_iso();
    let before = find(conn, &task.id)?;
    let mut config = before.clone().unwrap_or_else(|| ManagerConfig::initial(&task.id, now.clone()));
    let mut warnings = change.apply_to(&mut config);
    if before.as_ref() != Some(&config) {
        if before.is_some() {
            config.revision += 1;
            config.updated_at = now;
        }
        save(conn, &config)?;
        record_event(conn, &config, &warnings)?;
    }
    warnings.extend(change.unknown_permits().map(|name| format!("{name} is no permission; it was ignored")));
    Ok(Configured { config, warnings })
}

fn save(conn: &Connection, config: &ManagerConfig) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO manager_configs (task_id, supervision_mode, objective, guidelines_json,
             acceptance_criteria_json, reference_paths_json, permissions_json, tools_json, epilogues_json,
             nudge_on_completion, require_acks, revision, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (task_id) DO UPDATE SET
             supervision_mode = ?2, objective = ?3, guidelines_json = ?4, acceptance_criteria_json = ?5,
             reference_paths_json = ?6, permissions_json = ?7, tools_json = ?8, epilogues_json = ?9,
             nudge_on_completion = ?10, require_acks = ?11, revision = ?12, updated_at = ?14",
    )?
    .execute((
        &config.task_id,
        config.supervision_mode.as_str(),
        &config.objective,
        json!(config.guidelines).to_string(),
        json!(config.acceptance_criteria).to_string(),
        json!(config.reference_paths).to_string(),
        json!(config.permissions).to_string(),
        json!(config.tools).to_string(),
        json!(config.epilogues).to_string(),
        config.nudge_on_completion.as_str(),
        config.require_acks,
        config.revision,
        &config.created_at,
        &config.updated_at,
    ))?;
    Ok(())
}

fn record_event(conn: &Connection, config: &ManagerConfig, warnings: &[String]) -> Result<(), StoreError> {
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "manager_config_recorded",
            task_id: Some(&config.task_id),
            payload: json!({
                "acceptance_count": config.acceptance_criteria.len(),
                "epilogue_count": config.epilogues.len(),
                "guideline_count": config.guidelines.len(),
                "nudge_on_completion": config.nudge_on_completion,
                "permission_warnings": warnings,
                "reference_count": config.reference_paths.len(),
                "require_acks": config.require_acks,
                "supervision_mode": config.supervision_mode,
                "tool_count": config.tools.len(),
            }),
            ..Event::default()
        },
    )?;
    Ok(())
}

/// [`configure`] for a task named by a person.
#[derive(Debug)]
pub struct Configure {
    /// The task, by id or name.
    pub task: String,
    /// What to change.
    pub change: ConfigChange,
}

impl Change for Configure {
    type Out = Configured;

    fn run(self, tx: &Connection) -> Result<Configured, StoreError> {
        let task = tasks::get(tx, &self.task)?;
        configure(tx, &task, &self.change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    fn change() -> ConfigChange {
        ConfigChange::default()
    }

    #[test]
    fn the_first_look_makes_the_initial_contract_and_the_next_only_reads() {
        let mut db = TestDb::new();
        db.task("one");
        let first = db.write(Configure { task: "one".into(), change: change() }).unwrap();
        assert_eq!(first.config.supervision_mode, SupervisionMode::Guided);
        assert_eq!(first.config.revision, 1);
        let again = db.write(Configure { task: "one".into(), change: change() }).unwrap();
        assert_eq!(again, first);
        assert_eq!(
            db.jsons("SELECT payload_json FROM events WHERE type = 'manager_config_recorded'"),
            [json!({
                "acceptance_count": 0, "epilogue_count": 0, "guideline_count": 0, "nudge_on_completion": "ask-operator",
                "permission_warnings": [], "reference_count": 0, "require_acks": false, "supervision_mode": "guided",
                "tool_count": 0,
            })]
        );
    }

    #[test]
    fn only_what_is_given_changes_and_only_a_change_makes_a_revision() {
        let mut db = TestDb::new();
        db.task("one");
        let mut apply = |change| db.write(Configure { task: "one".into(), change }).unwrap().config;
        let first = ConfigChange {
            objective: Some("one".into()),
            guidelines: texts(&["g1"]),
            permits: texts(&["repo.open_pr"]),
            ..change()
        };
        assert_eq!(apply(first).revision, 1);
        let second = apply(ConfigChange { objective: Some("two".into()), ..change() });
        assert_eq!((second.revision, &second.guidelines), (2, &texts(&["g1"])));
        assert_eq!(apply(ConfigChange { objective: Some("two".into()), ..change() }), second);
        let third = apply(ConfigChange { guidelines: texts(&["g9"]), ..change() });
        assert_eq!((third.revision, third.guidelines), (3, texts(&["g9"])));
        let fourth = apply(ConfigChange { permits: texts(&["repo.push_branch"]), ..change() });
        assert_eq!(fourth.permissions.actions("repo"), ["open_pr", "push_branch"]);
        let fifth = apply(ConfigChange { permissions: json_map(json!({"repo": []})), ..change() });
        assert_eq!((fifth.revision, fifth.permissions.actions("repo")), (5, vec![]));
        assert_eq!(apply(change()), fifth);
    }

    fn json_map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn lists_are_cleaned_and_what_is_no_permission_is_told() {
        let mut db = TestDb::new();
        db.task("one");
        let given = ConfigChange {
            tools: texts(&["pytest", " ruff ", "pytest", " "]),
            epilogues: vec![EpilogueStep::RunTools, EpilogueStep::DraftPr, EpilogueStep::RunTools],
            permits: texts(&["repo.nuke", "worker_compact_clear"]),
            permissions: json_map(json!({"bogus": true})),
            ..change()
        };
        let configured = db.write(Configure { task: "one".into(), change: given }).unwrap();
        assert_eq!(configured.config.tools, ["pytest", "ruff"]);
        assert_eq!(configured.config.epilogues, ["run-tools", "draft-pr"]);
        assert_eq!(configured.config.permissions.actions("worker_session"), ["clear", "compact"]);
        assert_eq!(configured.warnings.len(), 2, "{:?}", configured.warnings);
        let events = db.jsons("SELECT payload_json FROM events WHERE type = 'manager_config_recorded'");
        assert_eq!(events[0]["permission_warnings"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_permission_needs_a_contract_that_grants_all_of_it() {
        let mut db = TestDb::new();
        let task = db.task("one");
        let check = |db: &TestDb, name: &str, allowed: bool, configured: bool| {
            let found = permission_check(&db.conn, &task.id, name).unwrap();
            assert_eq!(found, PermissionCheck { allowed, configured }, "{name}");
        };
        check(&db, "repo.open_pr", false, false);
        let permits = texts(&["create_pr", "worker_session.compact"]);
        db.write(Configure { task: "one".into(), change: ConfigChange { permits, ..change() } }).unwrap();
        check(&db, "repo.open_pr", true, true);
        check(&db, "allow_pr", true, true);
        check(&db, "worker_compact_clear", false, true);
        check(&db, "bogus", false, true);
        // A flat configuration of an older program.
        db.conn
            .execute("UPDATE manager_configs SET permissions_json = '{\"merge_green_pr\":true}'", [])
            .unwrap();
        check(&db, "repo.merge_green_pr", true, true);
        check(&db, "repo.open_pr", false, true);
    }
}
