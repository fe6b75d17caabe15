//! `conveyor qa-run`: harnesses that put the gates of bounded loops to the test, in a runtime of
//! their own, and leave a receipt.

mod browser;
mod check;
mod guardrails;
mod harness;
mod loops;
mod picture;
mod triggers;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::output::{self, Output};
use crate::actors::Caller;
use crate::actors::client::connect_blocking;
use crate::actors::paths::Paths;
use crate::domain::Failure;
use crate::domain::time::now_iso;
use crate::domain::words::words;
use crate::own_dir::private_dir;

use harness::Harness;

/// Put the gates of bounded loops to the test, and save what was seen as a receipt
///
/// Needs neither Codex nor tmux: it talks to the same commands as anybody, in a database of its own
/// beside the receipt. The exit code is 1 when a check failed.
#[derive(Debug, Args)]
pub(in crate::cli) struct QaRunArgs {
    /// What to put to the test
    #[arg(value_enum, default_value = "ralph-loop-guardrails")]
    scenario: Scenario,
    /// Write the receipt here, as JSON
    #[arg(long, value_name = "FILE")]
    receipt_output: PathBuf,
    /// Dispatch under this identity [default: qa-run-SCENARIO]
    #[arg(long, value_name = "ID")]
    dispatcher_id: Option<String>,
}

words! {
    /// What there is a harness for.
    Scenario {
        /// The last pass, missing evidence, and a preset's gate.
        RalphLoopGuardrails = "ralph-loop-guardrails",
        /// The gate of `visual_diff_loop`, with pictures that the harness makes.
        GenericLoopTemplate = "generic-loop-template",
        /// The same with a page that a browser draws; needs Chromium.
        GenericLoopTemplateBrowser = "generic-loop-template-browser",
        /// The gate of `test_coverage_loop`.
        TestCoverageLoop = "test-coverage-loop",
        /// What each controlled wording asks for, carried out.
        AdversarialTriggers = "adversarial-triggers",
        /// The gate of `build_then_clear`.
        BuildClearLoop = "build-clear-loop",
    }
}

/// Runs a harness and saves its receipt.
pub(in crate::cli) fn run(
    args: &QaRunArgs,
    paths: Option<Paths>,
    caller: &Caller,
    program: &'static str,
    output: &mut Output,
) -> Result<u8, Failure> {
    let receipt_path = caller.cwd.join(&args.receipt_output);
    let directory = directory(&receipt_path)?;
    let paths = paths.unwrap_or_else(|| Paths::of(&directory, None));
    refuse_supervised(&paths)?;
    let name = args.scenario.as_str();
    let dispatcher_id = args.dispatcher_id.clone().unwrap_or_else(|| format!("qa-run-{name}"));
    let mut harness = Harness::new(paths, caller.clone(), program, dispatcher_id, directory)?;
    let played = match args.scenario {
        Scenario::RalphLoopGuardrails => guardrails::play(&mut harness),
        Scenario::GenericLoopTemplate => loops::visual_diff(&mut harness),
        Scenario::GenericLoopTemplateBrowser => loops::visual_diff_in_browser(&mut harness),
        Scenario::TestCoverageLoop => loops::test_coverage(&mut harness),
        Scenario::AdversarialTriggers => triggers::play(&mut harness),
        Scenario::BuildClearLoop => loops::build_then_clear(&mut harness),
    };
    let passed = harness.passed() && played.is_ok();
    let receipt = receipt(name, passed, &receipt_path, harness, played.as_ref().err());
    write(&receipt_path, &receipt)?;
    played.map_err(|failure| {
        failure.hint(format!("what was seen until then is in {}", receipt_path.display()))
    })?;
    let result = &receipt["result"];
    let checks = receipt["checks"].as_array().map_or(0, Vec::len);
    let answer = json!({"checks": checks, "receipt_path": receipt_path, "result": result, "scenario": name});
    output.answer(&answer, || text(&receipt))?;
    Ok(u8::from(!passed))
}

/// Where the harness may put things: beside the receipt.
fn directory(receipt: &Path) -> Result<PathBuf, Failure> {
    let Some(stem) = receipt.file_stem() else {
        return Err(
            Failure::usage("--receipt-output is no file name").hint("name a file, such as receipt.json")
        );
    };
    let mut name = stem.to_owned();
    name.push("-runtime");
    let directory = receipt.with_file_name(name);
    private_dir(&directory).map_err(|error| unwritable(&directory, &error))?;
    Ok(directory)
}

/// A supervisor would carry out the harness's requests before the harness looks at them.
fn refuse_supervised(paths: &Paths) -> Result<(), Failure> {
    if paths.other_database().is_some() || connect_blocking(paths)?.is_none() {
        return Ok(());
    }
    Err(Failure::refused(format!("a supervisor dispatches for {}", paths.database.display()))
        .hint("leave out --path: the harness makes a database of its own"))
}

fn receipt(name: &str, passed: bool, path: &Path, harness: Harness, failure: Option<&Failure>) -> Value {
    let mut receipt = json!({
        "artifacts": harness.artifacts,
        "checks": harness.checks.iter().map(check::Check::json).collect::<Vec<_>>(),
        "commands": harness.lines,
        "generated_at": now_iso(),
        "generated_tasks": harness.tasks,
        "receipt_path": path,
        "replay_commands": harness.replay_commands(),
        "result": if passed { "passed" } else { "failed" },
        "scenario": name,
    });
    if let Some(fields) = receipt.as_object_mut() {
        fields.extend(harness.facts);
        fields.extend(failure.map(|failure| ("failure".to_owned(), json!(failure))));
    }
    receipt
}

fn write(path: &Path, receipt: &Value) -> Result<(), Failure> {
    let text = output::json(receipt)?;
    std::fs::write(path, format!("{text}\n")).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::external(format!("failed to write {}: {error}", path.display()))
        .hint("name a file that can be written with --receipt-output")
}

fn text(receipt: &Value) -> String {
    let word = |field: &str| receipt[field].as_str().unwrap_or_default();
    let mut lines = vec![format!("QA run {}: {}", word("scenario"), word("result"))];
    for check in receipt["checks"].as_array().into_iter().flatten() {
        let problems = check["problems"].as_array().into_iter().flatten().filter_map(Value::as_str);
        lines.extend(
            problems.map(|problem| format!("  {}: {problem}", check["name"].as_str().unwrap_or_default())),
        );
    }
    lines.push(format!("Receipt: {}", word("receipt_path")));
    lines.join("\n")
}
