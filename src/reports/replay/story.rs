//! The replay as a story: what a person reads in the morning.

use serde_json::{Value, json};

use super::entry::{Entry, Severity};
use super::{audit_log, record};
use crate::domain::session_fact::SessionFactKind;
use crate::domain::transport::TransportKind;
use crate::domain::words_of_time::{span, words_for};
use crate::domain::{AttemptState, DeliveryState};
use crate::store::commands::Command;
use crate::store::deliveries::Delivery;
use crate::store::history::{BegunTurn, EndedTurn, History, ToldFact};
use crate::store::notifications::Notification;

/// Everything that happened, each thing once.
pub(super) fn timeline(history: &History) -> Vec<Entry> {
    let audit = &history.audit;
    let mut entries: Vec<Entry> = audit_log::story(&audit.events).collect();
    entries.extend(history.begun.rows.iter().map(begun));
    entries.extend(history.ended.rows.iter().map(ended));
    entries.extend(history.facts.rows.iter().flat_map(fact));
    entries.extend(
        audit.routed_notifications.iter().filter_map(|routed| notification(routed, &audit.deliveries)),
    );
    entries.extend(history.looks.rows.iter().map(record::look));
    entries.extend(audit.manager_decisions.iter().map(record::decision));
    entries.extend(audit.commands.iter().map(command));
    let is_notable = |state| !matches!(state, AttemptState::Succeeded | AttemptState::Running);
    let attempts = audit.command_attempts.iter().filter(|attempt| is_notable(attempt.state));
    entries.extend(attempts.map(record::attempt));
    entries.extend(audit.deliveries.iter().chain(&history.direct.rows).map(delivery));
    entries
}

fn begun(turn: &BegunTurn) -> Entry {
    let row = ("codex_events", json!(turn.event_id));
    Entry::new(&turn.at, "worker", "turn_started", row, format!("{} begins a turn", turn.session))
        .with(json!({ "session_name": turn.session, "turn_id": turn.turn_id }))
}

fn ended(turn: &EndedTurn) -> Entry {
    let session = &turn.session;
    let took = turn.duration_ms.map(|ms| format!(" after {}", words_for(ms as i64))).unwrap_or_default();
    let (summary, severity) = match &*turn.outcome {
        "completed" => (format!("{session} completes its turn{took}"), Severity::Info),
        "interrupted" => (format!("{session} is interrupted in its turn{took}"), Severity::Warning),
        _ => (format!("a turn of {session} fails{took}: {}", reason(turn.error.as_ref())), Severity::Error),
    };
    Entry::new(&turn.at, "worker", "turn_ended", ("turn_facts", json!(turn.fact_id)), summary)
        .with(json!({
            "duration_ms": turn.duration_ms,
            "error": turn.error,
            "event_id": turn.event_id,
            "message": turn.last_message,
            "outcome": turn.outcome,
            "session_name": session,
            "turn_key": turn.turn_key,
        }))
        .rated(severity)
}

fn reason(error: Option<&Value>) -> String {
    let text = error.map(|error| error["message"].as_str().or_else(|| error.as_str()));
    text.flatten().unwrap_or("it does not say why").to_owned()
}

/// A fact, and its end where it has one.
fn fact(fact: &ToldFact) -> Vec<Entry> {
    let name = &fact.session;
    let (happened, severity, over) = match fact.kind {
        SessionFactKind::Exited => ("is gone: its process ended", Severity::Error, "is there again"),
        SessionFactKind::TerminalExited => {
            ("lost its terminal and goes on", Severity::Warning, "has a terminal again")
        }
        SessionFactKind::Waiting => ("waits for an answer", Severity::Warning, "waits no longer"),
        SessionFactKind::IdleWithMail => {
            ("sits idle with mail in its inbox", Severity::Warning, "has taken up its mail")
        }
        SessionFactKind::Unreadable => {
            ("has a rollout that cannot be read", Severity::Error, "can be read again")
        }
    };
    let entry = |at: &str, kind: &str, what: &str| {
        let row = ("session_facts", json!(fact.id));
        let details = json!({ "detail": fact.detail, "fact": fact.kind, "session_name": name });
        Entry::new(at, fact.role.as_str(), kind, row, format!("{name} {what}")).with(details)
    };
    let asks = fact.detail["asks"].as_str().map(|asks| format!("{happened}: {}", asks.replace('_', " ")));
    let mut entries =
        vec![entry(&fact.recorded_at, "session_fact", asks.as_deref().unwrap_or(happened)).rated(severity)];
    entries.extend(fact.cleared_at.as_ref().map(|at| entry(at, "session_fact_cleared", over)));
    entries
}

