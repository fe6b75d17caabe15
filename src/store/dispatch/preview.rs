//! What a pass would do, without doing it.

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;

use super::{Entry, PassOptions, commands, entry, pushes_to, unrouted};
use crate::domain::signal::SignalFilter;
use crate::domain::time::iso;
use crate::domain::transport::delivery_mode;
use crate::store::{Query, StoreError, sessions, tasks};

/// Plans a pass. Writes nothing.
#[derive(Debug)]
pub struct PreviewPass(pub PassOptions);

impl Query for PreviewPass {
    type Out = Vec<Entry>;

    fn run(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        let now = iso(Timestamp::now());
        let mut plans = Vec::new();
        for (id, kind) in commands::due(conn, SignalFilter::commands(self.0.filter), &now, self.0.limit)? {
            plans.push(entry(json!({
                "command_id": id,
                "command_type": kind,
                "dispatcher_id": self.0.dispatcher_id,
                "dry_run": true,
                "state": "planned",
            })));
        }
        if SignalFilter::routes_facts(self.0.filter) {
            for fact in unrouted::unrouted(conn, self.0.limit - plans.len())? {
                let manager = sessions::get(conn, &fact.manager_id)?;
                plans.push(entry(json!({
                    "binding_id": fact.binding_id,
                    "dedupe_key": fact.dedupe_key(),
                    "delivery_mode": delivery_mode(!pushes_to(conn, &manager)?.is_empty()),
                    "dry_run": true,
                    "signal_type": fact.signal,
                    "source_event_id": fact.event_id,
                    "state": "planned",
                    "target_session": manager.name,
                    "task": tasks::get(conn, &fact.task_id)?.name,
                })));
            }
        }
        Ok(plans)
    }
}
