//! `conveyor session-inbox`, `manager-inbox`, `worker-inbox`

use super::show::Show;
use crate::actors::calls::inbox::{
    InboxAckArgs, InboxReply, ManagerInboxArgs, SessionInboxArgs, WorkerInboxArgs,
};
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
    let delivered = item.delivered_at.as_deref().unwrap_or("-");
    let facts = format!(
        "#{}\t{}\t{}\t{} -> {}\t{delivered}\t{}",
        item.id,
        item.signal_type,
        item.delivery_mode,
        item.source_session_name,
        item.target_session_name,
        item.correlation_id
    );
    let message = item.payload["message"].as_str().unwrap_or_default();
    message.lines().fold(facts, |text, line| format!("{text}\n    {line}"))
}
