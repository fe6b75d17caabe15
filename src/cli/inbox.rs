//! `conveyor session-inbox`, `manager-inbox`, `worker-inbox`

use super::show::Show;
use super::table::tabbed;
use crate::actors::calls::inbox::{
    InboxAckArgs, InboxReply, ManagerInboxArgs, SessionInboxArgs, WorkerInboxArgs,
};
use crate::domain::printable::indented;
use crate::store::mailbox::Acknowledged;
use crate::store::notifications::Notification;

impl Show for SessionInboxArgs {
    fn text(&self, reply: &InboxReply) -> Option<String> {
        Some(inbox(reply))
    }
}

impl Show for ManagerInboxArgs {
    fn text(&self, reply: &InboxReply) -> Option<String> {
        Some(inbox(reply))
    }
}

impl Show for WorkerInboxArgs {
    fn text(&self, reply: &InboxReply) -> Option<String> {
        Some(inbox(reply))
    }
}

impl Show for InboxAckArgs {
    fn text(&self, reply: &Acknowledged) -> Option<String> {
        Some(format!("item {} for {} is {}", reply.item.id, reply.item.target_session_name, reply.status))
    }
}

fn inbox(reply: &InboxReply) -> String {
    let mut lines = vec![format!("inbox for {}", reply.session.name), format!("pending: {}", reply.pending)];
    lines.extend(reply.consumed.iter().map(|consumed| format!("consumed {}", item(consumed))));
    if let (Some(leased), Some(lease)) = (&reply.leased, &reply.lease) {
        lines.push(format!(
            "handed out until {} (lease {}, time {}) {}",
            lease.expires_at,
            lease.token,
            lease.hand_outs,
            item(leased)
        ));
    }
    lines.extend(reply.items.iter().map(item));
    if reply.wait.timed_out {
        lines.push(format!("nothing came within {} s", reply.wait.timeout_seconds));
    }
    lines.join("\n")
}

/// One line of facts, and what it says, indented.
fn item(item: &Notification) -> String {
    let facts = tabbed([
        &format!("#{}", item.id),
        &item.signal_type,
        &item.delivery_mode,
        &format!("{} -> {}", item.source_session_name, item.target_session_name),
        item.delivered_at.as_deref().unwrap_or("-"),
        &item.correlation_id,
    ]);
    match item.payload["message"].as_str().unwrap_or_default() {
        "" => facts,
        message => format!("{facts}\n    {}", indented(message.trim_end(), 4)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_and_its_facts_stay_in_their_place() {
        let stored = json!({
            "id": 4, "task_id": "t", "task_name": "t1", "binding_id": "b", "correlation_id": "c\n#5\tfaked",
            "source_session_id": "s", "source_session_name": "w1", "source_session_role": "worker",
            "target_session_id": "s2", "target_session_name": "m1", "target_session_role": "manager",
            "signal_type": "notify_manager", "dedupe_key": "d", "created_at": "T", "delivered_at": "T1",
            "delivery_mode": "pull_required", "state": "delivered", "side_effect_started": false,
            "side_effect_completed": false, "payload": {"message": "done\x1b[2K\r\n#5\tall is well\n"},
        });
        let stored: Notification = serde_json::from_value(stored).unwrap();
        assert_eq!(
            item(&stored),
            "#4\tnotify_manager\tpull_required\tw1 -> m1\tT1\tc␊#5␉faked\n    done␛[2K\n    #5\tall is well"
        );
    }
}
