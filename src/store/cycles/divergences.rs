//! Cycles that saw something on their worker's screen that the rollout does not tell of.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::{Query, StoreError, row, tasks};

/// A cycle with a notable screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// The cycle's row.
    pub cycle_id: i64,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub completed_at: Option<String>,
    /// The pattern found on the worker's screen, or why there was no screen.
    pub notable_pane_pattern: String,
    /// What the worker was doing, as its rollout told.
    pub state: Option<String>,
    /// The subtype of its newest rollout event.
    pub last_event_subtype: Option<String>,
    /// Seconds since the event that told the state.
    pub staleness_seconds: Option<f64>,
    /// The look at the screen.
    pub pane_signal: Option<Value>,
}

impl Divergence {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            cycle_id: row.get(0)?,
            started_at: row.get(1)?,
            completed_at: row.get(2)?,
            notable_pane_pattern: row.get(3)?,
            state: row.get(4)?,
            last_event_subtype: row.get(5)?,
            staleness_seconds: row.get(6)?,
            pane_signal: row::optional_json(row, 7)?,
        })
    }
}

/// The newest cycles of a task with a notable screen, newest first.
#[derive(Debug)]
pub struct ListDivergences {
    /// The task, by id or name.
    pub task: String,
    /// At most this many.
    pub limit: u32,
}

impl Query for ListDivergences {
    type Out = Vec<Divergence>;

    fn run(self, conn: &Connection) -> Result<Vec<Divergence>, StoreError> {
        let task = tasks::get(conn, &self.task)?;
        let rows = conn
            .prepare_cached(
                "SELECT id, started_at, completed_at, json_extract(status_json, '$.notable_pane_pattern'),
                        json_extract(status_json, '$.state'), json_extract(status_json, '$.last_event_subtype'),
                        json_extract(status_json, '$.staleness_seconds'), status_json -> '$.pane_signal'
                 FROM manager_cycles
                 WHERE task_id = ?1 AND json_extract(status_json, '$.notable_pane_pattern') IS NOT NULL
                 ORDER BY id DESC LIMIT ?2",
            )?
            .query_map((task.id, self.limit), Divergence::of)?
            .collect::<Result<_, _>>()?;
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    #[test]
    fn only_cycles_with_a_notable_screen_diverge() {
        let mut db = TestDb::new();
        let task_id = db.task("t1").id;
        for (id, pattern) in [(1, "\"trust_prompt\""), (2, "null"), (3, "\"enter_to_confirm\"")] {
            let status = format!(
                r#"{{"notable_pane_pattern": {pattern}, "state": "busy", "staleness_seconds": 2, "pane_signal": {{"captured": true}}}}"#
            );
            db.conn
                .execute(
                    "INSERT INTO manager_cycles (id, task_id, started_at, state, status_json) VALUES (?1, ?2, 'now', 'succeeded', ?3)",
                    (id, &task_id, status),
                )
                .unwrap();
        }
        let list = |limit| db.read(ListDivergences { task: "t1".into(), limit });
        let patterns: Vec<String> = list(9).into_iter().map(|found| found.notable_pane_pattern).collect();
        assert_eq!(patterns, ["enter_to_confirm", "trust_prompt"]);
        let newest = &list(1)[0];
        assert_eq!(
            (newest.cycle_id, newest.state.as_deref(), newest.staleness_seconds),
            (3, Some("busy"), Some(2.0))
        );
        assert_eq!(newest.pane_signal.as_ref().unwrap()["captured"], true);
    }
}
