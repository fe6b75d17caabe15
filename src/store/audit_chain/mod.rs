//! The hash chain over the record, by which it shows whether somebody altered it.
//!
//! Each row that this program writes to a covered table gets a link: a hash over the row and over the
//! link before. The writer appends the links of a transaction just before it commits, so that a row and
//! its link are durable together. What nobody but another program wrote has no link, and is told as
//! that.

mod digest;
mod seal;
mod tables;
mod verify;

pub(super) use seal::Seal;
pub use verify::{Finding, Head, Outside, Trouble, Verdict, VerifyChain};

#[cfg(test)]
mod tests;