/// A fact on its way. The message of a command is told by the command, how it arrives by its delivery.
fn notification(routed: &Notification, deliveries: &[Delivery]) -> Option<Entry> {
    let has_delivery = deliveries.iter().any(|delivery| delivery.notification_id == Some(routed.id));
    if routed.command_id.is_some() && has_delivery {
        return None;
    }
    let (from, to) = (&routed.source_session_name, &routed.target_session_name);
    let mut summary = format!("tells {to}: {} of {from}", routed.signal_type);
    if !has_delivery {
        summary = match &routed.consumed_at {
            Some(at) => format!("{summary}, {}, taken at {at}", routed.state),
            None => format!("{summary}, {}", routed.state),
        };
    }
    let row = ("routed_notifications", json!(routed.id));
    let entry = Entry::new(&routed.created_at, "dispatch", "routed_notification", row, summary).with(json!({
        "correlation_id": routed.correlation_id,
        "message": routed.payload.get("message").and_then(Value::as_str),
        "notification_id": routed.id,
        "signal_type": routed.signal_type,
        "state": routed.state,
    }));
    Some(entry.rated(if routed.state == "failed" { Severity::Error } else { Severity::Info }))
}

fn command(command: &Command) -> Entry {
    let entry = record::command(command);
    let (actor, asks) = match &*command.command_type {
        "nudge_worker" => ("manager", "sends the worker a message"),
        "continue_iteration" => ("manager", "asks the worker for the next iteration"),
        "notify_manager" => ("worker", "sends the manager a message"),
        _ => return of_record(entry, command),
    };
    let error = command.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let summary = format!("{asks} ({}, {}{error})", command.command_type, command.state);
    Entry { actor: actor.to_owned(), summary, ..entry }
}

/// A command that is the record of something done at once.
fn of_record(entry: Entry, command: &Command) -> Entry {
    match command.payload["reason"].as_str() {
        Some(reason) => Entry { summary: format!("{}: {reason}", entry.summary), ..entry },
        None => entry,
    }
}

fn delivery(delivery: &Delivery) -> Entry {
    let (to, what) = (&delivery.target_session_name, &delivery.signal_type);
    let by = delivery.transport.map(|transport| format!(" by {}", way(transport))).unwrap_or_default();
    let (at, summary, severity) = match delivery.state {
        DeliveryState::Claimed | DeliveryState::Started => {
            let at = delivery.started_at.as_ref().unwrap_or(&delivery.claimed_at);
            (at, format!("{what} is on its way to {to}{by}"), Severity::Info)
        }
        DeliveryState::Sent if delivery.transport == Some(TransportKind::Mailbox) => {
            (sent(delivery), format!("{what} lies in the mailbox of {to}"), Severity::Info)
        }
        DeliveryState::Sent => {
            (sent(delivery), format!("{what} sent to {to}{by}, not seen yet"), Severity::Info)
        }
        DeliveryState::Observed => observed(delivery),
        DeliveryState::Failed => (
            settled(delivery),
            format!("{what} did not reach {to}{by}: {}", error(delivery)),
            Severity::Error,
        ),
        DeliveryState::Unknown => {
            let summary = format!("nobody knows whether {what} reached {to}{by}: {}", error(delivery));
            (sent(delivery), summary, Severity::Warning)
        }
    };
    Entry::new(at, "dispatch", "delivery", ("deliveries", json!(delivery.id)), summary)
        .with(json!(delivery))
        .rated(severity)
}

fn observed(delivery: &Delivery) -> (&String, String, Severity) {
    let (to, what) = (&delivery.target_session_name, &delivery.signal_type);
    let begun = delivery.started_at.as_ref().unwrap_or(&delivery.claimed_at);
    let after = span(begun, settled(delivery)).unwrap_or_default();
    let is_mail = delivery.transport == Some(TransportKind::Mailbox);
    let how = match (is_mail, delivery.transport) {
        (true, _) => format!("{to} takes {what} from its mailbox after {after}"),
        (false, Some(transport)) => format!("{to} is seen to get {what} after {after} by {}", way(transport)),
        (false, None) => format!("{to} is seen to get {what}"),
    };
    (settled(delivery), how, Severity::Info)
}

fn way(transport: TransportKind) -> &'static str {
    match transport {
        TransportKind::AppServer => "its app-server",
        TransportKind::CodexQueue => "codex queue",
        TransportKind::Tmux => "its terminal",
        TransportKind::Mailbox => "its mailbox",
    }
}

fn sent(delivery: &Delivery) -> &String {
    delivery.sent_at.as_ref().or(delivery.started_at.as_ref()).unwrap_or(&delivery.claimed_at)
}

fn settled(delivery: &Delivery) -> &String {
    delivery.settled_at.as_ref().unwrap_or_else(|| sent(delivery))
}

fn error(delivery: &Delivery) -> &str {
    delivery.error.as_deref().unwrap_or("it does not say why")
}
