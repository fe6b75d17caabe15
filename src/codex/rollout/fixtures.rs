//! Every recorded rollout, read to its end.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::domain::TurnOutcome;

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rollouts")
}

/// What a rollout says: `lines` good ones, each end as `outcome` (`failed` with its error info),
/// each turn that never ended as `abandoned` or `open`, each user text as `> text`.
fn told(path: &Path) -> (usize, Vec<String>) {
    let mut reader = RolloutReader::open(path, 0, ReadLimits::default()).unwrap();
    let mut tracker = TurnTracker::default();
    let mut lines = 0;
    let mut told = Vec::new();
    loop {
        let batch = reader.next_batch().unwrap();
        assert_eq!(batch.skipped_lines, 0, "{}", path.display());
        lines += batch.lines.len();
        for parsed in &batch.lines {
            let Some(signal) = TurnSignal::of(&parsed.line) else { continue };
            if let TurnSignal::UserMessage { text, .. } = &signal {
                told.push(format!("> {text}"));
            }
            match tracker.apply(parsed.offset, signal) {
                None => {}
                Some(TurnChange::Ended(end)) => {
                    assert!(end.turn_id.is_some() && end.duration_ms.is_some(), "{end:?}");
                    let info = end.error.and_then(|error| error.info).unwrap_or_default();
                    told.push(format!("{} {info}", end.outcome).trim_end().to_owned());
                }
                Some(TurnChange::Abandoned(_)) => told.push("abandoned".to_owned()),
            }
        }
        if batch.at_end {
            break;
        }
    }
    told.extend(tracker.open().map(|_| "open".to_owned()));
    (lines, told)
}

const HELLO: [&str; 2] = ["> hello plain", "completed"];
const TOOL: [&str; 2] = ["> run: echo tool-output; ls / | head -3", "completed"];
const APPROVED: [&str; 2] = ["> esc: touch /etc/cx_escalated_probe", "completed"];
const DENIED: [&str; 2] = ["> esc: touch /etc/cx_escalated_probe2", "interrupted"];
const STOPPED_TOOL: [&str; 2] = ["> longrun 20", "interrupted"];

