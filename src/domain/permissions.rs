//! What a manager may be allowed to do: a fixed taxonomy of `category.action`, and the set of them
//! that a task's configuration grants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::Failure;
use super::words::words;

/// Every category with its actions, both in alphabetical order.
pub const TAXONOMY: [(&str, &[&str]); 5] = [
    ("communication", &["comment_on_pr", "notify_operator"]),
    ("context", &["fetch_issues", "fetch_prs", "spawn_reviewer"]),
    ("repo", &["merge_green_pr", "open_pr", "push_branch"]),
    ("verification", &["run_cargo", "run_playwright", "run_pytest", "run_xcodebuild"]),
    // `approve` is our own.
    ("worker_session", &["approve", "clear", "compact", "interrupt", "stop"]),
];

/// Older names, each for one or more `category.action`. All of them must be granted.
const ALIASES: [(&str, &[&str]); 6] = [
    ("allow_merge_green", &["repo.merge_green_pr"]),
    ("allow_pr", &["repo.open_pr"]),
    ("allow_worker_compact_clear", &["worker_session.clear", "worker_session.compact"]),
    ("create_pr", &["repo.open_pr"]),
    ("merge_green_pr", &["repo.merge_green_pr"]),
    ("worker_compact_clear", &["worker_session.clear", "worker_session.compact"]),
];

/// One permission of the taxonomy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    category: &'static str,
    action: &'static str,
}

impl Permission {
    /// Every permission, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        TAXONOMY
            .into_iter()
            .flat_map(|(category, actions)| actions.iter().map(move |action| Self { category, action }))
    }

    /// The permission with this category and action.
    pub fn of(category: &str, action: &str) -> Option<Self> {
        Self::all().find(|known| known.category == category && known.action == action)
    }

    /// The permissions that a name stands for: itself for `category.action`, one or two for an
    /// older name. `None` for a name that nobody knows.
    pub fn named(name: &str) -> Option<Vec<Self>> {
        if let Some((_, stands_for)) = ALIASES.into_iter().find(|(alias, _)| *alias == name) {
            return stands_for.iter().map(|name| Self::dotted(name)).collect();
        }
        Self::dotted(name).map(|permission| vec![permission])
    }

    fn dotted(name: &str) -> Option<Self> {
        let (category, action) = name.split_once('.')?;
        Self::of(category, action)
    }

    /// The category, e.g. `repo`.
    pub fn category(self) -> &'static str {
        self.category
    }

    /// The action inside the category, e.g. `open_pr`.
    pub fn action(self) -> &'static str {
        self.action
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.category, self.action)
    }
}

/// The category of this name, as the taxonomy spells it.
pub fn category(name: &str) -> Option<&'static str> {
    TAXONOMY.into_iter().map(|(category, _)| category).find(|category| *category == name)
}

/// The refusal of a name that stands for no permission, with the nearest one that does.
pub fn unknown(name: &str) -> Failure {
    let aliases = ALIASES.map(|(alias, _)| alias.to_owned());
    let known: Vec<String> = Permission::all().map(|known| known.to_string()).chain(aliases).collect();
    Failure::unknown_name("permission", name, &known)
}

words! {
    /// Why a manager may not do something.
    Denial {
        /// The task has no supervision contract.
        MissingManagerConfig = "missing_manager_config",
        /// The contract does not grant it.
        PermissionNotEnabled = "permission_not_enabled",
        /// The worker has not written down where it stands.
        MissingWorkerHandoff = "missing_worker_handoff",
    }
}

/// Granted permissions. As JSON an object with every category and its granted actions, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PermissionSet(BTreeSet<Permission>);

impl PermissionSet {
    /// Adds permissions.
    pub fn grant(&mut self, permissions: impl IntoIterator<Item = Permission>) {
        self.0.extend(permissions);
    }

    /// Whether each of these is granted.
    pub fn allows(&self, permissions: &[Permission]) -> bool {
        permissions.iter().all(|permission| self.0.contains(permission))
    }

    /// The granted actions of a category, sorted.
    pub fn actions(&self, category: &str) -> Vec<&'static str> {
        self.0.iter().filter(|granted| granted.category == category).map(|granted| granted.action).collect()
    }

    /// Applies a `--permissions-json` object and gives a sentence for each entry that was ignored.
    ///
    /// A category with a list replaces that category; then any other known name grants when its
    /// value is truthy and revokes when it is not.
    pub fn apply(&mut self, changes: &Map<String, Value>) -> Vec<String> {
        let (categories, names): (Vec<_>, Vec<_>) =
            changes.iter().partition(|(name, _)| category(name).is_some());
        categories.into_iter().chain(names).flat_map(|(name, value)| self.apply_one(name, value)).collect()
    }

    fn apply_one(&mut self, name: &str, value: &Value) -> Vec<String> {
        match (category(name), Permission::named(name)) {
            (Some(category), _) => self.replace_category(category, value),
            (None, Some(permissions)) if is_truthy(value) => {
                self.grant(permissions);
                Vec::new()
            }
            (None, Some(permissions)) => {
                self.0.retain(|granted| !permissions.contains(granted));
                Vec::new()
            }
            (None, None) => vec![format!("{name} is no permission; it was ignored")],
        }
    }

    fn replace_category(&mut self, category: &'static str, value: &Value) -> Vec<String> {
        let Some(listed) = value.as_array() else {
            return vec![format!("{category} needs a list of actions; it was left as it is")];
        };
        self.0.retain(|granted| granted.category != category);
        let mut warnings = Vec::new();
        for action in listed {
            match action.as_str().and_then(|action| Permission::of(category, action)) {
                Some(permission) => self.grant([permission]),
                None => warnings.push(format!("{category} has no action {action}; it was ignored")),
            }
        }
        warnings
    }
}

