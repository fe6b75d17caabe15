//! `conveyor loop-evidence add`, `adversarial-check`, `visual-diff`

use clap::{Args, Subcommand};

use crate::actors::Request;
use crate::actors::calls::loop_evidence::{
    LoopEvidenceAddArgs, LoopEvidenceAdversarialCheckArgs, LoopEvidenceVisualDiffArgs,
};

/// Record what a pass of a loop leaves as evidence, so that the next one may begin
#[derive(Debug, Args)]
pub(super) struct LoopEvidenceArgs {
    #[command(subcommand)]
    pub(super) verb: LoopEvidenceVerb,
}

/// Each is a call of its own.
#[derive(Debug, Subcommand)]
pub(super) enum LoopEvidenceVerb {
    Add(LoopEvidenceAddArgs),
    AdversarialCheck(LoopEvidenceAdversarialCheckArgs),
    VisualDiff(LoopEvidenceVisualDiffArgs),
}

impl From<LoopEvidenceVerb> for Request {
    fn from(verb: LoopEvidenceVerb) -> Self {
        match verb {
            LoopEvidenceVerb::Add(args) => args.into(),
            LoopEvidenceVerb::AdversarialCheck(args) => args.into(),
            LoopEvidenceVerb::VisualDiff(args) => args.into(),
        }
    }
}
