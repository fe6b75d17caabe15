//! Which records a view is about, and the conditions that say so in SQL.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Params, params_from_iter};

use crate::domain::time::iso;

/// Which records a view is about. All that is given must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Those of the task with this id.
    pub task_id: Option<String>,
    /// Those of the run with this id; of what is in no run, those of its task.
    pub run_id: Option<String>,
    /// Those since this instant.
    pub since: Option<Timestamp>,
    /// Only those of tasks that have not ended.
    pub active_only: bool,
}

impl Scope {
    /// Conditions on the task of a row and its instant. The unary plus keeps a list of many tasks
    /// from being chosen over the index that gives the rows in their order.
    pub(super) fn filter(&self, task: &str, at: Option<&str>) -> Filter {
        self.conditions(task, &format!("+{task}"), at)
    }

    /// As [`Self::filter`], for rows that are counted, in whatever order.
    pub(super) fn count_filter(&self, task: &str, at: Option<&str>) -> Filter {
        self.conditions(task, task, at)
    }

    /// It is about the rows of one task, or of the task of one run.
    pub(super) fn is_of_one_task(&self) -> bool {
        self.task_id.is_some() || self.run_id.is_some()
    }

    fn conditions(&self, task: &str, one_of_many: &str, at: Option<&str>) -> Filter {
        let mut filter = Filter::default();
        match (&self.task_id, &self.run_id) {
            (Some(id), _) => filter.add(&format!("{task} = ?"), id.clone()),
            (None, Some(run)) => {
                filter.add(&format!("{task} = (SELECT task_id FROM runs WHERE id = ?)"), run.clone());
            }
            (None, None) => {}
        }
        if self.active_only {
            filter.also(&format!("{one_of_many} IN (SELECT id FROM tasks WHERE {ACTIVE})"));
        }
        if let (Some(at), Some(since)) = (at, self.since) {
            filter.add(&format!("{at} >= ?"), iso(since));
        }
        filter
    }
}

/// A task that has not ended.
pub(super) const ACTIVE: &str = "state IN ('candidate', 'managed', 'paused')";

/// Conditions and their values. Only what is asked for stands in the statement, so that SQLite sees
/// which index fits.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Filter {
    /// Adds a condition, in the order of the statement; the value stands for each `?` in it.
    pub(super) fn add(&mut self, condition: &str, value: String) {
        self.conditions.push(condition.to_owned());
        let places = condition.matches('?').count();
        self.values.extend(std::iter::repeat_n(Value::Text(value), places));
    }

    /// Adds a condition without a value.
    pub(super) fn also(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// There is no condition.
    pub(super) fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// With one more condition without a value.
    pub(super) fn and(mut self, condition: &str) -> Self {
        self.also(condition);
        self
    }

    /// What stands behind `WHERE`.
    pub(super) fn sql(&self) -> String {
        if self.conditions.is_empty() { "TRUE".to_owned() } else { self.conditions.join(" AND ") }
    }

    /// The values of the conditions.
    pub(super) fn values(&self) -> impl Params + '_ {
        params_from_iter(&self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_a_condition() {
        let check = |scope: Scope, expect: &str| {
            assert_eq!(scope.filter("c.task_id", Some("c.at")).sql(), expect, "{scope:?}");
        };
        let text = |text: &str| Some(text.to_owned());
        check(Scope::default(), "TRUE");
        check(Scope { task_id: text("t"), run_id: text("r"), ..Scope::default() }, "c.task_id = ?");
        check(
            Scope { run_id: text("r"), ..Scope::default() },
            "c.task_id = (SELECT task_id FROM runs WHERE id = ?)",
        );
        let active = Scope { active_only: true, since: Some(Timestamp::UNIX_EPOCH), ..Scope::default() };
        check(
            active.clone(),
            "+c.task_id IN (SELECT id FROM tasks WHERE state IN ('candidate', 'managed', 'paused')) AND c.at >= ?",
        );
        assert!(!active.filter("task_id", None).sql().contains(">="));
    }
}
