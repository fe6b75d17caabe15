//! `conveyor audit`, `conveyor audit verify`, `conveyor mutation-audit`

use serde_json::Value;

use super::show::Show;
use super::table::tabbed;
use crate::actors::Request;
use crate::actors::calls::audit::{AuditArgs, AuditVerb, AuditVerifyArgs, MutationAuditArgs};
use crate::domain::printable::one_line;
use crate::domain::shell::quoted;
use crate::domain::time::just_after;
use crate::store::audit_chain::{Finding, Outside, Trouble, Verdict};
use crate::store::mutation_audit::{Mutation, MutationAudit};

/// Characters of a value that a line shows.
const VALUE_CHARS: usize = 60;

/// `audit verify …` is a call of its own.
pub(super) fn meant(request: Request) -> Request {
    match request {
        Request::Audit(AuditArgs { verb: Some(AuditVerb::Verify(args)), .. }) => args.into(),
        request => request,
    }
}

impl Show for AuditArgs {
    fn text(&self, audit: &Value) -> Option<String> {
        let events = audit["events"].as_array()?;
        let mut lines: Vec<String> = events.iter().map(event).collect();
        let has_older =
            audit["older"].as_array().is_some_and(|older| older.iter().any(|list| list == "events"));
        if let (true, Some(first)) = (has_older, events.first()) {
            // Older ones may be of the same millisecond.
            let at = just_after(first["created_at"].as_str().unwrap_or_default());
            lines.insert(
                0,
                format!(
                    "… older ones: conveyor audit {} --until {at}",
                    self.task.as_deref().map_or_else(|| "TASK".to_owned(), quoted)
                ),
            );
        }
        Some(lines.join("\n"))
    }
}

fn event(event: &Value) -> String {
    let word = |key: &str| event[key].as_str().unwrap_or("-");
    let payload = event["payload"].as_object().into_iter().flatten();
    let facts: Vec<String> =
        payload.filter_map(|(key, value)| Some(format!("{key}={}", fact(value)?))).collect();
    let line = tabbed([word("created_at"), word("actor"), word("type"), &facts.join(" ")]);
    line.trim_end().to_owned()
}

/// A value that fits into a line.
fn fact(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => one_line(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let shown: String = text.chars().take(VALUE_CHARS).collect();
    Some(if shown.len() < text.len() { format!("{shown}…") } else { shown })
}

impl Show for AuditVerifyArgs {
    fn text(&self, verdict: &Verdict) -> Option<String> {
        let mut lines: Vec<String> = verdict.findings.iter().map(finding).collect();
        let unnamed = verdict.finding_count - verdict.findings.len();
        if unnamed > 0 {
            lines.push(format!("… and {unnamed} more"));
        }
        lines.extend(verdict.outside.iter().map(outside));
        if verdict.pruned > 0 {
            lines.push(format!("pruned, not altered: the texts of {} terminal captures", verdict.pruned));
        }
        let since = verdict.started_at.as_deref().unwrap_or("its beginning");
        let is_all_ours = verdict.outside.iter().all(|outside| outside.before_start);
        lines.push(match verdict.finding_count {
            0 if is_all_ours => {
                format!("the record is as it was written: {} links since {since}", verdict.links)
            }
            0 => format!(
                "what conveyor wrote is as it was written: {} links since {since}; for what other programs wrote, \
                 see above, nothing speaks",
                verdict.links
            ),
            count => {
                format!("the record was altered: {count} findings in {} links since {since}", verdict.links)
            }
        });
        lines.extend(verdict.head.iter().map(|head| format!("head: {}:{}", head.link, head.hash)));
        Some(lines.join("\n"))
    }

    fn exit_code(&self, verdict: &Verdict) -> u8 {
        u8::from(!verdict.ok)
    }
}

fn finding(finding: &Finding) -> String {
    let Finding { table, row, .. } = finding;
    let columns = finding.columns.join(", ");
    let sealed = finding.sealed_at.as_ref().map(|at| format!(", as written at {at}")).unwrap_or_default();
    match finding.trouble {
        Trouble::Altered => format!("altered: {table} {row} differs in {columns}{sealed}"),
        Trouble::Deleted => format!("deleted: {table} {row}{sealed}"),
        Trouble::SlippedIn if finding.columns.is_empty() => {
            format!("slipped in: {table} {row} was not written by conveyor, and nothing else writes there")
        }
        Trouble::SlippedIn => {
            format!(
                "slipped in: {columns} of {table} {row}, which conveyor did not write, and nothing else does"
            )
        }
        Trouble::BeginningMissing => {
            format!("beginning missing: how many rows {table} had when the chain began is gone")
        }
        Trouble::Missing => format!("missing: {row} of {table} from before the chain began"),
        Trouble::ChainBroken => format!("chain broken: link {row} does not follow from the links before it"),
        Trouble::HeadMissing => format!("head missing: there is no link {row} with the hash that was noted"),
    }
}

fn outside(outside: &Outside) -> String {
    let Outside { table, facet, count, .. } = outside;
    let when = if outside.before_start { ", before the chain began" } else { "" };
    if table == "terminal_captures" && facet == "text" {
        return format!(
            "pruned outside conveyor: the texts of {table}: {count} ({}){when}",
            outside.rows.join(", ")
        );
    }
    format!("written outside conveyor: {table}, {facet}: {count} ({}){when}", outside.rows.join(", "))
}

impl Show for MutationAuditArgs {
    fn text(&self, audit: &MutationAudit) -> Option<String> {
        let summary = audit.summary;
        let head = format!(
            "{}\tmutations={}\twarnings={}",
            audit.task.name, summary.mutations, summary.with_warnings
        );
        Some(std::iter::once(head).chain(audit.records.iter().map(mutation)).collect::<Vec<_>>().join("\n"))
    }

    fn exit_code(&self, audit: &MutationAudit) -> u8 {
        u8::from(!audit.ok)
    }
}

fn mutation(record: &Mutation) -> String {
    let decision = record.linked_decision.as_ref().map_or_else(|| "-".to_owned(), |d| d.id.to_string());
    let verdict = match record.warnings.as_slice() {
        [] if record.expected_failure => "refused".to_owned(),
        [] => "ok".to_owned(),
        warnings => warnings.iter().map(|warning| warning.as_str()).collect::<Vec<_>>().join(","),
    };
    let command = &record.command;
    format!("{}\t{}\tdecision={decision}\t{verdict}", command.created_at, command.command_type)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_a_line_with_what_fits_into_it() {
        let check = |payload: Value, expect: &str| {
            let row =
                json!({"created_at": "T", "actor": "workerctl", "type": "task_created", "payload": payload});
            assert_eq!(event(&row), format!("T\tworkerctl\ttask_created{expect}"));
        };
        check(json!({}), "");
        check(json!({"goal": "Ship\nit", "id": 5, "none": null, "list": [1]}), "\tgoal=Ship it id=5");
        check(json!({"goal": "a\x1b[2K\rb"}), "\tgoal=a␛[2K b");
        check(json!({"goal": "x".repeat(61)}), &format!("\tgoal={}…", "x".repeat(60)));
    }
}
