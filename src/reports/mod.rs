//! Read models: what is told of what the store holds. They read through the store's queries.

pub mod replay;
pub mod telemetry;
