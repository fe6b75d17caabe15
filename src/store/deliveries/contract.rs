//! agent-conveyor's columns beside a delivery. They know nothing of evidence, so they are made to
//! follow when evidence comes, or a person decides, after they were written.

use rusqlite::Connection;

use crate::domain::time::now_iso;
use crate::store::StoreError;

/// The delivery arrived: its notification is delivered, its command has succeeded.
pub(in crate::store) fn arrived(conn: &Connection, delivery_id: i64) -> Result<(), StoreError> {
    let now = now_iso();
    conn.prepare_cached(
        "UPDATE routed_notifications
         SET state = 'delivered', delivered_at = COALESCE(delivered_at, ?2), delivery_mode = 'push',
             side_effect_started = 1, side_effect_completed = 1, error = NULL
         WHERE id = (SELECT notification_id FROM deliveries WHERE id = ?1) AND state IN ('pending', 'failed')",
    )?
    .execute((delivery_id, &now))?;
    conn.prepare_cached(
        "UPDATE command_attempts
         SET state = 'succeeded', finished_at = COALESCE(finished_at, ?2), error = NULL,
             side_effect_started = 1, side_effect_completed = 1
         WHERE id = (SELECT attempt_id FROM deliveries WHERE id = ?1) AND state IN ('running', 'failed')",
    )?
    .execute((delivery_id, &now))?;
    conn.prepare_cached(
        "UPDATE commands SET state = 'succeeded', error = NULL, updated_at = ?2
         WHERE id = (SELECT command_id FROM deliveries WHERE id = ?1) AND state IN ('attempted', 'failed')",
    )?
    .execute((delivery_id, &now))?;
    Ok(())
}

/// The delivery did not arrive. A command has failed; a fact waits to be delivered again, unless its
/// reader took it meanwhile by looking for itself. Gives whether it does.
pub(super) fn lost(conn: &Connection, delivery_id: i64, error: &str) -> Result<bool, StoreError> {
    let now = now_iso();
    let waits = conn
        .prepare_cached(
            "UPDATE routed_notifications
             SET state = 'pending', delivered_at = NULL, side_effect_started = 0, side_effect_completed = 0,
                 claimed_by = NULL, claimed_at = NULL, claim_expires_at = NULL, error = ?2
             WHERE id = (SELECT notification_id FROM deliveries WHERE id = ?1)
               AND command_id IS NULL AND consumed_at IS NULL",
        )?
        .execute((delivery_id, error))?;
    conn.prepare_cached(
        "UPDATE routed_notifications SET state = 'delivered', delivered_at = consumed_at, error = NULL
         WHERE id = (SELECT notification_id FROM deliveries WHERE id = ?1)
           AND command_id IS NULL AND consumed_at IS NOT NULL AND state = 'failed'",
    )?
    .execute([delivery_id])?;
    conn.prepare_cached(
        "UPDATE routed_notifications SET state = 'failed', side_effect_completed = 0, error = ?2
         WHERE id = (SELECT notification_id FROM deliveries WHERE id = ?1) AND command_id IS NOT NULL",
    )?
    .execute((delivery_id, error))?;
    conn.prepare_cached(
        "UPDATE command_attempts SET state = 'failed', finished_at = COALESCE(finished_at, ?3), error = ?2,
             side_effect_completed = 0
         WHERE id = (SELECT attempt_id FROM deliveries WHERE id = ?1)",
    )?
    .execute((delivery_id, error, &now))?;
    conn.prepare_cached(
        "UPDATE commands SET state = 'failed', error = ?2, updated_at = ?3
         WHERE id = (SELECT command_id FROM deliveries WHERE id = ?1)",
    )?
    .execute((delivery_id, error, &now))?;
    Ok(waits == 1)
}
