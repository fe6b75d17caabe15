//! What the benchmarks share.

pub(crate) mod limits;
pub(crate) mod stats;
pub(crate) mod supervisor;
