//! `conveyor telemetry`

use std::collections::BTreeMap;

use super::show::Show;
use super::table::tabbed;
use crate::actors::calls::telemetry::{TelemetryArgs, TelemetryReply};
use crate::domain::printable::one_line;
use crate::reports::telemetry::{Alert, CheckView, FailuresView, MetricsView, SnapshotView, TaskView};
use crate::store::telemetry::{Counts, TelemetryRow};

impl Show for TelemetryArgs {
    fn text(&self, reply: &TelemetryReply) -> Option<String> {
        let lines = match reply {
            TelemetryReply::Events(events) => events.iter().map(event).collect(),
            TelemetryReply::Summary(counts) => summary(counts),
            TelemetryReply::Metrics(view) => metrics(view),
            TelemetryReply::Snapshot(view) => snapshot(view),
            TelemetryReply::Task(view) => task(view),
            TelemetryReply::Failures(view) => failures(view),
            TelemetryReply::Check(view) => check(view),
        };
        Some(lines.join("\n"))
    }

    fn exit_code(&self, reply: &TelemetryReply) -> u8 {
        u8::from(matches!(reply, TelemetryReply::Check(view) if !view.ok))
    }
}

fn event(event: &TelemetryRow) -> String {
    let TelemetryRow { timestamp, severity, actor, event_type, summary, .. } = event;
    tabbed([timestamp, &severity.to_string(), actor, event_type, &one_line(summary)])
}

fn summary(counts: &Counts) -> Vec<String> {
    let at = |instant: &Option<String>| instant.clone().unwrap_or_else(|| "-".to_owned());
    let mut lines = vec![
        format!("total: {}", counts.total),
        format!("first_timestamp: {}", at(&counts.first_timestamp)),
        format!("last_timestamp: {}", at(&counts.last_timestamp)),
    ];
    for (head, of) in [
        ("by_actor", &counts.by_actor),
        ("by_event_type", &counts.by_event_type),
        ("by_severity", &counts.by_severity),
    ] {
        lines.push(format!("{head}:"));
        lines.extend(of.iter().map(|(word, count)| format!("  {word}: {count}")));
    }
    lines
}

fn metrics(view: &MetricsView) -> Vec<String> {
    let rate = view.rollups.cycle_success_rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.3}"));
    vec![
        format!("window: {}", view.window.label),
        format!("telemetry_events: {}", view.counters.telemetry_events.total),
        format!("cycles: {}", view.counters.cycles.total),
        format!("cycle_success_rate: {rate}"),
        format!("skipped_ingest_lines: {}", view.counters.ingest.skipped_lines),
        format!("active_tasks: {}", view.gauges.active_tasks),
        format!("active_sessions: {}", view.gauges.active_sessions.total),
        format!("open_criteria: {}", view.gauges.criteria.open),
        format!("drift: {}", view.gauges.reconcile.total_drift),
    ]
}

fn snapshot(view: &SnapshotView) -> Vec<String> {
    let name = |session: Option<&str>| session.unwrap_or("-").to_owned();
    let worker = view.pair.as_ref().and_then(|pair| pair.worker.as_ref());
    let manager = view.pair.as_ref().and_then(|pair| pair.manager.as_ref());
    let latest = view.latest_cycle.as_ref().map(|latest| &latest.cycle);
    let mut lines = task(&view.view);
    lines.splice(
        1..1,
        [
            format!("state: {}", view.view.task.task.state),
            format!("worker: {}", name(worker.map(|session| session.name.as_str()))),
            format!("manager: {}", name(manager.map(|session| session.name.as_str()))),
            format!("latest_cycle: {}", name(latest.map(|cycle| cycle.started_at.as_str()))),
            format!("worker_state: {}", name(latest.and_then(|cycle| cycle.worker_state.as_deref()))),
        ],
    );
    lines
}

fn task(view: &TaskView) -> Vec<String> {
    let alive = |alive: Option<bool>| alive.map_or_else(|| "-".to_owned(), |alive| alive.to_string());
    let mut lines = vec![
        format!("task: {}", view.task.task.name),
        format!("worker_alive: {}", alive(view.liveness.worker_alive)),
        format!("manager_alive: {}", alive(view.liveness.manager_alive)),
        format!("cycles: {}", counted(&view.cycles.counts_by_state)),
        format!("commands: {}", counted(&view.commands.counts_by_state)),
        format!("failed_commands: {}", view.commands.failed_count),
    ];
    lines.extend(view.task.integrity.issues.iter().map(|issue| format!("warning: integrity: {issue}")));
    lines.extend(view.alerts.iter().map(alert));
    lines
}

fn counted(counts: &BTreeMap<String, i64>) -> String {
    let parts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn failures(view: &FailuresView) -> Vec<String> {
    let mut lines = vec![
        format!("failed_cycles: {}", view.counts.failed_cycles),
        format!("failed_commands: {}", view.counts.failed_commands),
        format!("ingest_errors: {}", view.ingest.error_count),
        format!("pane_capture_failures: {}", view.counts.pane_capture_failures),
        format!("unknown_deliveries: {}", view.undelivered.unknown_deliveries.count),
        format!("dead_letters: {}", view.undelivered.dead_letters.count),
    ];
    lines.extend(view.alerts.iter().map(alert));
    lines
}

fn check(view: &CheckView) -> Vec<String> {
    let mut lines = vec![format!("ok: {}", view.ok)];
    lines.extend(view.operator.checks.results.iter().map(|check| {
        let verdict = if check.ok { "ok" } else { "too many" };
        format!("{}: {} of {} ({verdict})", check.name, check.value, check.limit)
    }));
    lines
}

fn alert(alert: &Alert) -> String {
    format!("{}: {}: {}", alert.severity, alert.alert_type, one_line(&alert.message))
}
