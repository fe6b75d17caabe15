//! `conveyor deliveries`, `conveyor deliveries settle`

use super::show::Show;
use super::table::aligned;
use crate::actors::Request;
use crate::actors::calls::deliveries::{DeliveriesArgs, DeliveriesSettleArgs, DeliveriesVerb, SettledReply};
use crate::domain::printable::{indented, visible};
use crate::domain::time::parse_iso;
use crate::store::deliveries::{Delivery, Receipt};

const HEAD: [&str; 10] =
    ["ID", "STATE", "TRANSPORT", "WHAT", "TO", "CLAIMED", "STARTED", "SENT", "SETTLED", "RECEIPT"];

/// `deliveries settle …` is a call of its own.
pub(super) fn meant(request: Request) -> Request {
    match request {
        Request::Deliveries(DeliveriesArgs { verb: Some(DeliveriesVerb::Settle(args)), .. }) => args.into(),
        request => request,
    }
}

impl Show for DeliveriesArgs {
    fn text(&self, reply: &Vec<Delivery>) -> Option<String> {
        Some(list(reply))
    }
}

impl Show for DeliveriesSettleArgs {
    fn text(&self, reply: &SettledReply) -> Option<String> {
        let delivery = &reply.delivery;
        let next = if reply.delivered_again { "; it is delivered again" } else { "" };
        Some(format!(
            "delivery {} to {} is {}{next}",
            delivery.id, delivery.target_session_name, delivery.state
        ))
    }
}

/// A line each; what went wrong stands indented below.
fn list(deliveries: &[Delivery]) -> String {
    if deliveries.is_empty() {
        return "no deliveries".to_owned();
    }
    let rows: Vec<_> = deliveries.iter().map(cells).collect();
    let mut lines = aligned(HEAD, &rows).into_iter();
    let mut text: Vec<String> = lines.next().into_iter().collect();
    for (line, delivery) in lines.zip(deliveries) {
        text.push(line);
        text.extend(delivery.error.iter().map(|error| format!("    {}", indented(error, 4))));
        text.extend(delivery.pane_class.iter().map(|class| format!("    its pane showed: {class}")));
        if !delivery.state.is_final() {
            let target = visible(&delivery.target_session_name);
            text.extend(
                delivery.target_exited_at.iter().map(|at| format!("    {target} has exited, at {at}")),
            );
            text.extend(
                delivery.target_idle_since.iter().map(|at| format!("    {target} sits idle, since {at}")),
            );
        }
    }
    text.join("\n")
}

fn cells(delivery: &Delivery) -> [String; 10] {
    let since_claim = |step: &Option<String>| after(&delivery.claimed_at, step.as_deref());
    [
        delivery.id.to_string(),
        delivery.state.to_string(),
        delivery.transport.map_or("-", |transport| transport.as_str()).to_owned(),
        delivery.signal_type.clone(),
        delivery.target_session_name.clone(),
        delivery.claimed_at.clone(),
        since_claim(&delivery.started_at),
        since_claim(&delivery.sent_at),
        since_claim(&delivery.settled_at),
        delivery.receipt.as_ref().map_or("-".to_owned(), receipt),
    ]
}

/// How long after `begin` a step was made, in seconds.
fn after(begin: &str, step: Option<&str>) -> String {
    let elapsed = || Some(parse_iso(step?)?.duration_since(parse_iso(begin)?).as_secs_f64());
    elapsed().map_or_else(|| step.unwrap_or("-").to_owned(), |seconds| format!("+{seconds:.3}s"))
}

fn receipt(receipt: &Receipt) -> String {
    let detail = |key: &str| receipt.details.as_ref().and_then(|details| details[key].as_str());
    match (receipt.event_id, detail("settled_by")) {
        (Some(event_id), _) => format!("event {event_id}"),
        (None, Some(by)) => format!("{by}: {}", detail("reason").unwrap_or("-")),
        (None, None) => "taken from the mailbox".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_are_told_from_the_claim_on() {
        fn check(begin: &str, step: Option<&str>, expect: &str) {
            assert_eq!(after(begin, step), expect);
        }
        check("2026-01-01T00:00:00.000Z", Some("2026-01-01T00:00:01.250Z"), "+1.250s");
        check("2026-01-01T00:00:00.000Z", None, "-");
        check("long ago", Some("now"), "now");
    }

    #[test]
    fn a_receipt_says_what_the_evidence_is() {
        fn check(evidence: Receipt, expect: &str) {
            assert_eq!(receipt(&evidence), expect);
        }
        let details = |value| Receipt { details: Some(value), ..Receipt::default() };
        check(Receipt { event_id: Some(7), ..Receipt::default() }, "event 7");
        check(details(json!({"settled_by": "operator", "reason": "seen"})), "operator: seen");
        check(details(json!({"consumed_by": "m1"})), "taken from the mailbox");
    }
}
