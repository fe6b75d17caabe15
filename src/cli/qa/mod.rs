//! Quality assurance of a whole installation: plans for people, and harnesses that run by themselves.

mod plan;
mod run;

pub(super) use plan::{QaPlanArgs, run as plan};
pub(super) use run::{QaRunArgs, run};
