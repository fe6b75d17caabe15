//! Rollouts as far as they were read: the position, and everything a batch of lines changes.
//!
//! `sessions.last_ingest_offset` is the position that decides; agent-conveyor moves it too. Our own
//! `rollout_cursors` row follows it and keeps what else the next reader needs; when it lags behind,
//! somebody else has read on, and the turns that ended meanwhile are taken from the events.

mod append;
mod cursor;

#[cfg(test)]
mod tests;

pub use append::{AppendRollout, Appended, Meaning, ReadLine};
pub use cursor::{Cursor, GetCursor, GetLastRead, LastRead};