fn expectations() -> Vec<(&'static str, usize, Vec<&'static str>)> {
    vec![
        ("after-new-second-file", 14, vec!["> hello after new", "completed"]),
        ("approval-approved", 46, [HELLO, TOOL, APPROVED].concat()),
        ("approval-denied", 57, [HELLO, TOOL, APPROVED, DENIED].concat()),
        ("approval-pending", 11, vec!["> esc: touch /etc/cx_t", "open"]),
        ("auto-compact", 33, vec!["> bigtok 1", "completed", "> hello after big", "completed"]),
        ("big-multi-mb", 21, vec!["> bigsay", "completed"]),
        ("error-400", 10, vec!["> 400", r#"failed "other""#]),
        ("error-401", 10, vec!["> 401", r#"failed {"http_connection_failed":{"http_status_code":401}}"#]),
        (
            "error-429",
            10,
            vec!["> 429 always", r#"failed {"response_too_many_failed_attempts":{"http_status_code":429}}"#],
        ),
        ("error-429-once", 14, vec!["> 429once", "completed"]),
        ("error-500", 10, vec!["> 500 always", r#"failed "internal_server_error""#]),
        ("error-500-once", 14, vec!["> 500once", "completed"]),
        ("error-connection-refused", 9, vec!["> hello refused", "open"]),
        ("error-context-overflow", 12, vec!["> ctx", r#"failed "context_window_exceeded""#]),
        ("error-disconnect", 10, vec!["> disc always", r#"failed "other""#]),
        ("error-disconnect-once", 19, vec!["> disc1", "completed"]),
        ("error-event-rate-limit", 15, vec!["> evrate", "completed"]),
        ("error-quota", 11, vec!["> quota", r#"failed "usage_limit_exceeded""#]),
        ("error-usage-limit", 11, vec!["> usagelimit", r#"failed "usage_limit_exceeded""#]),
        ("exec-run", 21, vec!["> run: echo from-exec", "completed"]),
        ("forked", 12, vec!["> hello forked", "completed"]),
        (
            "interrupted-stream-ctrlc",
            77,
            [HELLO, TOOL, APPROVED, DENIED, STOPPED_TOOL, ["> slow 3", "interrupted"]].concat(),
        ),
        ("interrupted-tool-esc", 68, [HELLO, TOOL, APPROVED, DENIED, STOPPED_TOOL].concat()),
        ("killed-mid-turn-resumed", 21, vec!["> longrun 12", "abandoned", "> hello again", "completed"]),
        (
            "manual-compact",
            36,
            vec!["> hello first", "completed", "completed", "> hello after compact", "completed"],
        ),
        ("mcp-tool-call", 19, vec!["> mcp cycle", "completed"]),
        ("plain-turn", 14, HELLO.to_vec()),
        ("plan-proposed", 30, vec!["> ask now", "completed", "> planplease", "completed"]),
        ("queue-cli", 23, vec!["> hello queue", "completed", "> queued by cli", "completed"]),
        ("rate-limit-headers", 14, vec!["> ratehdr", "completed"]),
        ("request-user-input", 19, vec!["> ask now", "completed"]),
        ("resumed", 24, vec!["> hello after new", "completed", "> hello resumed", "completed"]),
        (
            "steer-and-tab-queue",
            31,
            vec!["> longrun 8", "> steer text while running", "completed", "> tab queued text", "completed"],
        ),
        ("stop-hook-continued", 20, vec!["> hello stopblock", "completed"]),
        ("subagent-child", 14, vec!["> hello from parent", "completed"]),
        ("subagent-parent", 26, vec!["> spawn one", "completed"]),
        ("tool-call", 31, [HELLO, TOOL].concat()),
        ("tool-running", 11, vec!["> longrun 6", "open"]),
        ("user-shell-command", 18, vec!["> hello first", "completed", "completed"]),
    ]
}

#[test]
fn every_recorded_rollout_tells_its_turns() {
    let index: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir().join("INDEX.json")).unwrap()).unwrap();
    let indexed: BTreeSet<&str> = index.as_object().unwrap().keys().map(String::as_str).collect();
    let expectations = expectations();
    assert_eq!(
        indexed,
        expectations.iter().map(|(name, ..)| *name).collect(),
        "the index and the table differ"
    );
    for (name, lines, turns) in expectations {
        let (found_lines, found) = told(&dir().join(name).with_extension("jsonl"));
        assert_eq!(found, turns, "{name}");
        assert_eq!(found_lines, lines, "{name}");
    }
}

#[test]
fn a_compressed_rollout_tells_the_same() {
    let scratch = tempfile::tempdir().unwrap();
    for name in ["interrupted-tool-esc", "big-multi-mb"] {
        let plain = dir().join(name).with_extension("jsonl");
        let archive = scratch.path().join(name).with_extension("jsonl.zst");
        fs::write(&archive, zstd::encode_all(fs::File::open(&plain).unwrap(), 3).unwrap()).unwrap();
        assert_eq!(told(&archive), told(&plain), "{name}");
        assert_eq!(SessionMeta::read(&archive).unwrap(), SessionMeta::read(&plain).unwrap(), "{name}");
    }
}

fn meta(name: &str) -> SessionMeta {
    SessionMeta::read(&dir().join(name).with_extension("jsonl")).unwrap()
}

#[test]
fn every_recorded_rollout_names_its_thread() {
    let plain = meta("plain-turn");
    assert_eq!(plain.id, "01a202de-ffdb-71a2-a0cb-274f188c8b8b");
    assert_eq!(plain.root_id, plain.id);
    assert_eq!(plain.cwd.as_deref(), Some("/home/dev/project"));
    assert_eq!((plain.source.as_deref(), plain.originator.as_deref()), (Some("cli"), Some("codex-tui")));
    assert_eq!(plain.timestamp.as_deref(), Some("2026-11-22T10:48:18.664Z"));

    let (parent, child) = (meta("subagent-parent"), meta("subagent-child"));
    assert!(child.is_subagent() && !parent.is_subagent());
    assert_eq!(child.parent_thread_id.as_ref(), Some(&parent.id));
    assert_eq!(child.root_id, parent.id);

    let forked = meta("forked");
    assert_eq!(forked.forked_from_id, Some(meta("resumed").id));
    assert!(!forked.is_subagent());
    assert_eq!(meta("exec-run").source.as_deref(), Some("exec"));
}

#[test]
fn a_failed_turn_keeps_its_message_and_a_queued_one_its_ids() {
    let signals = |name: &str| {
        let bytes = fs::read(dir().join(name).with_extension("jsonl")).unwrap();
        let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').filter_map(RolloutLine::parse).collect();
        lines.iter().filter_map(TurnSignal::of).collect::<Vec<_>>()
    };
    let failed = signals("error-usage-limit").pop();
    let Some(TurnSignal::Ended(end)) = failed else { panic!("{failed:?}") };
    assert_eq!(end.outcome, TurnOutcome::Failed);
    let message = end.error.unwrap().message;
    assert!(message.contains("usage limit"), "{message}");

    let queued = signals("queue-cli");
    let trigger = queued.iter().rev().find_map(|signal| match signal {
        TurnSignal::Started { trigger, .. } => trigger.as_deref(),
        _ => None,
    });
    assert_eq!(trigger, Some("queue"));
    let client_id = queued.iter().rev().find_map(|signal| match signal {
        TurnSignal::UserMessage { client_id, .. } => client_id.as_deref(),
        _ => None,
    });
    assert!(client_id.unwrap().starts_with("01a2"), "{client_id:?}");
}
