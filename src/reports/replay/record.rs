//! The replay as a record: a row an entry, as agent-conveyor tells it.

use serde_json::{Value, json};

use super::audit_log;
use super::entry::{Entry, Severity};
use crate::domain::{AttemptState, CommandState};
use crate::store::chains::Chain;
use crate::store::commands::{Command, CommandAttempt};
use crate::store::decisions::ManagerDecision;
use crate::store::history::{History, Look};
use crate::store::notifications::Notification;
use crate::store::transcripts::StoredSegment;

/// What was asked for, decided and delivered; and the looks that somebody should know of.
pub(super) fn compact(history: &History) -> Vec<Entry> {
    let mut entries = rows(history);
    let is_notable = |look: &&Look| look.notable_pane_pattern.is_some() || look.state == "failed";
    entries.extend(history.looks.rows.iter().filter(is_notable).map(look));
    entries
}

/// As [`compact`], with every look, the criteria, and what was kept of the terminals.
pub(super) fn transcript(history: &History) -> Vec<Entry> {
    let mut entries = rows(history);
    entries.extend(history.looks.rows.iter().map(look));
    entries.extend(audit_log::criteria(&history.audit.events));
    entries.extend(history.segments.rows.iter().map(segment));
    entries
}

fn rows(history: &History) -> Vec<Entry> {
    let audit = &history.audit;
    let mut entries: Vec<Entry> = audit.manager_decisions.iter().map(decision).collect();
    entries.extend(audit.commands.iter().map(command));
    entries.extend(audit.command_attempts.iter().map(attempt));
    entries.extend(audit.routed_notifications.iter().map(notification));
    entries.extend(audit.correlation_chains.iter().map(chain));
    entries
}

pub(super) fn decision(decision: &ManagerDecision) -> Entry {
    let summary = format!("decision {}: {}", decision.decision, decision.reason);
    let row = ("manager_decisions", json!(decision.id));
    Entry::new(&decision.created_at, "manager", "decision", row, summary).with(json!({
        "decision": decision.decision, "manager_cycle_id": decision.manager_cycle_id,
    }))
}

pub(super) fn command(command: &Command) -> Entry {
    let is_finish = command.command_type == "finish_task";
    let (actor, kind) = if is_finish { ("manager", "finish") } else { ("workerctl", "command") };
    let mut summary = format!("{} {}", command.command_type, command.state);
    if let Some(error) = &command.error {
        summary = format!("{summary}: {error}");
    }
    Entry::new(&command.created_at, actor, kind, ("commands", json!(command.id)), summary)
        .with(json!({
            "command_id": command.id,
            "message": command.payload.get("message").and_then(Value::as_str),
            "state": command.state,
            "type": command.command_type,
        }))
        .rated(match command.state {
            CommandState::Failed => Severity::Error,
            CommandState::Blocked => Severity::Warning,
            CommandState::Pending | CommandState::Attempted | CommandState::Succeeded => Severity::Info,
        })
}

pub(super) fn attempt(attempt: &CommandAttempt) -> Entry {
    let mut summary = format!("dispatch attempt {}: {}", attempt.state, attempt.command_id);
    if let Some(error) = &attempt.error {
        summary = format!("{summary}: {error}");
    }
    let row = ("command_attempts", json!(attempt.id));
    Entry::new(&attempt.started_at, "dispatch", "command_attempt", row, summary)
        .with(json!({
            "attempt_id": attempt.id,
            "command_id": attempt.command_id,
            "correlation_id": attempt.correlation_id,
            "dispatcher_id": attempt.dispatcher_id,
            "error": attempt.error,
            "result": attempt.result,
            "side_effect_completed": attempt.side_effect_completed,
            "side_effect_started": attempt.side_effect_started,
            "state": attempt.state,
        }))
        .rated(match attempt.state {
            AttemptState::Failed => Severity::Error,
            AttemptState::Abandoned | AttemptState::Blocked => Severity::Warning,
            AttemptState::Running | AttemptState::Succeeded => Severity::Info,
        })
}

fn notification(notification: &Notification) -> Entry {
    let Notification { signal_type, delivery_mode, state, .. } = notification;
    let taken = match (&notification.consumed_by_session_name, &notification.consumed_at) {
        (Some(by), Some(at)) => format!(", taken by {by} at {at}"),
        (None, Some(at)) => format!(", taken at {at}"),
        _ => String::new(),
    };
    let summary = format!(
        "{signal_type} {state} ({delivery_mode}) from {} to {}{taken}",
        notification.source_session_name, notification.target_session_name
    );
    let row = ("routed_notifications", json!(notification.id));
    Entry::new(&notification.created_at, "dispatch", "routed_notification", row, summary)
        .with(json!({
            "command_id": notification.command_id,
            "consumed_at": notification.consumed_at,
            "consumed_by_session_id": notification.consumed_by_session_id,
            "consumed_by_session_name": notification.consumed_by_session_name,
            "correlation_id": notification.correlation_id,
            "delivered_at": notification.delivered_at,
            "delivery_mode": notification.delivery_mode,
            "message": notification.payload.get("message").and_then(Value::as_str),
            "notification_id": notification.id,
            "signal_type": notification.signal_type,
            "source_session_id": notification.source_session_id,
            "source_session_name": notification.source_session_name,
            "state": notification.state,
            "target_session_id": notification.target_session_id,
            "target_session_name": notification.target_session_name,
        }))
        .rated(if state == "failed" { Severity::Error } else { Severity::Info })
}

fn chain(chain: &Chain) -> Entry {
    let summary = format!("{} -> {}", chain.command_type, chain.command_state);
    let id = chain.command_id.as_ref().or(chain.correlation_id.as_ref());
    Entry::new(&chain.created_at, "dispatch", "correlation_chain", ("correlation_chains", json!(id)), summary)
        .with(json!(chain))
}

pub(super) fn look(look: &Look) -> Entry {
    let mut summary = match &look.worker_state {
        Some(state) => format!("cycle {}: the worker is {state}", look.cycle_id),
        None => format!("cycle {} {}", look.cycle_id, look.state),
    };
    if let Some(pattern) = &look.notable_pane_pattern {
        summary = format!("{summary} [pane pattern: {pattern}]");
    }
    if let Some(error) = &look.error {
        summary = format!("{summary}: {error}");
    }
    let row = ("manager_cycles", json!(look.cycle_id));
    Entry::new(&look.started_at, "manager", "cycle", row, summary).with(json!(look)).rated(
        match (&*look.state, &look.notable_pane_pattern) {
            ("failed", _) => Severity::Error,
            (_, Some(_)) => Severity::Warning,
            (_, None) => Severity::Info,
        },
    )
}

pub(super) fn segment(segment: &StoredSegment) -> Entry {
    let summary = format!(
        "terminal of the {}: {} with {} lines, {} bytes",
        segment.role, segment.segment_kind, segment.line_count, segment.byte_count
    );
    let row = ("transcript_segments", json!(segment.id));
    Entry::new(&segment.captured_at, segment.role.as_str(), "transcript_segment", row, summary).with(json!({
        "byte_count": segment.byte_count,
        "content_sha256": segment.content_sha256,
        "line_count": segment.line_count,
        "retention_class": segment.retention_class,
        "segment_kind": segment.segment_kind,
        "segment_text": segment.segment_text,
        "source_capture_id": segment.source_capture_id,
    }))
}
