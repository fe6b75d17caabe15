//! What the measurements share.

pub(crate) mod limits;
pub(crate) mod machine;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod rollout;
pub(crate) mod stats;
pub(crate) mod supervisor;
