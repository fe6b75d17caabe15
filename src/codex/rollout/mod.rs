//! Rollouts: the JSON Lines file in which Codex records one thread.
//!
//! One line is `{timestamp, ordinal, type, payload}` and ends in a newline; Codex only appends.
//! [`RolloutReader`] turns bytes into [`RolloutLine`]s, [`TurnSignal`] says what a line means for a
//! turn, and [`TurnTracker`] joins the signals of one thread into turns.
//!
//! Every reader here accepts any bytes: a line that is not what it should be is skipped and
//! counted, a field that is not what it should be is absent.

mod json;
mod line;
mod meta;
mod read_back;
mod reader;
mod signal;
mod source;
mod surrogates;
mod turn;
mod writer;

#[cfg(test)]
mod fixtures;

pub use line::RolloutLine;
pub use meta::{MetaError, SessionMeta};
pub use read_back::payload_at;
pub use reader::{Batch, ParsedLine, ReadLimits, RolloutReader};
pub use signal::{TurnEnd, TurnError, TurnSignal};
pub use source::ReadError;
pub use turn::{OpenTurn, TurnChange, TurnTracker};
pub use writer::{RanCommand, RolloutWriter};
