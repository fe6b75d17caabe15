//! The draft of a pull request, from what is on record about a task.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::domain::criteria::CriterionStatus;
use crate::store::criteria::{self, Criterion};
use crate::store::tasks::Task;
use crate::store::{StoreError, handoffs};

/// The tables whose rows about the task are counted.
const COUNTED: [&str; 5] =
    ["commands", "events", "manager_cycles", "manager_decisions", "routed_notifications"];

/// Title, Markdown body and the counts behind them.
pub(super) fn pull_request(conn: &Connection, task: &Task) -> Result<Value, StoreError> {
    let criteria = criteria::of_task(conn, &task.id)?;
    let handoff = handoffs::latest(conn, &task.id)?;
    let mut body = vec![task.goal.clone()];
    body.extend(task.summary.clone());
    body.extend(section("Done", &criteria, CriterionStatus::Satisfied, "- [x] "));
    body.extend(section("Open", &criteria, CriterionStatus::Accepted, "- [ ] "));
    body.extend(section("Left for later", &criteria, CriterionStatus::Deferred, "- "));
    body.extend(handoff.map(|handoff| format!("## Handoff\n\n{}", handoff.summary)));
    let mut draft = json!({
        "title": task.goal.lines().next().unwrap_or(&task.name),
        "body": body.join("\n\n"),
        "criteria": criteria::summary(&criteria),
    });
    for table in COUNTED {
        let sql = format!("SELECT count(*) FROM {table} WHERE task_id = ?1");
        let count: i64 = conn.prepare_cached(&sql)?.query_row([&task.id], |row| row.get(0))?;
        draft["counts"][table] = count.into();
    }
    Ok(draft)
}

fn section(title: &str, criteria: &[Criterion], status: CriterionStatus, bullet: &str) -> Option<String> {
    let lines: Vec<String> = criteria
        .iter()
        .filter(|criterion| criterion.status == status)
        .map(|criterion| format!("{bullet}{}", criterion.criterion))
        .collect();
    (!lines.is_empty()).then(|| format!("## {title}\n\n{}", lines.join("\n")))
}
