//! Read models: what is told of what the store holds. They read through the store's queries.

pub mod export;
pub mod replay;
pub mod telemetry;

#[cfg(test)]
mod work;
