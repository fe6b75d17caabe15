//! Forks: threads that continue another thread's history, and may repeat its turns.

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;
use crate::domain::TurnKey;

/// Records that a thread continues the history of another one.
///
/// # Errors
/// Whatever SQLite answers.
pub fn record(conn: &Connection, thread_id: &str, forked_from: &str) -> Result<(), StoreError> {
    if thread_id != forked_from {
        conn.prepare_cached("INSERT OR IGNORE INTO thread_forks (thread_id, forked_from) VALUES (?1, ?2)")?
            .execute((thread_id, forked_from))?;
    }
    Ok(())
}

/// The thread under which the end of a turn is known already: one that this thread was forked from,
/// or one that was forked from it, however many forks lie between. `None` when only this thread can
/// know of it.
///
/// A turn without an id is told by its place in the file, which differs from copy to copy.
///
/// # Errors
/// Whatever SQLite answers.
pub fn other_thread_with(
    conn: &Connection,
    thread_id: &str,
    key: &TurnKey,
) -> Result<Option<String>, StoreError> {
    if key.id().is_none() {
        return Ok(None);
    }
    let known = conn
        .prepare_cached(
            "WITH RECURSIVE family (thread_id) AS (
                 VALUES (?1)
                 UNION SELECT f.forked_from FROM family JOIN thread_forks f USING (thread_id)
                 UNION SELECT f.thread_id FROM family JOIN thread_forks f ON f.forked_from = family.thread_id
             )
             SELECT thread_id FROM family JOIN turn_facts USING (thread_id)
             WHERE thread_id <> ?1 AND turn_key = ?2 LIMIT 1",
        )?
        .query_row((thread_id, key.to_string()), |row| row.get(0))
        .optional()?;
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Role, TurnOutcome};
    use crate::store::testing::TestDb;
    use crate::store::turn_facts::{self, NewFact};

    #[test]
    fn a_turn_is_known_in_the_whole_family_and_nowhere_else() {
        let db = TestDb::new();
        let session = db.session("w1", Role::Worker);
        for (child, parent) in
            [("child", "parent"), ("child", "child"), ("grandchild", "child"), ("sister", "parent")]
        {
            record(&db.conn, child, parent).unwrap();
            record(&db.conn, child, parent).unwrap();
        }
        let tell = |thread_id: &str, key: TurnKey| {
            let fact = NewFact {
                session_id: &session.id,
                thread_id,
                key: &key,
                outcome: TurnOutcome::Completed,
                event_id: None,
                error: None,
            };
            turn_facts::record(&db.conn, &fact).unwrap()
        };
        assert!(tell("grandchild", TurnKey::Id("turn".into())));
        for thread in ["parent", "child", "sister", "grandchild"] {
            assert!(!tell(thread, TurnKey::Id("turn".into())), "{thread}");
        }
        assert!(tell("stranger", TurnKey::Id("turn".into())));
        assert!(tell("parent", TurnKey::Offset(7)) && tell("child", TurnKey::Offset(7)), "places, not names");
    }

    #[test]
    fn a_turn_that_was_open_at_the_fork_ends_in_the_thread_it_began_in() {
        let db = TestDb::new();
        let session = db.session("w1", Role::Worker);
        let [parent, turn, child, own] =
            [1, 2, 3, 4].map(|n| format!("0190000{n}-0000-7000-8000-000000000000"));
        record(&db.conn, &child, &parent).unwrap();
        let tell = |thread_id: &str, turn: &str, outcome: TurnOutcome| {
            let key = TurnKey::Id(turn.to_owned());
            let fact = NewFact {
                session_id: &session.id,
                thread_id,
                key: &key,
                outcome,
                event_id: None,
                error: None,
            };
            turn_facts::record(&db.conn, &fact).unwrap()
        };
        assert!(!tell(&child, &turn, TurnOutcome::Failed), "copied, and never ended in the copy");
        assert!(tell(&child, &own, TurnOutcome::Failed), "its own");
        assert!(tell(&parent, &turn, TurnOutcome::Completed));
        assert_eq!(db.texts("SELECT outcome FROM turn_facts ORDER BY id"), ["failed", "completed"]);
    }
}
