//! A person decides whether an unknown delivery arrived.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Delivery, contract, find};
use crate::domain::time::now_iso;
use crate::domain::{DeliveryState, Failure, Settlement};
use crate::store::events::{self, Event};
use crate::store::telemetry::{self, Actor, Severity, Telemetry};
use crate::store::{Change, StoreError, Topic, sessions};

/// Settles a delivery of which nobody knows whether it arrived.
#[derive(Debug, Clone)]
pub struct SettleDelivery {
    /// The delivery.
    pub id: i64,
    /// What the person decides.
    pub settlement: Settlement,
    /// Why.
    pub reason: String,
    /// The Codex thread that decides, when it is one.
    pub by_thread: Option<String>,
}

/// A settled delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// It, as it is now.
    pub delivery: Delivery,
    /// Who settled it: a session's name, or `operator`.
    pub settled_by: String,
    /// It is a fact, and is delivered again.
    pub delivered_again: bool,
}

impl Change for SettleDelivery {
    type Out = Settled;
    const TOUCHES: &'static [Topic] = &[Topic::Work, Topic::Inbox, Topic::Deliveries];

    /// # Errors
    /// `NotFound` for an unknown delivery, `Refused` for one that is not `unknown`.
    fn run(self, tx: &Connection) -> Result<Settled, StoreError> {
        let before = find(tx, self.id)?.ok_or_else(|| unknown_id(self.id))?;
        if before.state != DeliveryState::Unknown {
            return Err(not_unknown(&before).into());
        }
        let settled_by = match &self.by_thread {
            Some(thread_id) => sessions::find_by_thread(tx, thread_id)?.map(|session| session.name),
            None => None,
        };
        let settled_by = settled_by.unwrap_or_else(|| "operator".to_owned());
        let receipt = json!({"settled_by": settled_by, "reason": self.reason});
        let delivered_again = match self.settlement {
            Settlement::Delivered => {
                tx.execute(
                    "UPDATE deliveries SET state = 'observed', receipt_json = ?2, settled_at = ?3 WHERE id = ?1",
                    (self.id, receipt.to_string(), now_iso()),
                )?;
                contract::arrived(tx, self.id)?;
                false
            }
            Settlement::Failed => {
                let error = format!("{settled_by} settled it as failed: {}", self.reason);
                tx.execute(
                    "UPDATE deliveries SET state = 'failed', error = ?2, settled_at = ?3 WHERE id = ?1",
                    (self.id, &error, now_iso()),
                )?;
                contract::lost(tx, self.id, &error)?
            }
        };
        self.tell(tx, &before, &settled_by, delivered_again)?;
        let delivery = find(tx, self.id)?.ok_or_else(|| unknown_id(self.id))?;
        Ok(Settled { delivery, settled_by, delivered_again })
    }
}

impl SettleDelivery {
    fn tell(
        &self,
        conn: &Connection,
        before: &Delivery,
        settled_by: &str,
        delivered_again: bool,
    ) -> Result<(), StoreError> {
        let details = json!({
            "delivered_again": delivered_again,
            "delivery_id": self.id,
            "error": before.error,
            "sent_at": before.sent_at,
            "settled_as": self.settlement,
            "settled_by": settled_by,
            "target_session": before.target_session_name,
            "transport": before.transport,
        });
        telemetry::emit(
            conn,
            &Telemetry {
                actor: Actor::Operator,
                event_type: "delivery_settled",
                severity: Severity::Info,
                summary: &format!(
                    "delivery {} to {} settled as {}",
                    self.id, before.target_session_name, self.settlement
                ),
                task_id: before.task_id.as_deref(),
                run_id: None,
                correlation: json!({"correlation_id": before.correlation_id, "delivery_id": self.id}),
                attributes: details.clone(),
            },
        )?;
        let mut payload = details;
        payload["reason"] = Value::from(self.reason.as_str());
        events::record(
            conn,
            &Event {
                actor: settled_by,
                event_type: "delivery_settled",
                task_id: before.task_id.as_deref(),
                command_id: before.command_id.as_deref(),
                correlation_id: before.correlation_id.as_deref(),
                payload,
            },
        )?;
        Ok(())
    }
}

fn unknown_id(id: i64) -> Failure {
    Failure::not_found(format!("delivery {id} does not exist"))
        .hint("see which there are: `conveyor deliveries --state unknown`")
}

fn not_unknown(delivery: &Delivery) -> Failure {
    let failure = Failure::refused(format!(
        "delivery {} to {} is {}: only an unknown one is settled by a person",
        delivery.id, delivery.target_session_name, delivery.state
    ));
    match delivery.state {
        DeliveryState::Sent => failure.hint(
            "it becomes observed when it arrives, and unknown when it does not; a mailbox item waits for its reader",
        ),
        _ => failure.hint("see those that are: `conveyor deliveries --state unknown`"),
    }
}
