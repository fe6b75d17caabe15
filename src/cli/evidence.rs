//! `conveyor evidence`, `conveyor evidence run`, `conveyor evidence show`

use super::show::Show;
use super::table::aligned;
use crate::actors::Request;
use crate::actors::calls::evidence::{
    EvidenceArgs, EvidenceRunArgs, EvidenceShowArgs, EvidenceVerb, ShownEvidence,
};
use crate::domain::evidence::EvidenceState;
use crate::domain::printable::indented;
use crate::domain::shell;
use crate::store::evidence::ExecutedEvidence;

const HEAD: [&str; 8] = ["ID", "STATE", "COUNTS", "TASK", "ABOUT", "STARTED", "EXIT", "COMMAND"];

/// `evidence run …` and `evidence show …` are calls of their own.
pub(super) fn meant(request: Request) -> Request {
    match request {
        Request::Evidence(EvidenceArgs { verb: Some(EvidenceVerb::Run(args)), .. }) => args.into(),
        Request::Evidence(EvidenceArgs { verb: Some(EvidenceVerb::Show(args)), .. }) => args.into(),
        request => request,
    }
}

impl Show for EvidenceArgs {
    fn text(&self, reply: &Vec<ExecutedEvidence>) -> Option<String> {
        if reply.is_empty() {
            return Some("no command was run for evidence".to_owned());
        }
        let rows: Vec<_> = reply.iter().map(cells).collect();
        Some(aligned(HEAD, &rows).join("\n"))
    }
}

impl Show for EvidenceRunArgs {
    fn text(&self, evidence: &ExecutedEvidence) -> Option<String> {
        Some(details(evidence).join("\n"))
    }

    fn exit_code(&self, evidence: &ExecutedEvidence) -> u8 {
        u8::from(evidence.state != EvidenceState::Passed)
    }
}

impl Show for EvidenceShowArgs {
    fn text(&self, reply: &ShownEvidence) -> Option<String> {
        let mut lines = details(&reply.evidence);
        lines.extend(reply.output.iter().map(|output| format!("\n{}", output.trim_end())));
        Some(lines.join("\n"))
    }
}

fn cells(evidence: &ExecutedEvidence) -> [String; 8] {
    [
        evidence.id.to_string(),
        evidence.state.to_string(),
        evidence.freshness.to_string(),
        evidence.task.clone(),
        about(evidence),
        evidence.started_at.clone(),
        evidence.exit_code.map_or("-".to_owned(), |code| code.to_string()),
        shell::command_line(&evidence.argv),
    ]
}

fn about(evidence: &ExecutedEvidence) -> String {
    match (evidence.criterion_id, &evidence.evidence_type, evidence.iteration) {
        (Some(id), ..) => format!("criterion {id}"),
        (None, Some(kind), Some(iteration)) => format!("{kind}, pass {iteration}"),
        _ => "the task".to_owned(),
    }
}

fn details(evidence: &ExecutedEvidence) -> Vec<String> {
    let shown =
        |name: &str, value: Option<String>| value.map(|value| format!("{name:<10}{}", indented(&value, 10)));
    let exit = evidence.exit_code.map(|code| code.to_string()).or_else(|| evidence.error.clone());
    let took = evidence.duration_ms.map(|ms| format!("{}.{:03} s", ms / 1000, ms % 1000));
    let dirty = if evidence.git_dirty == Some(true) { ", and what is not committed" } else { "" };
    let commit = evidence.git_commit.as_ref().map(|commit| format!("{commit}{dirty}"));
    let output = evidence.output_bytes.map(|bytes| {
        let cut = match evidence.output_kept_bytes {
            Some(kept) if kept < bytes => format!(", of which {kept} were kept"),
            _ => String::new(),
        };
        format!("{bytes} bytes{cut}")
    });
    let lines = [
        Some(format!("evidence {} {}: {}", evidence.id, evidence.freshness.says(), evidence.state)),
        shown("about", Some(format!("{} of {}", about(evidence), evidence.task))),
        shown("command", Some(shell::command_line(&evidence.argv))),
        shown("directory", Some(evidence.directory.clone())),
        shown("exit", exit),
        shown("took", took),
        shown("commit", commit),
        shown("output", output),
        shown("kept in", evidence.output_path.clone()),
        shown("sha256", evidence.output_sha256.clone()),
    ];
    lines.into_iter().flatten().collect()
}
