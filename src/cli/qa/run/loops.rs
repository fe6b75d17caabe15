//! The gates of the loop templates: closed without evidence, closed with half of it, open with all.

use serde_json::{Value, json};

use super::browser;
use super::harness::{Harness, Loop};
use super::picture;
use crate::domain::Failure;
use crate::domain::criteria::ADVERSARIAL_CHECK;

/// The greatest share of pixels that may differ.
const THRESHOLD: &str = "0.02";

/// The gate of `test_coverage_loop`.
pub(super) fn test_coverage(harness: &mut Harness) -> Result<(), Failure> {
    let coverage = new_loop(harness, "test_coverage_loop")?;
    harness.blocked(
        "test_coverage_template_blocks_before_coverage_evidence",
        &coverage,
        "missing_required_evidence",
        &["test_coverage", ADVERSARIAL_CHECK],
    )?;
    let report = harness.directory.join("coverage.json");
    write(&report, &json!({"lines": {"covered": 90, "total": 100}}).to_string())?;
    let report = report.to_string_lossy().into_owned();
    harness.artifacts.insert("coverage_report".to_owned(), report.clone().into());
    harness.record(
        &coverage,
        "test_coverage",
        &["--artifact-path", &report, "--proof", "90 of 100 lines"],
    )?;
    unstructured_is_not_enough(
        harness,
        "test_coverage_unstructured_adversarial_check_still_blocks",
        &coverage,
    )?;
    harness.challenge(&coverage, "The new tests pass without the code they test", &[])?;
    harness.delivered("structured_test_coverage_retry_delivers", &coverage)
}

/// The gate of `build_then_clear`.
pub(super) fn build_then_clear(harness: &mut Harness) -> Result<(), Failure> {
    let build = new_loop(harness, "build_then_clear")?;
    harness.blocked(
        "build_then_clear_template_blocks_before_build_evidence",
        &build,
        "missing_required_evidence",
        &["build_passed", "cleanup"],
    )?;
    harness.record(&build, "build_passed", &["--proof", "The harness says so"])?;
    harness.record(&build, "cleanup", &["--status", "failed", "--proof", "The context was not cleared"])?;
    harness.blocked(
        "build_then_clear_failed_cleanup_still_blocks",
        &build,
        "missing_cleanup_evidence",
        &["cleanup"],
    )?;
    harness.record(&build, "cleanup", &["--proof", "The context was cleared"])?;
    harness.delivered("build_then_clear_retry_delivers_after_cleanup", &build)
}

/// The gate of `visual_diff_loop`, with pictures that the harness makes.
pub(super) fn visual_diff(harness: &mut Harness) -> Result<(), Failure> {
    let candidate = harness.directory.join("candidate.png");
    picture::draw(&candidate, true)?;
    visual_gate(harness, &candidate.to_string_lossy())
}

/// The same with a page that a browser draws.
pub(super) fn visual_diff_in_browser(harness: &mut Harness) -> Result<(), Failure> {
    let page = harness.directory.join("candidate.html");
    let candidate = harness.directory.join("candidate.png");
    write(&page, &picture::html())?;
    let backend = browser::screenshot(&page, &candidate, &harness.directory.join("browser-profile"))?;
    let (width, height) = picture::SIZE;
    let drawn = json!({
        "backend": backend,
        "candidate_html": page,
        "candidate_screenshot": candidate,
        "viewport": format!("{width}x{height}"),
    });
    harness.facts.insert("browser".to_owned(), drawn);
    harness.artifacts.insert("candidate_html".to_owned(), json!(page));
    visual_gate(harness, &candidate.to_string_lossy())
}

fn visual_gate(harness: &mut Harness, candidate: &str) -> Result<(), Failure> {
    let visual = new_loop(harness, "visual_diff_loop")?;
    harness.blocked(
        "visual_diff_template_blocks_before_visual_evidence",
        &visual,
        "missing_required_evidence",
        &[
            "reference_artifact",
            "candidate_screenshot",
            "visual_diff_report",
            "diff_below_threshold",
            ADVERSARIAL_CHECK,
        ],
    )?;
    let diff = compare(harness, &visual, candidate)?;
    harness.facts.insert("visual_diff".to_owned(), diff);
    unstructured_is_not_enough(harness, "visual_diff_unstructured_adversarial_check_still_blocks", &visual)?;
    harness.challenge(&visual, "The pictures are equal because both are empty", &[])?;
    harness.delivered("structured_visual_diff_retry_delivers", &visual)
}

/// Records the pictures and their comparison.
fn compare(harness: &mut Harness, visual: &Loop, candidate: &str) -> Result<Value, Failure> {
    let path = |name: &str| harness.directory.join(name);
    let [reference, diff, report] = ["reference.png", "diff.png", "diff.json"].map(path);
    picture::draw(&reference, false)?;
    let [reference, diff, report] = [reference, diff, report].map(|path| path.to_string_lossy().into_owned());
    let (width, height) = picture::SIZE;
    let viewport = json!({"viewport": format!("{width}x{height}")}).to_string();
    harness.record(visual, "reference_artifact", &["--artifact-path", &reference])?;
    let seen = ["--artifact-path", candidate, "--metadata-json", &viewport];
    harness.record(visual, "candidate_screenshot", &seen)?;
    let line = ["loop-evidence", "visual-diff", &visual.task, "--loop-run", &visual.run, "--iteration", "1"];
    let pictures = ["--reference", &reference, "--candidate", candidate, "--threshold", THRESHOLD];
    let kept = ["--diff-output", &diff, "--report-output", &report];
    let compared = harness.call(&[&line[..], &pictures, &kept].concat())?;
    for (what, path) in [
        ("reference", reference.as_str()),
        ("candidate_screenshot", candidate),
        ("diff_picture", &diff),
        ("diff_report", &report),
    ] {
        harness.artifacts.insert(what.to_owned(), path.into());
    }
    Ok(compared["diff"].clone())
}

/// Evidence that says no more than its kind opens nothing. `loop-evidence` does not take it at all, so
/// it comes as what it would be on record: a satisfied criterion.
fn unstructured_is_not_enough(harness: &mut Harness, name: &'static str, of: &Loop) -> Result<(), Failure> {
    let claim = json!({"evidence_type": ADVERSARIAL_CHECK, "iteration": 1, "ralph_loop_run_id": of.run});
    let text = ["--criterion", "Checked it adversarially", "--source", "manager_inferred"];
    let evidence = ["--status", "satisfied", "--evidence-json", &claim.to_string()];
    harness.call(&[&["criteria", &of.task, "--add"], &text[..], &evidence].concat())?;
    harness.blocked(name, of, "missing_adversarial_check_evidence", &[ADVERSARIAL_CHECK])
}

fn new_loop(harness: &mut Harness, template: &str) -> Result<Loop, Failure> {
    let metadata = harness.call(&["loop-templates", "--show", template])?;
    harness.facts.insert("template".to_owned(), template.into());
    harness.facts.insert("template_metadata".to_owned(), metadata);
    harness.new_loop(&template.replace('_', "-"), &["--template", template])
}

fn write(path: &std::path::Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::external(format!("failed to write {}: {error}", path.display())))
}
