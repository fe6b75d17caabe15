//! Commands whose answer is JSON with or without `--json`.

use super::show::Show;
use crate::actors::calls::{act, bindings, closing, cycle, discover, ingest, registration, sessions, tail};
use crate::actors::calls::{
    act, bindings, closing, db_doctor, discover, ingest, registration, sessions, tail,
};

impl Show for bindings::BindArgs {}
impl Show for bindings::UnbindArgs {}
impl Show for closing::FinishTaskArgs {}
impl Show for closing::StopTaskArgs {}
impl Show for cycle::CycleArgs {}
impl Show for db_doctor::DbDoctorArgs {
    fn exit_code(&self, report: &Self::Reply) -> u8 {
        u8::from(!report.ok)
    }
}
impl Show for discover::DiscoverArgs {}
impl Show for ingest::IngestArgs {}
impl Show for registration::RegisterManagerArgs {}
impl Show for registration::RegisterWorkerArgs {}
impl Show for sessions::DeregisterArgs {}
impl Show for sessions::SessionsArgs {}
impl Show for tail::TailArgs {}
impl Show for act::SessionInterruptArgs {}
impl Show for act::SessionNudgeArgs {}
