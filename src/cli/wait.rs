//! `conveyor wait`

use super::show::Show;
use crate::actors::calls::wait::{WaitArgs, WaitReply};
use crate::domain::Condition;
use crate::domain::printable::visible;
use crate::store::conditions::Met;

/// The time was over first.
const TIMED_OUT: u8 = 3;

impl Show for WaitArgs {
    fn text(&self, reply: &WaitReply) -> Option<String> {
        let mut lines: Vec<String> = reply.conditions.iter().map(line).collect();
        if reply.timed_out {
            lines.push(format!(
                "timeout: after {} s still waiting for {}",
                reply.timeout_seconds,
                reply.waiting_for.join(", ")
            ));
        }
        lines.push(format!("cursor: {}", reply.cursor));
        Some(lines.join("\n"))
    }

    fn exit_code(&self, reply: &WaitReply) -> u8 {
        if reply.timed_out { TIMED_OUT } else { 0 }
    }
}

fn line(met: &Met) -> String {
    let word = |key: &str| visible(met.object[key].as_str().unwrap_or("-"));
    let what = match met.condition {
        Condition::TurnEnd => format!("turn {} {}", word("turn_id"), word("outcome")),
        Condition::Inbox => format!("{} in the inbox, {} first", met.object["pending"], word("signal_type")),
        Condition::Delivery => format!("delivery {} is {}", met.object["id"], word("state")),
        Condition::Exit => format!("gone since {}", word("recorded_at")),
        Condition::Approval => format!("waits since {}", word("recorded_at")),
    };
    let task = met.task.as_deref().map(|task| format!(" (task {task})")).unwrap_or_default();
    format!("{}: {}{task}: {what}", met.condition, met.session)
}