/// As in the languages that wrote the older configurations.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

impl Serialize for PermissionSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(TAXONOMY.len()))?;
        for (category, _) in TAXONOMY {
            map.serialize_entry(category, &self.actions(category))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for PermissionSet {
    /// Reads the categorized form and the flat one of older configurations; unknown names are dropped.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let mut set = Self::default();
        set.apply(&stored.into_iter().collect());
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn granted(names: &[&str]) -> PermissionSet {
        let mut set = PermissionSet::default();
        for name in names {
            set.grant(Permission::named(name).expect(name));
        }
        set
    }

    fn names(set: &PermissionSet) -> Vec<String> {
        set.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_stand_for_permissions() {
        fn check(name: &str, expect: &[&str]) {
            let found = Permission::named(name).unwrap_or_default();
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expect, "{name}");
        }
        check("repo.open_pr", &["repo.open_pr"]);
        check("create_pr", &["repo.open_pr"]);
        check("allow_pr", &["repo.open_pr"]);
        check("merge_green_pr", &["repo.merge_green_pr"]);
        check("worker_compact_clear", &["worker_session.clear", "worker_session.compact"]);
        check("repo", &[]);
        check("open_pr", &[]);
        check("repo.nuke", &[]);
        check("bogus.thing", &[]);
        check("", &[]);
    }

    #[test]
    fn every_alias_stands_for_something() {
        for (alias, stands_for) in ALIASES {
            assert_eq!(
                Permission::named(alias).map(|permissions| permissions.len()),
                Some(stands_for.len()),
                "{alias}"
            );
        }
    }

    #[test]
    fn an_alias_for_two_needs_both() {
        let both = Permission::named("worker_compact_clear").unwrap();
        assert!(!granted(&["worker_session.compact"]).allows(&both));
        assert!(granted(&["worker_session.compact", "worker_session.clear"]).allows(&both));
    }

    #[test]
    fn a_json_object_changes_what_is_granted() {
        fn check(before: &[&str], changes: Value, after: &[&str], ignored: usize) {
            let mut set = granted(before);
            let warnings = set.apply(changes.as_object().unwrap());
            assert_eq!(names(&set), after, "{changes}");
            assert_eq!(warnings.len(), ignored, "{changes}: {warnings:?}");
        }
        check(
            &[],
            json!({"create_pr": true, "context": ["spawn_reviewer", "fetch_prs"]}),
            &["context.fetch_prs", "context.spawn_reviewer", "repo.open_pr"],
            0,
        );
        check(
            &["repo.open_pr", "repo.merge_green_pr"],
            json!({"merge_green_pr": false}),
            &["repo.open_pr"],
            0,
        );
        check(&["repo.open_pr", "context.fetch_prs"], json!({"repo": []}), &["context.fetch_prs"], 0);
        check(&["repo.push_branch"], json!({"repo": ["open_pr", "nuke", 1]}), &["repo.open_pr"], 2);
        check(&["context.fetch_prs"], json!({"context": true, "bogus": true}), &["context.fetch_prs"], 2);
        check(&["worker_session.clear"], json!({"worker_compact_clear": 0}), &[], 0);
        check(&["repo.push_branch"], json!({"create_pr": true, "repo": []}), &["repo.open_pr"], 0);
        check(
            &[],
            json!({"repo.open_pr": 1, "allow_merge_green": "yes", "run_pytest": true}),
            &["repo.merge_green_pr", "repo.open_pr"],
            1,
        );
    }

    #[test]
    fn stored_json_has_every_category_and_reads_back() {
        let set = granted(&["repo.open_pr", "repo.merge_green_pr"]);
        let stored = serde_json::to_value(&set).unwrap();
        assert_eq!(
            stored,
            json!({"communication": [], "context": [], "repo": ["merge_green_pr", "open_pr"], "verification": [], "worker_session": []})
        );
        assert_eq!(serde_json::from_value::<PermissionSet>(stored).unwrap(), set);
        let flat = json!({"create_pr": true, "merge_green_pr": false, "unheard_of": true});
        assert_eq!(serde_json::from_value::<PermissionSet>(flat).unwrap(), granted(&["repo.open_pr"]));
    }
}
