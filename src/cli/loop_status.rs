//! `conveyor loop-status`

use std::collections::BTreeMap;

use super::show::Show;
use crate::actors::calls::loop_status::{LoopStatusArgs, LoopStatusReply};
use crate::domain::printable::visible;

impl Show for LoopStatusArgs {
    fn text(&self, status: &LoopStatusReply) -> Option<String> {
        let policy = &status.policy;
        let failures = &status.failures.counts;
        let failures = BTreeMap::from([
            ("failed_commands".to_owned(), failures.failed_commands),
            ("failed_cycles".to_owned(), failures.failed_cycles),
            ("ingest_errors".to_owned(), failures.ingest_errors),
            ("open_accepted_criteria".to_owned(), failures.open_accepted_criteria),
            ("pane_capture_failures".to_owned(), failures.pane_capture_failures),
        ]);
        let lines = [
            format!("task: {} ({})", status.task.name, status.task.state),
            format!("run: {} ({})", status.run.name, status.run.status),
            format!(
                "policy: {} iteration {}/{}",
                policy.template.as_deref().unwrap_or("custom"),
                policy.current_iteration.max(status.commands.delivered_iteration.unwrap_or(0)),
                policy.max_iterations
            ),
            format!("commands: {}", counted(&status.commands.states)),
            format!(
                "notifications: {}/{} delivered",
                status.notifications.delivered, status.notifications.total
            ),
            format!("evidence: {}", listed(status.evidence.types.iter())),
            format!("missing: {}", listed(status.evidence.missing.iter())),
            format!("worker_unconsumed: {}", status.inbox.worker_unconsumed),
            format!("dispatch_inbox_consumed: {}", status.telemetry.dispatch_inbox_consumed),
            format!("failures: {}", counted(&failures)),
            format!("recommendation: {}", status.recommendation),
        ];
        Some(lines.join("\n"))
    }
}

/// What there is any of.
fn counted(counts: &BTreeMap<String, i64>) -> String {
    let some = counts.iter().filter(|(_, count)| **count > 0);
    listed(some.map(|(what, count)| format!("{count} {what}")))
}

fn listed(items: impl Iterator<Item: AsRef<str>>) -> String {
    let items: Vec<_> = items.collect();
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    if items.is_empty() { "none".to_owned() } else { visible(&items.join(", ")).into_owned() }
}
