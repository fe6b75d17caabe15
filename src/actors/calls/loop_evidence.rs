//! Evidence that a pass of a loop leaves, so that Dispatch lets the next one begin.

use std::path::{Path, PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Call, values};
use crate::actors::blocking::blocking;
use crate::actors::pictures::{CompareFiles, Report};
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::domain::criteria::{ADVERSARIAL_CHECK, CriterionSource};
use crate::domain::loop_evidence::{DIFF_BELOW_THRESHOLD, Receipt, VISUAL_DIFF_REPORT};
use crate::store::criteria::Criterion;
use crate::store::loop_evidence::{FindLoop, LoopPass, LoopRun, RecordComparison, RecordEvidence};

/// The pass of a loop that evidence is about, and who says so.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct PassOptions {
    /// The task, by name or id
    pub task: String,
    /// The run that holds the loop's policy, by id or name
    #[arg(long, value_name = "RUN")]
    pub loop_run: String,
    /// The pass that the evidence is about
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub iteration: u32,
    /// Who says so
    #[arg(long, default_value_t = CriterionSource::ManagerInferred)]
    pub source: CriterionSource,
    /// Tie it to what it came from
    #[arg(long, value_name = "ID")]
    pub correlation_id: Option<String>,
}

impl PassOptions {
    fn pass(&self) -> LoopPass {
        LoopPass { task: self.task.clone(), run: self.loop_run.clone(), iteration: self.iteration.into() }
    }

    /// `details`, with those that are known.
    fn with(&self, mut details: Map<String, Value>, artifact: Option<&Path>) -> Map<String, Value> {
        let correlation = self.correlation_id.as_ref().map(|id| ("correlation_id".to_owned(), json!(id)));
        let artifact = artifact.map(|path| ("artifact_path".to_owned(), json!(path)));
        details.extend(correlation.into_iter().chain(artifact));
        details
    }
}

/// Record one piece of evidence for a pass of a loop
///
/// A status of green, ok, pass, passed, satisfied, success or succeeded speaks for the pass, any other
/// against it. A later piece of the same type replaces the earlier one.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct LoopEvidenceAddArgs {
    /// The pass
    #[command(flatten)]
    #[serde(flatten)]
    pub pass: PassOptions,
    /// What it is evidence of, as the loop's policy names it
    #[arg(long, value_name = "TYPE")]
    pub evidence_type: String,
    /// How it came out
    #[arg(long, value_name = "WORD", default_value = "pass")]
    pub status: String,
    /// The same in a sentence
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub proof: Option<String>,
    /// The file that shows it; it is named, not kept
    #[arg(long, value_name = "PATH")]
    pub artifact_path: Option<PathBuf>,
    /// What else is known, for programs
    #[arg(long, value_name = "JSON", value_parser = values::json_object)]
    pub metadata_json: Option<Map<String, Value>>,
}

/// Record that somebody tried to disprove a pass of a loop, and what came out
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct LoopEvidenceAdversarialCheckArgs {
    /// The pass
    #[command(flatten)]
    #[serde(flatten)]
    pub pass: PassOptions,
    /// The strongest realistic way in which the pass could be wrong
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub failure_mode: String,
    /// What was done to find out
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub check: String,
    /// What came out
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub result: String,
    /// How it came out, in a word
    #[arg(long, value_name = "WORD", default_value = "pass")]
    pub status: String,
    /// What shows it
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    pub proof: Option<String>,
    /// The file that shows it; it is named, not kept
    #[arg(long, value_name = "PATH")]
    pub artifact_path: Option<PathBuf>,
}

/// Compare a screenshot with a reference picture, and record how much differs
///
/// Both are PNG files of one size, 8 bits a channel, RGB or RGBA. The score is the share of pixels
/// that differ. The report counts as evidence whatever the score; `diff_below_threshold` only when it
/// is at most the threshold.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct LoopEvidenceVisualDiffArgs {
    /// The pass
    #[command(flatten)]
    #[serde(flatten)]
    pub pass: PassOptions,
    /// The picture to come close to
    #[arg(long, value_name = "PNG")]
    pub reference: PathBuf,
    /// The picture of this pass
    #[arg(long, value_name = "PNG")]
    pub candidate: PathBuf,
    /// The greatest score that is good enough, from 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = values::share)]
    pub threshold: f64,
    /// Write a picture that shows what differs in red
    #[arg(long, value_name = "PNG")]
    pub diff_output: Option<PathBuf>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub report_output: Option<PathBuf>,
}

