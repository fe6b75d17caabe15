//! Whether a recorded decision covers an action that changes something.

use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::decisions::{self, ManagerDecision};
use crate::domain::Decision;
use crate::domain::decision::{DecisionDoubt, DecisionFacts, MAX_DECISION_AGE_SECONDS};

/// The outcome of a check, as answers and command results show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionCheck {
    /// How old the decision is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<f64>,
    /// The decisions that would cover the action.
    pub allowed_decisions: Vec<Decision>,
    /// The decision that was named.
    pub decision: Option<ManagerDecision>,
    /// Its id, whether or not it exists.
    pub decision_id: Option<i64>,
    /// How old it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<f64>,
    /// It covers the action.
    pub ok: bool,
    /// Why it does not.
    pub warnings: Vec<DecisionDoubt>,
}

/// Checks that the decision with this id covers an action on the task that one of `allowed` would.
///
/// # Errors
/// Whatever SQLite answers.
pub fn check(
    conn: &Connection,
    task_id: &str,
    decision_id: Option<i64>,
    allowed: &[Decision],
) -> Result<DecisionCheck, StoreError> {
    let nothing_found = |doubt| DecisionCheck {
        age_seconds: None,
        allowed_decisions: allowed.to_vec(),
        decision: None,
        decision_id,
        max_age_seconds: None,
        ok: false,
        warnings: vec![doubt],
    };
    let Some(id) = decision_id else { return Ok(nothing_found(DecisionDoubt::MissingId)) };
    let Some(decision) = decisions::find(conn, id)? else {
        return Ok(nothing_found(DecisionDoubt::NotFound));
    };
    let facts = DecisionFacts {
        task_id: &decision.task_id,
        decision: decision.decision,
        created_at: &decision.created_at,
    };
    let now = Timestamp::now();
    let warnings = facts.doubts(task_id, allowed, now);
    Ok(DecisionCheck {
        age_seconds: facts.age_seconds(now),
        allowed_decisions: allowed.to_vec(),
        decision_id,
        max_age_seconds: Some(MAX_DECISION_AGE_SECONDS),
        ok: warnings.is_empty(),
        warnings,
        decision: Some(decision),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::decisions::RecordDecision;
    use crate::store::testing::TestDb;

    #[test]
    fn a_decision_is_looked_up_and_checked() {
        let mut db = TestDb::new();
        let task_id = db.task("t1").id;
        let mut decide = |decision| {
            let record = RecordDecision {
                task: "t1".into(),
                decision,
                reason: "r".into(),
                cycle_id: None,
                payload: serde_json::Map::new(),
            };
            db.write(record).unwrap().id
        };
        let (stop, wait) = (decide(Decision::Stop), decide(Decision::Wait));
        let warnings = |id| check(&db.conn, &task_id, id, &[Decision::Stop]).unwrap().warnings;
        assert_eq!(warnings(None), [DecisionDoubt::MissingId]);
        assert_eq!(warnings(Some(99)), [DecisionDoubt::NotFound]);
        assert_eq!(warnings(Some(wait)), [DecisionDoubt::Mismatch]);
        let checked = check(&db.conn, &task_id, Some(stop), &[Decision::Stop]).unwrap();
        assert!(checked.ok && checked.age_seconds.unwrap() < 60.0, "{checked:?}");
    }
}
