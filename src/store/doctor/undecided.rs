//! What Dispatch cannot go on with by itself.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::domain::time::now_iso;
use crate::store::StoreError;
use crate::store::mailbox::MAX_HAND_OUTS;

/// How much there is that a person has to decide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undecided {
    /// Mailbox items that were handed out too often without being acknowledged.
    pub dead_letters: i64,
    /// Deliveries of which nobody knows whether they arrived.
    pub unknown_deliveries: i64,
}

impl Undecided {
    /// Whether there is nothing to decide.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Counts it.
pub(super) fn count(conn: &Connection) -> Result<Undecided, StoreError> {
    let dead_letters = conn
        .prepare_cached(
            "SELECT COUNT(*) FROM notification_leases l JOIN routed_notifications n ON n.id = l.notification_id
             WHERE (l.state = 'dead_letter' OR (l.state = 'leased' AND l.expires_at <= ?1 AND l.hand_outs >= ?2))
               AND n.consumed_at IS NULL",
        )?
        .query_row((now_iso(), MAX_HAND_OUTS), |row| row.get(0))?;
    let unknown_deliveries = conn
        .prepare_cached("SELECT COUNT(*) FROM deliveries WHERE state = 'unknown'")?
        .query_row([], |row| row.get(0))?;
    Ok(Undecided { dead_letters, unknown_deliveries })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestDb;

    #[test]
    fn what_a_person_has_to_decide_is_counted_until_it_is_decided() {
        let mut db = TestDb::new();
        assert!(count(&db.conn).unwrap().is_none());
        let pair = db.pair("t1");
        let items: Vec<i64> = (0..4).map(|_| db.deliver(&pair, "go on")).collect();
        let lease = |item: i64, hand_outs: i64, expires: &str, state: &str| {
            let lease = format!(
                "INSERT INTO notification_leases (notification_id, fence, holder_session_id, leased_at, expires_at, hand_outs, state)
                 VALUES ({item}, 1, '{}', 'now', '{expires}', {hand_outs}, '{state}')",
                pair.worker.id
            );
            db.conn.execute_batch(&lease).unwrap();
        };
        lease(items[0], 5, "2020", "dead_letter");
        lease(items[1], 5, "2020", "leased");
        lease(items[2], 5, "2999", "leased");
        lease(items[3], 4, "2020", "leased");
        let delivery = format!(
            "INSERT INTO deliveries (source, target_session_id, transport, state, fence, claimed_at, started_at, error)
             VALUES ('nudge', '{}', 'tmux', 'unknown', 1, 'now', 'now', 'who knows')",
            pair.worker.id
        );
        db.conn.execute_batch(&delivery).unwrap();
        assert_eq!(count(&db.conn).unwrap(), Undecided { dead_letters: 2, unknown_deliveries: 1 });

        db.conn
            .execute_batch("UPDATE routed_notifications SET consumed_at = 'now'; DELETE FROM deliveries")
            .unwrap();
        assert!(count(&db.conn).unwrap().is_none());
    }
}
