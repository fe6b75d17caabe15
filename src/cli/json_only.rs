//! Commands whose answer is JSON with or without `--json`.

use super::show::Show;
use crate::actors::calls;

impl Show for calls::act::SessionInterruptArgs {}
impl Show for calls::act::SessionNudgeArgs {}
impl Show for calls::audit::DivergencesArgs {}
impl Show for calls::bindings::BindArgs {}
impl Show for calls::bindings::UnbindArgs {}
impl Show for calls::closing::FinishTaskArgs {}
impl Show for calls::closing::StopTaskArgs {}
impl Show for calls::compaction::CompactWorkerArgs {}
impl Show for calls::compaction::RequestWorkerCompactArgs {}
impl Show for calls::continuation::ContinuationReviewerArgs {}
impl Show for calls::contract::HandoffArgs {}
impl Show for calls::contract::RecordDecisionArgs {}
impl Show for calls::criteria::CriteriaArgs {}
impl Show for calls::cycle::CycleArgs {}
impl Show for calls::discover::DiscoverArgs {}
impl Show for calls::export::ExportTaskArgs {}
impl Show for calls::import::ImportCompatArgs {}
impl Show for calls::ingest::IngestArgs {}
impl Show for calls::plain::StartArgs {}
impl Show for calls::loop_evidence::LoopEvidenceAddArgs {}
impl Show for calls::loop_evidence::LoopEvidenceAdversarialCheckArgs {}
impl Show for calls::loop_evidence::LoopEvidenceVisualDiffArgs {}
impl Show for calls::loops::LoopTemplatesArgs {}
impl Show for calls::loops::RalphLoopPresetsArgs {}
impl Show for calls::registration::RegisterManagerArgs {}
impl Show for calls::registration::RegisterWorkerArgs {}
impl Show for calls::runs::RunsArgs {}
impl Show for calls::sessions::DeregisterArgs {}
impl Show for calls::sessions::SessionsArgs {}
impl Show for calls::start::StartManagerArgs {}
impl Show for calls::start::StartWorkerArgs {}
impl Show for calls::tail::TailArgs {}
impl Show for calls::transcripts::PruneArgs {}
impl Show for calls::transcripts::TranscriptCaptureArgs {}
impl Show for calls::transcripts::TranscriptPruneArgs {}

impl Show for calls::reconcile::ReconcileArgs {
    fn exit_code(&self, reply: &Self::Reply) -> u8 {
        u8::from(reply.applied.as_ref().is_some_and(|applied| !applied.sessions_left.is_empty()))
    }
}

impl Show for calls::db_doctor::DbDoctorArgs {
    fn exit_code(&self, report: &Self::Reply) -> u8 {
        u8::from(!report.ok)
    }
}
