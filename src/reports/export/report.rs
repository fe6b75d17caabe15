//! The telemetry of a task, to be read by people.

use std::collections::BTreeMap;

use crate::domain::printable::one_line;
use crate::reports::telemetry::TaskView;

/// How many rows each list shows.
pub(super) const NEWEST: u32 = 20;

/// A page of Markdown.
pub(super) fn markdown(view: &TaskView, at: &str) -> String {
    let task = &view.task.task;
    let summary = &view.telemetry.summary;
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut page = vec![
        format!("# Telemetry of task {}", task.name),
        String::new(),
        format!("- id: {}", task.id),
        format!("- state: {}", task.state),
        format!("- goal: {}", one_line(&task.goal)),
        format!("- exported: {at}"),
        format!("- events: {}", summary.total),
        format!("- first: {}", or_none(&summary.first_timestamp)),
        format!("- last: {}", or_none(&summary.last_timestamp)),
    ];
    let alerts = view.alerts.iter().map(|alert| format!("{}: {}", alert.severity, alert.message));
    section(&mut page, "To look at", alerts);
    section(&mut page, "Cycles", counted(&view.cycles.counts_by_state));
    section(&mut page, "Commands", counted(&view.commands.counts_by_state));
    section(&mut page, "Events by type", counted(&summary.by_event_type));
    section(&mut page, "Events by actor", counted(&summary.by_actor));
    section(&mut page, "Events by severity", counted(&summary.by_severity));
    let newest = view.telemetry.recent.iter().rev();
    let lines = newest.map(|event| {
        format!("{} {} {}: {}", event.timestamp, event.actor, event.event_type, one_line(&event.summary))
    });
    section(&mut page, "Newest events", lines);
    page.join("\n") + "\n"
}

fn section(page: &mut Vec<String>, title: &str, items: impl Iterator<Item = String>) {
    page.extend([String::new(), format!("## {title}"), String::new()]);
    let before = page.len();
    page.extend(items.map(|item| format!("- {item}")));
    if page.len() == before {
        page.push("none".to_owned());
    }
}

fn counted(counts: &BTreeMap<String, i64>) -> impl Iterator<Item = String> + '_ {
    counts.iter().map(|(word, count)| format!("{word}: {count}"))
}