/// A piece of evidence on record.
#[derive(Debug, Serialize, Deserialize)]
pub struct EvidenceReply {
    /// The criterion that holds it.
    pub criterion: Criterion,
    /// The evidence alone.
    pub evidence: Value,
    /// The run it belongs to.
    pub run: LoopRun,
}

/// A comparison on record.
#[derive(Debug, Serialize, Deserialize)]
pub struct VisualDiffReply {
    /// The criterion that holds the report.
    pub criterion: Criterion,
    /// The evidence of the report alone.
    pub evidence: Value,
    /// The criterion that says whether the score is good enough.
    pub threshold_criterion: Criterion,
    /// What came out.
    pub diff: Report,
    /// The run it belongs to.
    pub run: LoopRun,
}

impl Call for LoopEvidenceAddArgs {
    type Reply = EvidenceReply;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.pass.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<EvidenceReply, Failure> {
        let details = self.pass.with(self.metadata_json.unwrap_or_default(), self.artifact_path.as_deref());
        let receipt = Receipt::new(&self.evidence_type, &self.status, self.proof, details)?;
        record(hub, &self.pass, receipt).await
    }
}

impl Call for LoopEvidenceAdversarialCheckArgs {
    type Reply = EvidenceReply;

    fn changes_task(&self) -> Option<&str> {
        Some(&self.pass.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<EvidenceReply, Failure> {
        let told = json!({"failure_mode": self.failure_mode, "check": self.check, "result": self.result});
        let details = self.pass.with(object(told), self.artifact_path.as_deref());
        let receipt = Receipt::new(ADVERSARIAL_CHECK, &self.status, self.proof, details)?;
        record(hub, &self.pass, receipt).await
    }
}

async fn record(hub: &Hub, pass: &PassOptions, receipt: Receipt) -> Result<EvidenceReply, Failure> {
    let change = RecordEvidence { pass: pass.pass(), source: pass.source, receipt };
    let (run, criterion) = hub.store.write(change).await?;
    Ok(EvidenceReply { evidence: criterion.evidence.clone(), criterion, run })
}

impl Call for LoopEvidenceVisualDiffArgs {
    type Reply = VisualDiffReply;
    // A session in a sandbox would write outside of it.
    const NOT_FOR_TOOLS: &'static [&'static str] = &["diff_output", "report_output"];

    fn changes_task(&self) -> Option<&str> {
        Some(&self.pass.task)
    }

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<VisualDiffReply, Failure> {
        // Refused before a file is written.
        hub.store.read(FindLoop(self.pass.pass())).await?;
        let at = |path: &Path| caller.cwd.join(path);
        let report_output = self.report_output.as_deref().map(at);
        let compare = CompareFiles {
            reference: at(&self.reference),
            candidate: at(&self.candidate),
            threshold: self.threshold,
            diff_output: self.diff_output.as_deref().map(at),
            report_output: report_output.clone(),
        };
        let diff = blocking(|| compare.run()).await??;
        let change = self.comparison(&diff, report_output.as_deref())?;
        let (run, criterion, threshold_criterion) = hub.store.write(change).await?;
        let evidence = criterion.evidence.clone();
        Ok(VisualDiffReply { criterion, evidence, threshold_criterion, diff, run })
    }
}

impl LoopEvidenceVisualDiffArgs {
    /// The report, which is evidence whatever came out, and whether it is good enough.
    fn comparison(&self, diff: &Report, report_file: Option<&Path>) -> Result<RecordComparison, Failure> {
        let proof = format!(
            "{} of {} pixels differ: score {}, threshold {}",
            diff.diff.changed_pixels, diff.diff.total_pixels, diff.diff_score, diff.threshold
        );
        let receipt = |evidence_type, status, artifact| {
            let details = self.pass.with(object(json!(diff)), artifact);
            Receipt::new(evidence_type, status, Some(proof.clone()), details)
        };
        let status = if diff.below_threshold { "pass" } else { "fail" };
        Ok(RecordComparison {
            pass: self.pass.pass(),
            source: self.pass.source,
            report: receipt(VISUAL_DIFF_REPORT, "pass", report_file)?,
            verdict: receipt(DIFF_BELOW_THRESHOLD, status, diff.diff_image.as_deref())?,
        })
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
